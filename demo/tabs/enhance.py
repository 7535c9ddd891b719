"""The tab "enhance": a small picture enlarged by the upsampler alone."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.desk import Answer, Desk, OwnPicture, Way, answers
from demo.language import Both
from demo.studio import ENHANCING, Drawing, open_picture, reduced


def build(desk: Desk) -> None:
    """Lay out the tab, with the endpoint `/enhance`."""
    if not desk.studio.can("enhancement"):
        return
    say, first = desk.say, desk.studio.checkpoints[0]
    most = desk.studio.model().picture_size - 1
    side = (most + 1) // 4
    with desk.tab("enhance", "Enhance", "放大"), desk.task():
        with desk.asking():
            picture = OwnPicture(say("Small picture", "小图片"))
            bench = desk.bench("Enlarge", "放大")
        pictures = desk.pictures()
        with desk.options():
            start = gr.Slider(
                4,
                most,
                value=side,
                step=1,
                label=say("A larger one is first made so small, in pixels", "较大的图片先缩小到（像素）"),
                buttons=[],
            )
            seed, random_seed = desk.seed()
            settings = desk.choices(manner=ENHANCING)

    def enhance(
        picture: str,
        start: int = side,
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Enlarge the middle square of a small picture; one larger than `start` pixels is first made that small.

        Answers as `/text_to_image`, with one picture.
        """

        def draw() -> Iterator[Drawing]:
            small = reduced(open_picture(picture), start)
            yield from desk.studio.draw(
                lambda model, seeds, *how: model.enhance([small], seeds, *how),
                None if random_seed else seed,
                1,
                settings,
                checkpoint,
                manner=ENHANCING,
            )

        yield from answers(draw, Both("Enlarged", "放大").for_visitor(request), request)

    desk.draws(bench, enhance, [picture, start, seed, random_seed, settings], [pictures, seed])
    known = [(seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    desk.reuses("enhancement", "enhance", known)
    desk.takes(Way("enhance", "enhance", Both("Enhance", "放大"), [(picture, "image")]))
