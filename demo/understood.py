"""The line that says what prompts were taken for, with what else may have been meant, to be drawn with a click."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.datasets.caption_words import in_style
from dalle2.understanding.answer import Understanding
from dalle2.understanding.sentences import sentences
from demo.language import Bilingual

TEMPLATE = Path(__file__).with_name("understood.html").read_text(encoding="utf-8").strip()
BEHAVIOUR = Path(__file__).with_name("picks.js").read_text(encoding="utf-8")
OTHER_WEIGHTS = Bilingual(
    "The checkpoint's weights have changed since: the picture will differ.", "模型的权重与当时不同：画出来会不一样。"
)


class Understood(gr.HTML):
    """Shows what `understanding_payload` makes.

    A click on an offer puts its prompt into the page's `window.picked`, and that which it is offered for into
    `window.pickedFor`: event "pick".
    """

    def __init__(self, value: dict[str, Any] | None = None, render: bool = True) -> None:
        options = {
            "html_template": TEMPLATE,
            "js_on_load": BEHAVIOUR,
            "elem_classes": "picks",
            "apply_default_css": False,
        }
        super().__init__(value, label="Understood", render=render, **options)


def understanding_payload(understandings: Sequence[Understanding], other_weights: bool = False) -> dict[str, Any]:
    """Return what API and page are told of a request's prompts; {} where all were taken as they are.

    Of one prompt it is {prompt, asked, concept, score, style, background, sentence, offers}; `offers` are what else
    may have been meant, each with the prompt to draw it by. Of several it is {sentence, prompts}, a row for each.
    """
    said = sentence_of(understandings)
    if other_weights:
        said = Bilingual(f"{said.en} {OTHER_WEIGHTS.en}".strip(), said.zh + OTHER_WEIGHTS.zh)
    rows = [_row(one) for one in understandings if not one.literal]
    if not rows and not said.en:
        return {}
    return {**(rows[0] if len(rows) == 1 else {"prompts": rows}), "sentence": said._asdict()}


def sentence_of(understandings: Sequence[Understanding]) -> Bilingual:
    """Return what is said of prompts, in both languages."""
    return Bilingual(sentences(understandings), sentences(understandings, "zh"))


def _row(understanding: Understanding) -> dict[str, Any]:
    concept, style = understanding.concept, understanding.style
    return {
        "prompt": understanding.prompt,
        "asked": understanding.asked,
        "concept": concept.label if concept else "",
        "score": concept.score if concept else 0.0,
        "style": style,
        "background": understanding.background,
        "offers": [
            {
                "en": near.label,
                "zh": near.chinese,
                "score": near.score,
                "prompt": f"{near.label}, {in_style(style)}" if style else near.label,
            }
            for near in understanding.alternatives
        ],
    }
