"""The line that says what a prompt was taken for, with what else may have been meant, to be drawn with a click."""

from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.understanding.answer import Understanding
from dalle2.understanding.sentences import sentence
from demo.language import Both

TEMPLATE = Path(__file__).with_name("understood.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("picks.js").read_text(encoding="utf-8")
OTHER_WEIGHTS = Both(
    "The checkpoint's weights have changed since: the picture will differ.", "模型的权重与当时不同：画出来会不一样。"
)


class Understood(gr.HTML):
    """Shows what `told` makes. A click on an offer puts its prompt into the page's `window.picked`: event "pick"."""

    def __init__(self, value: dict[str, Any] | None = None, render: bool = True) -> None:
        how = {"html_template": TEMPLATE, "js_on_load": BEHAVIOUR, "elem_classes": "picks", "apply_default_css": False}
        super().__init__(value, label="Understood", render=render, **how)


def told(understanding: Understanding, other_weights: bool = False) -> dict[str, Any]:
    """Return an understanding as API and page show it; {} where the words were taken as they are.

    `offers` are what else may have been meant, each with the prompt to draw it by.
    """
    said = Both(sentence(understanding), sentence(understanding, "zh"))
    if other_weights:
        said = Both(f"{said.en} {OTHER_WEIGHTS.en}".strip(), said.zh + OTHER_WEIGHTS.zh)
    if understanding.literal and not said.en:
        return {}
    concept, style = understanding.concept, understanding.style
    return {
        "prompt": understanding.prompt,
        "asked": understanding.asked,
        "concept": concept.label if concept else "",
        "score": concept.score if concept else 0.0,
        "style": style,
        "background": understanding.background,
        "sentence": said._asdict(),
        "offers": [
            {
                "en": near.label,
                "zh": near.chinese,
                "score": near.score,
                "prompt": f"{near.label}, {style} style" if style else near.label,
            }
            for near in understanding.alternatives
        ],
    }


def understand(
    service: Service, prompt: str, checkpoint: str, literal: bool, request: gr.Request | None
) -> Understanding:
    """Return what a prompt is taken for; Refusal, in the visitor's language, where nothing known is near enough."""
    found = service.understand(prompt, checkpoint, literal)
    if not found.known:
        raise NotKnown(found, request)
    return found


class NotKnown(Refusal):
    """The prompt is of something that the checkpoint does not know."""

    def __init__(self, understanding: Understanding, request: gr.Request | None) -> None:
        super().__init__(Both(sentence(understanding), sentence(understanding, "zh")).for_visitor(request))
        self.understanding = understanding
