"""The frame around the tabs: title, theme, keys. What a visitor can do lies in `tabs/`."""

from importlib import import_module
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dalle2.serving.limits import MAX_UPLOAD_BYTES
from dalle2.serving.service import Service
from dalle2.speech.transcript import Recogniser
from demo import downloads, gradio_internals, picker, reporting, samples, theme
from demo.door import TITLE as NAME
from demo.door import Door
from demo.gradio_internals import Page, update_props
from demo.language import refused
from demo.tab_builder import HERE, TabBuilder
from demo.zero import beside

# The tabs in the order in which they stand; each is a file.
TABS = (
    *("text_to_image", "variations", "interpolate", "mix", "text_diff", "inpaint", "outpaint", "enhance", "explain"),
    *("compare", "history", "about"),
)

TITLE = """${(() => {
  const zh = navigator.language.startsWith("zh"), said = window.checkpoints[checkpoint].drawn;
  const what = said ? `<strong>${zh ? said.zh : said.en}</strong> ` : "";
  const how = zh ? "写下想看的画面，再变化、混合、过渡。"
    : "Describe a picture, then vary, mix or morph it.";
  return `<h1>Open DALL·E 2</h1><p>${what}${how}</p>`;
})()}"""

SCRIPTS = ("page.js", "menus.js", "picking.js", "sharing.js", "keeping.js")

# Above the service's queue, which refuses with a sentence, this one only bounds memory.
WAITING_EVENTS = 200
DELETE_SECONDS = (1800, 7200)  # every half an hour, the files older than two hours


# Pages may be found, but nobody's pictures, and no crawler draws.
ROBOTS = Route("/robots.txt", lambda _: PlainTextResponse("User-agent: *\nAllow: /$\nDisallow: /\n"))


def build(
    service: Service, api: Any = None, everyone: bool = False, recogniser: Recogniser | None = None
) -> tuple[gr.Blocks, dict[str, Any]]:
    """Return the whole page, and the arguments to launch it with, which Gradio wants only then.

    `api`, an ASGI application, is served beside it at /v1. Published checkpoints that the service offers are picked by
    who sits at this machine, or by `everyone`. `recogniser` hears spoken prompts, instead of pocketsphinx.
    """
    with Page(title=NAME, unwritable=_unwritable, analytics_enabled=False, delete_cache=DELETE_SECONDS) as page:
        builder = TabBuilder(service, page, everyone, recogniser)
        with gr.Row(elem_id="head"):
            title = gr.HTML(
                "",
                html_template=TITLE,
                js_on_load=None,
                elem_id="title",
                checkpoint=service.checkpoints[0],
            )
            picker.build(builder)
        js = f"checkpoint => {update_props(title, 'checkpoint')}"
        builder.checkpoint.change(None, builder.checkpoint, title, js=js, **HERE)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as builder.tabs:
            for name in TABS:
                import_module(f"demo.tabs.{name}").build(builder)
        downloads.build(builder)
        reporting.build(builder)
        builder.connect()
        picker.follow(builder)
    # Closed to calls that would jump the queue.
    page.queue(max_size=WAITING_EVENTS, api_open=False)
    return page, {
        "theme": theme.theme(),
        "css_paths": [theme.STYLES],
        "favicon_path": Path(__file__).with_name("favicon.svg"),
        "js": _scripts(),
        "app_kwargs": {
            "routes": [samples.route(service), *([Mount("/v1", beside(api))] if api else []), ROBOTS],
            "middleware": [Middleware(Door, files=page.files, facts=builder.facts, limits=builder.limits)],
        },
        "i18n": builder.say.translations(),
        "footer_links": ["api"],
        "run_history": False,  # would keep prompts in the browser without being asked
        "max_file_size": MAX_UPLOAD_BYTES,
        "ssr_mode": False,  # Spaces set it: then Gradio's own styles would come after ours and win
    } | gradio_internals.LAUNCH


def _unwritable(request: gr.Request | None) -> str:
    return refused("The server cannot read or write a file, and its log says why: please try again later.", request)


def _scripts() -> str:
    """Return what runs when the page opens: each script is a function."""
    folder = Path(__file__).parent
    functions = [(folder / name).read_text(encoding="utf-8").strip() for name in SCRIPTS]
    called = "".join(f"({function})();\n" for function in (gradio_internals.SCRIPT, *functions))
    return f"() => {{\n{called}}}"
