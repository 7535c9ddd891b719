"""The frame around the tabs: title, theme, keys. What a visitor can do lies in `tabs/`."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dalle2.serving.limits import MAX_UPLOAD_BYTES
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import ANY_PROMPT
from demo import downloads, gradio_internals, samples, theme
from demo.choices import presets
from demo.door import TITLE as NAME
from demo.door import Door
from demo.gradio_internals import Page, update_props
from demo.language import Both, refused
from demo.tab_builder import HERE, TabBuilder
from demo.zero import beside

# The tabs in the order in which they stand; each is a file.
TABS = (
    *("text_to_image", "variations", "interpolate", "mix", "text_diff", "inpaint", "outpaint", "enhance", "explain"),
    *("compare", "history", "about"),
)

TITLE = """${(() => {
  const zh = navigator.language.startsWith("zh"), said = drawn[checkpoint];
  const what = said ? `<strong>${zh ? said.zh : said.en}</strong> ` : "";
  const how = zh ? "写下想看的画面，再变化、混合、过渡。"
    : "Describe a picture, then vary, mix or morph it.";
  return `<h1>Open DALL·E 2</h1><p>${what}${how}</p>`;
})()}"""

SCRIPTS = ("page.js", "sharing.js", "keeping.js")

# Above the service's queue, which refuses with a sentence, this one only bounds memory.
WAITING_EVENTS = 200
DELETE_SECONDS = (1800, 7200)  # every half an hour, the files older than two hours


# Pages may be found, but nobody's pictures, and no crawler draws.
ROBOTS = Route("/robots.txt", lambda _: PlainTextResponse("User-agent: *\nAllow: /$\nDisallow: /\n"))


def build(service: Service, api: Any = None) -> tuple[gr.Blocks, dict[str, Any]]:
    """Return the whole page, and the arguments to launch it with, which Gradio wants only then.

    `api`, an ASGI application, is served beside it at /v1.
    """
    with Page(title=NAME, unwritable=_unwritable, analytics_enabled=False, delete_cache=DELETE_SECONDS) as page:
        builder = TabBuilder(service, page)
        with gr.Row(elem_id="head"):
            title = gr.HTML(
                "",
                html_template=TITLE,
                js_on_load=None,
                elem_id="title",
                drawn={name: _drawn(service.model(name)) for name in service.checkpoints},
                checkpoint=service.checkpoints[0],
            )
            builder.checkpoint = gr.Dropdown(
                list(service.checkpoints),
                value=service.checkpoints[0],
                label=builder.say("Checkpoint", "模型"),
                visible=len(service.checkpoints) > 1,
                elem_id="checkpoint",
            )
        js = f"checkpoint => {update_props(title, 'checkpoint')}"
        builder.checkpoint.change(None, builder.checkpoint, title, js=js, **HERE)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as builder.tabs:
            for name in TABS:
                import_module(f"demo.tabs.{name}").build(builder)
        downloads.build(builder)
        builder.connect()
    # Closed to calls that would jump the queue.
    page.queue(max_size=WAITING_EVENTS, api_open=False)
    return page, {
        "theme": theme.theme(),
        "css_paths": [theme.STYLES],
        "favicon_path": Path(__file__).with_name("favicon.svg"),
        "js": _scripts(service),
        "app_kwargs": {
            "routes": [*samples.routes(service), *([Mount("/v1", beside(api))] if api else []), ROBOTS],
            "middleware": [Middleware(Door, files=page.files)],
        },
        "i18n": builder.say.translations(),
        "footer_links": ["api"],
        "run_history": False,  # would keep prompts in the browser without being asked
        "max_file_size": MAX_UPLOAD_BYTES,
        "ssr_mode": False,  # Spaces set it: then Gradio's own styles would come after ours and win
    } | gradio_internals.LAUNCH


def _unwritable(request: gr.Request | None) -> str:
    return refused("The server cannot read or write a file, and its log says why: please try again later.", request)


def _drawn(model: Any) -> dict[str, str] | None:
    """Return what the checkpoint draws, where that is not pictures of all kinds: its subject, its styles, its size."""
    if not model.subject:
        return None
    side, many = model.picture_size, len(model.styles)
    en, zh = model.subject.get("en", ""), model.subject.get("zh") or model.subject.get("en", "")
    styles = Both(f" in {_number(many)} styles", f"，{many} 种风格") if many > 1 else Both("", "")
    size = f"{side}\u00a0×\u00a0{side}"  # on one line
    return Both(f"Draws {en}{styles.en}, {size}\u00a0pixels.", f"只画{zh}{styles.zh}，{size} 像素。")._asdict()


def _number(many: int) -> str:
    return ("two", "three", "four", "five", "six", "seven", "eight", "nine")[many - 2] if many < 10 else str(many)


def _scripts(service: Service) -> str:
    """Return what runs when the page opens: each script is a function, and finds the presets of the checkpoints."""
    folder = Path(__file__).parent
    functions = [(folder / name).read_text(encoding="utf-8").strip() for name in SCRIPTS]
    called = "".join(f"({function})();\n" for function in (gradio_internals.SCRIPT, *functions))
    limits = f"window.mostBytes = {MAX_UPLOAD_BYTES};\nwindow.presets = {json.dumps(presets(service, ANY_PROMPT))};"
    return f"() => {{\n{limits}\n{called}}}"
