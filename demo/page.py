"""The frame around the tabs: title, theme, keys, queue. What a visitor can do lies in `tabs/`."""

from html import escape
from pathlib import PurePath
from typing import Any

import gradio as gr

from demo import theme
from demo.studio import Studio
from demo.tabs import create

# Ctrl+Enter and Esc press the buttons, if these are to be seen.
KEYS = """
() => document.addEventListener("keydown", event => {
  const press = id => { const button = document.getElementById(id); if (button?.offsetParent) button.click(); };
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) press("draw");
  if (event.key === "Escape") press("stop");
})
"""

# Gradio takes these when the page is launched, not when it is built.
LAUNCH: dict[str, Any] = {
    "theme": theme.calm(),
    "css_paths": [theme.STYLES],
    "js": KEYS,
    "footer_links": ["api"],
    "run_history": False,  # would keep prompts in the browser without being asked
}

WAITING_VISITORS = 20
DELETE_SECONDS = (1800, 7200)  # every half an hour, the files older than two hours


def build(studio: Studio) -> gr.Blocks:
    """The whole page, ready to launch with `**LAUNCH`."""
    # Not the whole path: where the server keeps its files is nobody's business.
    name = escape(PurePath(studio.model.checkpoint).name)
    with gr.Blocks(title="Open DALL·E 2", analytics_enabled=False, delete_cache=DELETE_SECONDS) as page:
        gr.HTML(
            "<h1>Open DALL·E 2</h1>"
            f"<p>Say what you want to see: the checkpoint <b>{name}</b> draws it, step by step.</p>",
            elem_id="title",
        )
        create.build(studio)
    # Closed to calls that would jump the queue.
    return page.queue(max_size=WAITING_VISITORS, api_open=False)
