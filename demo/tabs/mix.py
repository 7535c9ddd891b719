"""The tab "mix": one picture of several pictures and prompts at once, by weight."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.serving.limits import words
from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.mix import Mix
from demo.answers import Answer, Order
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import DEFAULT_PICTURES, Destination, TabBuilder


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/mix`."""
    if not (builder.service.can("mix") and builder.service.can("variations")):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("mix", "Mix", "混合", "mix", "variations"), builder.task():
        with builder.asking():
            with gr.Row(elem_classes="sources"):
                first = OwnPicture(say("First picture", "第一张"), height=160)
                second = OwnPicture(say("Second picture", "第二张"), height=160)
            builder.photograph_hint(
                "This checkpoint knows {} only: a photograph counts as rough shapes in similar colours. Pictures drawn "
                "here and prompts work best.",
                "这个模型只认识{}：照片只被当作颜色相近的粗略形状。这里画的图片和文字描述效果最好。",
            )
            with gr.Row(elem_classes="sources"):
                first_weight = _weight(say("Weight of the first", "第一张的权重"), 0.5)
                second_weight = _weight(say("Weight of the second", "第二张的权重"), 0.5)
            prompt = gr.Textbox(
                "",
                label=say("Prompt (optional)", "描述（可选）"),
                placeholder=say("What else it should show", "还要有什么"),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            prompt_weight = _weight(say("Weight of the prompt", "描述的权重"), 0.5)
            controls = builder.controls("Mix", "混合")
            builder.understood("mix", controls, [prompt])
        pictures = builder.pictures()
        with builder.options():
            count = builder.count()
            seed, random_seed = builder.seed()
            literal = builder.literal()
            settings = builder.choices()

    def mix(
        first_picture: str | None = None,
        first_weight: float = 0.5,
        second_picture: str | None = None,
        second_weight: float = 0.5,
        prompt: str = "",
        prompt_weight: float = 0.5,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw pictures that mix up to two pictures and a prompt by their weights; answers as `/text_to_image`."""

        def ask() -> Mix:
            weighted = [(first_picture, first_weight), (second_picture, second_weight)]
            parts: list = [(open_picture(path), weight) for path, weight in weighted if path]
            if beside := words(prompt, needed=False):
                parts.append((beside, prompt_weight))
            if len(parts) < 2:
                raise Refusal("A mix needs at least two things: two pictures, or a picture and a prompt.")
            return Mix(parts)

        order = Order(None if random_seed else seed, settings, checkpoint, count, literal)
        yield from builder.draw(ask, order, Bilingual("Mix", "混合"), request)

    parts = [first, first_weight, second, second_weight, prompt, prompt_weight]
    inputs = [*parts, seed, random_seed, count, settings, literal]
    builder.on_draw(controls, mix, inputs, [pictures, seed])
    known = [(seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    known += [(literal, "!record.asked"), (first, "sources.0"), (second, "sources.1"), (prompt, "given.prompt")]
    known += [(first_weight, "given.first_weight"), (second_weight, "given.second_weight")]
    known.append((prompt_weight, "given.prompt_weight"))
    builder.add_reuse("mix", "mix", known)
    builder.add_destination(
        Destination("mix-first", "mix", Bilingual("Mix: first picture", "混合：第一张"), [(first, "image")])
    )
    builder.add_destination(
        Destination("mix-second", "mix", Bilingual("Mix: second picture", "混合：第二张"), [(second, "image")])
    )


def _weight(label: Any, value: float) -> gr.Slider:
    return gr.Slider(0, 1, value=value, step=0.05, label=label, buttons=[])
