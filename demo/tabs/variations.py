"""The tab "variations": other pictures with the content of one (paper, section 3.1)."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.requests import ANY_PICTURE
from dalle2.serving.limits import words
from dalle2.serving.uploads import open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.variations import Variations
from demo.answers import Answer, Order
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import DEFAULT_PICTURES, HERE, Destination, TabBuilder

DEFAULT_ETA = 0.5
FREE, KEPT = Variations(ANY_PICTURE), Variations(ANY_PICTURE, eta=DEFAULT_ETA)


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/variations`."""
    if not builder.service.can("variations"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("variations", "Variations", "变体", "variations"), builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture", "图片"))
            builder.photograph_hint(
                "This checkpoint knows {} only: from a photograph it draws rough shapes in similar colours, and seldom "
                "what the photograph shows.",
                "这个模型只认识{}：给它照片，它只会画出颜色相近的粗略形状，很少像照片里的内容。",
            )
            prompt = gr.Textbox(
                "",
                label=say("Prompt (optional)", "描述（可选）"),
                placeholder=say("What the picture shows", "图片里有什么"),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            controls = builder.controls()
            builder.understood("variations", controls, [prompt])
        pictures = builder.pictures()
        with builder.options():
            count = builder.count()
            seed, random_seed = builder.seed()
            invertible = builder.service.can("reconstruct")
            keep = gr.Checkbox(False, label=say("Keep the composition", "保持构图"), visible=invertible)
            eta = gr.Slider(
                0,
                1,
                value=DEFAULT_ETA,
                step=0.05,
                label=say("Amount of change (eta): 0 reproduces the picture", "变化程度（eta）：0 重现原图"),
                buttons=[],
                visible=False,
            )
            literal = builder.literal()
            settings = builder.choices(like=FREE, switch=keep, switched=KEPT)

    def variations(
        picture: str,
        prompt: str = "",
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        keep_composition: bool = False,
        eta: float = DEFAULT_ETA,
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw pictures with the content of a picture, beside a prompt if there is one; answers as `/text_to_image`.

        With `keep_composition` they start from the picture's own noise: at `eta` 0 it is the same picture, as the
        model sees it, and at 1 only its rough composition stays.
        """

        def ask() -> Variations:
            beside = words(prompt, needed=False) or None
            return Variations(open_picture(picture), beside, eta if keep_composition else None)

        order = Order(None if random_seed else seed, settings, checkpoint, count, literal)
        yield from builder.draw(ask, order, Bilingual("Variation", "变体"), request)

    inputs = [picture, prompt, seed, random_seed, count, settings, keep, eta, literal]
    builder.on_draw(controls, variations, inputs, [pictures, seed])
    keep.change(None, keep, eta, js="on => wire.update({visible: on})", **HERE)
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    known.append((literal, "!record.asked"))
    known += [(picture, "sources.0"), (keep, "record.inverted"), (eta, "record.settings.decoder.eta")]
    builder.add_reuse("variations", "variations", known)
    builder.add_destination(
        Destination("vary", "variations", Bilingual("Vary", "变体"), [(picture, "image")], near=True, press="draw")
    )
