"""What a visitor who is still typing may mean, to be taken with a click or the arrow keys."""

from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.serving.service import Service
from demo.language import Bilingual, language_of

TEMPLATE = Path(__file__).with_name("suggestions.html").read_text(encoding="utf-8").strip()
BEHAVIOUR = Path(__file__).with_name("suggestions.js").read_text(encoding="utf-8")


class Suggestions(gr.HTML):
    """Shows what `suggested` makes. A click on one puts the whole prompt into `window.picked`: event "pick"."""

    def __init__(self, value: dict[str, Any] | None = None, render: bool = True) -> None:
        options = {
            "html_template": TEMPLATE,
            "js_on_load": BEHAVIOUR,
            "elem_classes": "picks",
            "apply_default_css": False,
        }
        super().__init__(value, label="Suggestions", elem_id="suggestions", render=render, **options)


def suggested(service: Service, prompt: str, checkpoint: str, request: gr.Request | None) -> dict[str, Any]:
    """Tell what the prompt may become, in the visitor's language; concepts that were never trained on are marked."""
    found = service.suggest(prompt, language_of(request), checkpoint)
    return {"suggestions": [{"label": one.label, "prompt": one.prompt, "trained": one.trained} for one in found]}


def surprise(service: Service, checkpoint: str, request: gr.Request | None) -> str:
    """Name a concept that comes out well, in English or Chinese."""
    near = service.surprise(checkpoint)
    return Bilingual(near.label, near.chinese).for_visitor(request)
