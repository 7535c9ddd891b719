"""Choosing a checkpoint: those that are ready in a list, and cards of all that can be had, each loaded at a click.

Who may change what is in memory: everybody, among the checkpoints that the operator has named, each waiting for others'
pictures; others that were published only who sits at the server's own machine, unless the operator says otherwise.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.serving.refusal import Refusal
from demo.gradio_internals import drawn_by_parent
from demo.interface import described
from demo.language import Bilingual, refused
from demo.status import Status, end, loading, status
from demo.tab_builder import BEGIN, HERE, TabBuilder

TEMPLATE = Path(__file__).with_name("picker.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("picker.js").read_text(encoding="utf-8")
STOPPED = Bilingual("Stopped. What has been downloaded is kept.", "已停止。已下载的部分会保留。")
# A checkpoint that has come is chosen, and can be chosen again; `arrived` is a script of the page.
ARRIVED = "(now, ...lists) => window.arrived(now, lists)"
# What the tabs of the chosen one are; a tab that is open and goes gives way to the first.
FOLLOW = """checkpoint => {
  const names = %s, here = window.checkpoints[checkpoint];
  if (window.chosen) sessionStorage.setItem("checkpoint", checkpoint); // the first is the page's, and no choice
  window.chosen = checkpoint;
  window.dispatchEvent(new Event("chosen"));
  document.body.classList.toggle("unstyled", here.styles.length < 2);
  document.body.classList.toggle("unversed", !here.understands);
  const fresh = () => document.head.appendChild(Object.assign(document.createElement("style"), { id: "unserved" }));
  const sheet = document.querySelector("#unserved") ?? fresh();
  const unserved = names.filter(name => !here.tabs.includes(name));
  sheet.textContent = unserved.map(name => `#tab-${name}-button { display: none; }`).join(" ");
  const open = names.find(name => document.querySelector(`#tab-${name}`)?.offsetParent);
  return wire.update(!open || here.tabs.includes(open) ? {} : { selected: here.tabs[0] });
}"""


@drawn_by_parent
class Checkpoints(gr.Dropdown):
    """A list of checkpoints, which come and go while the page is open: the service knows which there are."""

    def preprocess(self, payload: Any) -> Any:
        return payload


def checkpoints(builder: TabBuilder, label: Any, value: str, elem_id: str | None = None) -> Checkpoints:
    """Return a list of those that are in memory now; each page brings it up to date."""
    names = builder.service.checkpoints
    offered = [(builder.facts.title(name), name) for name in names]
    return Checkpoints(offered, value=value, label=label, visible=len(names) > 1, elem_id=elem_id)


class Picker(gr.HTML):
    """Shows the cards. A click on one puts its source into the page's `window.wantedCheckpoint`: event "fetch".

    The event "linked" says that the checkpoint of the page's address is there.
    """

    def __init__(self, render: bool = True) -> None:
        options = {"html_template": TEMPLATE, "js_on_load": BEHAVIOUR, "elem_id": "picker", "apply_default_css": False}
        super().__init__("", open=False, wanted="", changed=0, render=render, **options)


def build(builder: TabBuilder) -> None:
    """Lay out list, cards and progress below the title, with the endpoint `/load_checkpoint`."""
    first = builder.service.checkpoints[0]
    builder.checkpoint = checkpoints(builder, builder.say("Checkpoint", "模型"), first, "checkpoint")
    builder.picker = Picker()
    with gr.Row(elem_id="loading"):
        line = Status(status("idle", ""))
        stop = gr.Button(builder.say("Stop", "停止"), size="sm", elem_classes="stop-loading")
    wanted = gr.Textbox("", visible="hidden", elem_id="wanted")

    def load_checkpoint(checkpoint: str, request: gr.Request = None) -> Iterator[dict[str, Any]]:
        """Load a checkpoint of this server, so that pictures can be drawn with it; another one may be freed.

        Answers the progress, and at the end as `name` how it is called from then on, as `facts` what it can do.
        """
        try:
            yield status("working", Bilingual("Starting", "开始").for_visitor(request))
            offer = builder.service.offer(checkpoint)
            picking = request is not None and builder.facts.may_pick(request.headers, request.client.host)
            with builder.service.lease(checkpoint, pick=picking) as lease:
                for event in lease.coming():
                    yield loading(event, builder.facts.title(event.checkpoint), request)
                facts = builder.facts.of(offer.name)
            said = Bilingual(f"{facts['title']} is ready.", f"{facts['title']} 已就绪。").for_visitor(request)
            found = {"name": offer.name, "source": offer.public, "facts": facts, "at": time.time()}
            yield status("done", said) | found
        except Refusal as refusal:
            sentence = refused(refusal, request)
            yield status("refused", sentence)
            raise gr.Error(sentence, visible=False, print_exception=False) from refusal

    begun = builder.picker.fetch(None, None, line, js=f"() => ({BEGIN})", **HERE)
    asked = begun.success(
        described(load_checkpoint),
        wanted,
        line,
        js="() => [window.wantedCheckpoint]",
        api_name="load_checkpoint",
        show_progress="hidden",
        concurrency_limit=None,
    )
    asked.failure(None, line, line, js=end(STOPPED), **HERE)
    stop.click(None, None, line, js=f"() => ({json.dumps(status('stopped', STOPPED))})", cancels=[asked], **HERE)
    builder.arriving = line


def follow(builder: TabBuilder) -> None:
    """Let lists and tabs follow what is loaded and chosen, once all tabs are built."""
    chosen, lists = builder.checkpoint, [builder.checkpoint, *builder.other_checkpoints]
    builder.arriving.change(None, [builder.arriving, *lists], lists, js=ARRIVED, **HERE)
    builder.page.load(None, lists, lists, js="(...now) => now.map(() => window.listed({}))", **HERE)
    script = FOLLOW % json.dumps(list(builder.facts.tabs))
    gr.on([builder.page.load, chosen.change], None, chosen, builder.tabs, js=script, **HERE)
