"""The line that says what is going on: a sentence, and a bar for each stage. A component that all tabs share."""

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from dalle2.serving.drawing import Drawing
from dalle2.serving.model_cache import Loading
from demo.language import Bilingual

HINT = Bilingual("Enter draws, Esc stops.", "Enter 开始，Esc 停止。")
DONE = Bilingual("Done.", "完成。")
STOPPED = Bilingual("Stopped.", "已停止。")
STAGE = {
    "prior": Bilingual("Understanding", "理解"),
    "inversion": Bilingual("Inverting", "反演"),
    "decoder": Bilingual("Drawing", "绘制"),
    "upsampler": Bilingual("Sharpening", "放大"),
}

# A template literal, not Handlebars: what Handlebars puts in would be evaluated as a template once more.
TEMPLATE = """
<div class="status ${value.state}">
  <div class="stages">${value.stages.map(stage => `
    <div class="stage"><span>${stage.name}</span><progress value="${stage.done}" max="${stage.total}"
      aria-label="${stage.name}"></progress></div>`).join("")}
  </div>
  <p role="status" aria-live="${value.state === "working" ? "off" : "polite"}">
    ${(value.text[navigator.language.slice(0, 2)] || value.text.en || value.text)
    .replace(/[&<>]/g, sign => `&#${sign.charCodeAt(0)};`)}</p>
  <div class="unseen" role="status">${value.shown ?? ""}</div>
</div>
"""


class Status(gr.HTML):
    """Shows what `status` makes. While `state` is "waiting" or "working" the page offers to stop."""

    def __init__(self, value: dict[str, Any] | None = None, render: bool = True) -> None:
        options = {"html_template": TEMPLATE, "js_on_load": None, "elem_classes": "progress-line"}
        super().__init__(value, label="Progress", render=render, **options)  # the label is for the API's description

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "state": {
                    "type": "string",
                    "enum": ["idle", "waiting", "working", "done", "stopped", "refused"],
                },
                "text": {"type": "string"},
                "stages": {"type": "array", "items": {"type": "object"}},
            },
        }

    def example_payload(self) -> dict[str, Any]:
        return status("idle", "")


def status(state: str, text: str | Bilingual, stages: Sequence[tuple[str, int, int]] = ()) -> dict[str, Any]:
    """Return a value of `Status`; `stages` is (name, steps done, steps in all). Of two languages the page chooses."""
    return {
        "state": state,
        "text": text._asdict() if isinstance(text, Bilingual) else text,
        "stages": [{"name": name, "done": done, "total": total} for name, done, total in stages],
    }


def progress(drawing: Drawing, request: gr.Request | None = None) -> dict[str, Any]:
    """Return the progress line of a drawing, in the visitor's language."""

    def say(sentence: Bilingual) -> str:
        return sentence.for_visitor(request)

    # What was not needed after all, as the prior between two pictures, has no bar at the end.
    needed = [row for row in drawing.stages if row[2] and (row[1] or not drawing.finished)]
    stages = [(say(STAGE[name]), done, total) for name, done, total in needed]
    if drawing.finished:
        many = len(drawing.pictures)
        shown = Bilingual("1 picture." if many == 1 else f"{many} pictures.", f"{many} 张图片。")
        return status("done", say(DONE), stages) | ({"shown": say(shown)} if many else {})  # for screen readers
    left = drawing.seconds_left
    estimate = "" if left is None else say(Bilingual(f", about {_time(left)} left", f"，大约还需 {_time(left)}"))
    if drawing.ahead:
        ahead = drawing.ahead
        line = Bilingual(f"{ahead} ahead of you in the queue{estimate}", f"前面还有 {ahead} 位{estimate}")
        return status("waiting", say(line), stages)
    running = [(name, done, total) for name, done, total in stages if done]
    if not running:
        return status("working", say(Bilingual("Starting", "开始")) + estimate, stages)
    name, done, total = running[-1]
    return status(
        "working", say(Bilingual(f"{name}: step {done} of {total}", f"{name}：第 {done}/{total} 步")) + estimate, stages
    )


def end(stopped: Bilingual) -> str:
    """Return the script that ends a progress line which no answer ends: as `stopped`, unless the call was refused.

    None comes after a Stop, after an error that Gradio explains itself, and after a call that was not taken.
    """
    return f"""now => window.wire.refused ? {{state: "refused", text: window.wire.refused, stages: []}}
  : ['waiting', 'working'].includes(now.state) ? {json.dumps(status("stopped", stopped))} : now"""


def loading(one: Loading, title: str, request: gr.Request | None = None) -> dict[str, Any]:
    """Return the progress line while a checkpoint of this title is loaded, in the visitor's language."""

    def say(en: str, zh: str) -> str:
        return Bilingual(en, zh).for_visitor(request)

    if one.waiting:
        zh = f"等正在画的图完成后切换到 {title}"
        return status("waiting", say(f"{title} comes after the pictures that are being drawn", zh))
    if one.come >= one.size:
        return status("working", say(f"Reading the weights of {title}", f"正在读取 {title} 的权重"))
    come, size = f"{one.come / 1e9:.1f}", f"{one.size / 1e9:.1f} GB"
    line = say(f"Downloading {title}: {come} of {size}", f"正在下载 {title}：{come} / {size}")
    return status("working", line, [(say("Download", "下载"), one.come, one.size)])


def _time(seconds: float) -> str:
    seconds = max(round(seconds), 1)
    return f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
