"""The tab "Restyle": a picture moved by words, from what it is to what it should become (paper, section 3.3)."""

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.datasets.caption_words import in_style
from dalle2.requests import ANY_PICTURE
from dalle2.serving.limits import MAX_FRAMES, check_count, words
from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS, STRENGTHS
from dalle2.tasks.text_diff import TextDiff
from demo.answers import Answer, Order
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import HERE, Destination, TabBuilder

DEFAULT_FRAMES = 6
STRONGEST = {way: strengths[-1] for way, strengths in STRENGTHS.items()}
# The way that the chosen checkpoint has, with its greatest strength.
USUAL = """checkpoint => {
  const way = window.checkpoints[checkpoint].priors.includes("diffusion") ? "prior" : "slerp";
  return [way, (%s)[way]];
}"""
LANDSCAPES = Bilingual("a summer landscape", "夏天的风景"), Bilingual("a winter landscape", "冬天的风景")


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/text_diff`."""
    if not builder.service.can("text_diff"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    usual = "prior" if "diffusion" in builder.service.model(first).priors else "slerp"
    styles = builder.service.model(first).styles
    before, after = [_in_style(style) for style in (styles[0], styles[-1])] if len(styles) > 1 else LANDSCAPES
    with builder.tab("text_diff", "Restyle", "改写", "text_diff"), builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture", "图片"))
            builder.photograph_hint(
                "This checkpoint knows {} only: restyle a drawing. A photograph loses what it shows.",
                "这个模型只认识{}：请改写图画。照片会失去原来的内容。",
            )
            new = gr.Textbox(
                "",
                label=say("What it should become", "变成什么"),
                placeholder=say(*after),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            old = gr.Textbox(
                "",
                label=say("What it is now (optional)", "现在是什么（可选）"),
                placeholder=say(*before),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            controls = builder.controls("Restyle", "改写")
            builder.understood("text_diff", controls, [new, old])
        pictures = builder.pictures(film=True, captioned=True, compared=True)
        with builder.options():
            way = gr.Radio(
                [
                    (say("Invert the prior, change the text", "反演先验，换成新文本"), "prior"),
                    (say("Text diff by slerp, as in the paper", "文本差值（slerp，论文方法）"), "slerp"),
                ],
                value=usual,
                label=say("Method", "方法"),
            )
            strongest = gr.Slider(
                0.05, 1, value=STRONGEST[usual], step=0.05, label=say("Maximum strength", "最大强度"), buttons=[]
            )
            count = gr.Slider(
                2, MAX_FRAMES, value=DEFAULT_FRAMES, step=1, label=say("Number of pictures", "图片数量"), buttons=[]
            )
            seed, random_seed = builder.seed()
            literal = builder.literal()
            settings = builder.choices(like=TextDiff(ANY_PICTURE, "a prompt"))

    def text_diff(
        picture: str,
        new: str,
        old: str = "",
        strongest: float = STRONGEST[usual],
        count: int = DEFAULT_FRAMES,
        way: Any = usual,
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Move a picture from what `old` says, or from nothing said, to what `new` says.

        Answers as `/text_to_image`, with `count` pictures of growing strength, from 0, the picture as the model sees
        it, to `strongest`. The way "prior" lets the prior rewrite the picture; "slerp", the paper's, turns it toward
        the difference of the two texts, which alone is left at 1.
        """

        def ask() -> TextDiff:
            source = open_picture(picture)
            if not (new or "").strip():
                raise Refusal('"What it should become" is empty: write what the picture should turn into.')
            strengths = _strengths(strongest, check_count(count, MAX_FRAMES))
            return TextDiff(source, words(new), words(old, needed=False) or None, strengths, way)

        strength = Bilingual("Strength", "强度")
        order = Order(None if random_seed else seed, settings, checkpoint, literal=literal)
        yield from builder.draw(
            ask, order, strength, request, lambda record: f"{strength.for_visitor(request)} {record['strength']:.2g}"
        )

    builder.checkpoint.change(None, builder.checkpoint, [way, strongest], js=USUAL % json.dumps(STRONGEST), **HERE)
    way.input(None, way, strongest, js=f"way => ({json.dumps(STRONGEST)})[way]", **HERE)
    inputs = [picture, new, old, strongest, count, way, seed, random_seed, settings, literal]
    builder.on_draw(controls, text_diff, inputs, [pictures, seed])
    known = [(new, "record.new"), (old, "record.old"), (way, "record.way"), (seed, "record.seed"), (random_seed, False)]
    known += [(picture, "sources.0"), (settings, "record.settings"), (literal, "!record.asked")]
    known += [(strongest, "given.strongest"), (count, "given.count")]
    builder.add_reuse("text_diff", "text_diff", known)
    builder.add_destination(Destination("text_diff", "text_diff", Bilingual("Restyle", "改写"), [(picture, "image")]))


def _in_style(style: str) -> Bilingual:
    return Bilingual(in_style(style), f"{style}风格")


def _strengths(strongest: float, count: int) -> list[float]:
    """From 0 to the strongest, evenly; one is the strongest."""
    return [strongest * index / (count - 1) for index in range(count)] if count > 1 else [strongest]
