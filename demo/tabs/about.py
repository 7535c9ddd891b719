"""The tab "about": the checkpoints' cards with their licences, running it at home, and the API."""

import re
from pathlib import Path

import gradio as gr

from demo.desk import Desk

TEMPLATE = Path(__file__).with_name("about.html").read_text(encoding="utf-8")
RELATIVE_LINK = re.compile(r"(?<!!)\[([^]]+)]\((?!https?:|#)[^)]+\)")


def build(desk: Desk) -> None:
    """Lay out the tab; it has no endpoint."""
    with desk.tab("about", "About", "关于"), gr.Column(elem_classes="about"):
        gr.HTML("", html_template=TEMPLATE, js_on_load=None, elem_classes="at-home")
        for checkpoint in desk.studio.checkpoints:
            # A card's relative links lead to files beside it, which the page does not serve.
            card = RELATIVE_LINK.sub(r"\1", desk.studio.card(checkpoint))
            gr.Markdown(card or f"# {checkpoint}\n\nThis checkpoint came without a card.", elem_classes="card")
