"""The tab "Retouch": what a visitor paints over in a picture is repainted, the rest stays (inpainting)."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.requests import ANY_PICTURE
from dalle2.serving.limits import words
from dalle2.serving.uploads import open_mask, open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.inpaint import Inpaint
from demo.answers import Answer, Order
from demo.brush import Brush
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import DEFAULT_PICTURES, HERE, Destination, TabBuilder

# The picture goes under the brush without the server, and takes the earlier mask away.
UNDER = "picture => wire.update({value: null, props: {picture: picture?.url ?? null}})"


ANY = Inpaint(ANY_PICTURE, ANY_PICTURE, prompt="a prompt")


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/inpaint`."""
    if not builder.service.can("inpaint"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("inpaint", "Retouch", "修改", "inpaint"), builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture: mark what changes", "图片：标出要改的部分"))
            builder.photograph_hint(
                "This checkpoint knows {} only: what it paints into a photograph looks drawn.",
                "这个模型只认识{}：它画进照片里的部分看起来像图画。",
            )
            brush = Brush()
            prompt = gr.Textbox(
                "",
                label=say("Prompt for the whole picture (optional)", "整张图的描述（可选）"),
                placeholder=say("Leave empty to follow the picture", "留空则按原图补画"),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            controls = builder.controls("Repaint", "重画")
            builder.understood("inpaint", controls, [prompt])
        pictures = builder.pictures(compared=True)
        with builder.options():
            count = builder.count()
            seed, random_seed = builder.seed()
            literal = builder.literal()
            settings = builder.choices(like=ANY)
    picture.change(None, picture, brush, js=UNDER, **HERE)

    def inpaint(
        picture: str,
        mask: str | None = None,
        prompt: str = "",
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Repaint a picture's middle square where `mask` is white, and keep it where it is black.

        The mask has the picture's size, or is a square of any size that stands for its middle square. Answers as
        `/text_to_image`.
        """

        def ask() -> Inpaint:
            source, beside = open_picture(picture), words(prompt, needed=False) or None
            return Inpaint(source, open_mask(mask, source), prompt=beside)

        order = Order(None if random_seed else seed, settings, checkpoint, count, literal)
        yield from builder.draw(ask, order, Bilingual("Retouched", "修改"), request)

    builder.on_draw(
        controls, inpaint, [picture, brush, prompt, seed, random_seed, count, settings, literal], [pictures, seed]
    )
    known = [(picture, "sources.0"), (prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False)]
    known += [(settings, "record.settings"), (literal, "!record.asked")]
    builder.add_reuse("inpaint", "inpaint", known)
    builder.add_destination(Destination("inpaint", "inpaint", Bilingual("Retouch", "修改"), [(picture, "image")]))
