"""The tab "variations": other pictures with the content of one (paper, section 3.1)."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.desk import DEFAULT_PICTURES, Answer, Desk, OwnPicture, Way, answers
from demo.language import Both
from demo.studio import MAX_PROMPT_CHARACTERS, Drawing, open_picture, words


def build(desk: Desk) -> None:
    """Lay out the tab, with the endpoint `/variations`."""
    if not desk.studio.can("variations"):
        return
    say, first = desk.say, desk.studio.checkpoints[0]
    with desk.tab("variations", "Variations", "变体"), desk.task():
        with desk.asking():
            picture = OwnPicture(say("Picture", "图片"))
            prompt = gr.Textbox(
                "",
                label=say("Prompt, if you like", "描述（可选）"),
                placeholder=say("What the picture shows", "图片里有什么"),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            bench = desk.bench()
        pictures = desk.pictures()
        with desk.options():
            count = desk.count()
            seed, random_seed = desk.seed()
            settings = desk.choices()

    def variations(
        picture: str,
        prompt: str = "",
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw pictures with the content of a picture, beside a prompt if there is one; answers as `/text_to_image`."""

        def draw() -> Iterator[Drawing]:
            source, beside = open_picture(picture), words(prompt, needed=False)
            yield from desk.studio.draw(
                lambda model, seeds, chosen, on_step: model.variations(source, seeds, beside or None, chosen, on_step),
                None if random_seed else seed,
                count,
                settings,
                checkpoint,
            )

        yield from answers(draw, Both("Variation", "变体").for_visitor(request), request)

    desk.draws(bench, variations, [picture, prompt, seed, random_seed, count, settings], [pictures, seed])
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    desk.reuses("variations", "variations", known)
    desk.takes(Way("vary", "variations", Both("Vary", "变体"), [(picture, "image")]))
