"""The tab "enhance": a small picture enlarged by the upsampler alone."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.requests import ANY_PICTURE
from dalle2.serving.forms import check_enlarging
from dalle2.serving.uploads import open_picture
from dalle2.settings import SIZES
from dalle2.tasks.enhance import Enhance
from demo.answers import Answer, Order
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import Destination, TabBuilder


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/enhance`."""
    if not builder.service.can("enhance"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("enhance", "Enhance", "放大", "enhance"), builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture", "图片"))
            builder.hint(
                "Its shorter side may have up to {} pixels; the middle square is enlarged.",
                "短边最多 {} 像素；放大正中的方形。",
                "side",
            )
            controls = builder.controls("Enlarge", "放大")
        pictures = builder.pictures(compared=True)
        with builder.options():
            size = gr.Radio(list(SIZES), value=SIZES[0], label=say("Pixels a side", "边长（像素）"))
            seed, random_seed = builder.seed()
            settings = builder.choices(like=Enhance(ANY_PICTURE))

    def enhance(
        picture: str,
        size: int = SIZES[0],
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Enlarge the middle square of a small picture to `size` pixels a side, by the upsampler alone.

        The result is larger than what came in; a picture that the checkpoint could only make worse is refused.
        Answers as `/text_to_image`, with one picture.
        """

        def ask() -> Enhance:
            small = open_picture(picture)
            check_enlarging(builder.service.model(checkpoint), small, size)
            return Enhance(small, size)

        order = Order(None if random_seed else seed, settings, checkpoint)
        yield from builder.draw(ask, order, Bilingual("Enlarged", "放大"), request)

    builder.on_draw(controls, enhance, [picture, size, seed, random_seed, settings], [pictures, seed])
    known = [(picture, "sources.0"), (size, "record.size"), (seed, "record.seed"), (random_seed, False)]
    builder.add_reuse("enhance", "enhance", [*known, (settings, "record.settings")])
    # What a checkpoint has drawn is as large as it can take it here; another one may draw larger pictures.
    to_here = [(picture, "image")]
    builder.add_destination(Destination("enhance", "enhance", Bilingual("Enhance", "放大"), to_here, enlarges=True))
