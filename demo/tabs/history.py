"""The tab "history": what this browser has drawn, kept in its own storage; the server never sees it."""

from pathlib import Path

import gradio as gr

from demo.tab_builder import TabBuilder

FOLDER = Path(__file__).parent
TEMPLATE = (FOLDER / "history.html").read_text(encoding="utf-8")
BEHAVIOUR = (FOLDER / "history.js").read_text(encoding="utf-8")


def build(builder: TabBuilder) -> None:
    """Lay out the tab; it has no endpoint."""
    with builder.tab("history", "History", "历史"):
        history = gr.HTML(
            "",
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            apply_default_css=False,
            entries=[],  # read from the browser's database
            total=0,
            sought="",
            only_starred=False,
            removed=None,
            told="",  # what was refused
            ways=[],
            stay=builder.stay._asdict(),
            elem_classes="history",
        )
    builder.add_sender(history)
