"""The frame around the tabs: title, theme, keys. What a visitor can do lies in `tabs/`."""

from importlib import import_module
from pathlib import Path
from typing import Any

import gradio as gr

from demo import theme
from demo.desk import Desk
from demo.studio import MAX_UPLOAD_BYTES, Studio

# The tabs in the order in which they stand; each is a file.
TABS = (
    *("create", "variations", "interpolate", "mix", "restyle", "retouch", "extend", "enhance", "explain"),
    *("compare", "history", "about"),
)

TITLE = """<h1>Open DALL·E 2</h1><p>${navigator.language.startsWith("zh")
  ? "写下想看的画面，再变化、混合、过渡。" : "Say what you would like to see, then vary it, mix it, morph it."}</p>"""

# Above the line of the studio, which refuses with a sentence, this one only bounds memory.
WAITING_EVENTS = 200
DELETE_SECONDS = (1800, 7200)  # every half an hour, the files older than two hours


def build(studio: Studio) -> tuple[gr.Blocks, dict[str, Any]]:
    """The whole page, and the arguments to launch it with, which Gradio wants only then."""
    with gr.Blocks(title="Open DALL·E 2", analytics_enabled=False, delete_cache=DELETE_SECONDS) as page:
        desk = Desk(studio, page)
        with gr.Row(elem_id="head"):
            gr.HTML("", html_template=TITLE, js_on_load=None, elem_id="title")
            desk.checkpoint = gr.Dropdown(
                list(studio.checkpoints),
                value=studio.checkpoints[0],
                label=desk.say("Checkpoint", "模型"),
                visible=len(studio.checkpoints) > 1,
                elem_id="checkpoint",
            )
        with gr.Tabs(elem_id="tabs") as desk.tabs:
            for name in TABS:
                import_module(f"demo.tabs.{name}").build(desk)
        desk.connect()
    # Closed to calls that would jump the queue.
    page.queue(max_size=WAITING_EVENTS, api_open=False)
    return page, {
        "theme": theme.calm(),
        "css_paths": [theme.STYLES],
        "favicon_path": Path(__file__).with_name("favicon.svg"),
        "js": Path(__file__).with_name("page.js").read_text(encoding="utf-8"),
        "i18n": desk.say.translations(),
        "footer_links": ["api"],
        "run_history": False,  # would keep prompts in the browser without being asked
        "max_file_size": MAX_UPLOAD_BYTES,
        "_frontend": False,  # else a machine too busy to answer itself within three seconds would not start the page
        "ssr_mode": False,  # Spaces set it: then Gradio's own styles would come after ours and win
    }
