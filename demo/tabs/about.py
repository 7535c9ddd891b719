"""The tab "about": what this is and under which licence; folded, running it at home, the API, and the cards."""

import os
import re
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from dalle2.serving.api import links
from demo.language import hours
from demo.tab_builder import TabBuilder

TEMPLATE = Path(__file__).with_name("about.html").read_text(encoding="utf-8")
RELATIVE_LINK = re.compile(r"(?<!!)\[([^]]+)]\((?!https?:|#)[^)]+\)")


def build(builder: TabBuilder) -> None:
    """Lay out the tab; it has no endpoint."""
    with builder.tab("about", "About", "关于"), gr.Column(elem_classes="about"):
        space = os.environ.get("SPACE_ID", "")
        gr.HTML(
            "",
            html_template=TEMPLATE,
            js_on_load=None,
            elem_classes="at-home",
            mcp=os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true",  # as Gradio reads it
            stay=builder.stay._asdict(),
            api_stay=hours(links.SECONDS)._asdict(),
            source=f"https://huggingface.co/spaces/{quote(space)}" if space else "",
        )
        for checkpoint in builder.service.checkpoints:
            # A card's relative links lead to files beside it, which the page does not serve.
            card = RELATIVE_LINK.sub(r"\1", builder.service.card(checkpoint))
            with gr.Accordion(builder.say(f"The card of {checkpoint}", f"{checkpoint} 的模型卡"), open=False):
                gr.Markdown(card or f"# {checkpoint}\n\nThis checkpoint came without a card.", elem_classes="card")
