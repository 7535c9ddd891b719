"""The tab "interpolate": the way from a picture or prompt to another, in frames (paper, section 3.2)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from dalle2.serving.limits import MAX_FRAMES, check_count, words
from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import open_picture
from dalle2.serving.visitors import Files
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.interpolate import Interpolate
from demo import film
from demo.answers import Order
from demo.gradio_internals import cache_file, cache_of
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.tab_builder import Destination, TabBuilder

DEFAULT_FRAMES = 8


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/interpolate`."""
    if not (builder.service.can("interpolate") and builder.service.can("variations")):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    places: list[OwnPicture] = []
    prompts: list[gr.Textbox] = []

    def end(name: str) -> None:
        with gr.Column(min_width=140, elem_classes="end"):
            places.append(OwnPicture(name, height=160))
            prompts.append(
                gr.Textbox(
                    "",
                    label=say(f"Prompt for {name}, instead of a picture", f"{name} 的描述（代替图片）"),
                    max_length=MAX_PROMPT_CHARACTERS,
                )
            )

    with builder.tab("interpolate", "Interpolate", "过渡", "interpolate", "variations"), builder.task():
        with builder.asking():
            with gr.Row(elem_classes="sources"):
                end("A")
                end("B")
            builder.photograph_hint(
                "This checkpoint knows {} only: a photograph counts as rough shapes in similar colours. Pictures drawn "
                "here and prompts work best.",
                "这个模型只认识{}：照片只被当作颜色相近的粗略形状。这里画的图片和文字描述效果最好。",
            )
            with gr.Accordion(say("Add C and D", "添加 C 和 D"), open=False), gr.Row(elem_classes="sources"):
                end("C")
                end("D")
            controls = builder.controls()
            builder.understood("interpolate", controls, prompts)
        with gr.Column(elem_classes="results"):
            pictures = builder.pictures(film=True)
            with gr.Row(elem_classes="films"):
                gif = gr.DownloadButton("GIF", size="sm", visible=False)
                mp4 = gr.DownloadButton("MP4", size="sm", visible=False)
        with builder.options():
            frames = gr.Slider(
                2, MAX_FRAMES, value=DEFAULT_FRAMES, step=1, label=say("Number of frames", "帧数"), buttons=[]
            )
            seed, random_seed = builder.seed()
            literal = builder.literal()
            settings = builder.choices()

    def interpolate(
        picture_a: str | None = None,
        prompt_a: str = "",
        picture_b: str | None = None,
        prompt_b: str = "",
        picture_c: str | None = None,
        prompt_c: str = "",
        picture_d: str | None = None,
        prompt_d: str = "",
        frames: int = DEFAULT_FRAMES,
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[tuple[Any, int, Any, Any, dict[str, Any]]]:
        """Draw the way through two to four ends, each a picture or a prompt; the picture counts where both are given.

        Answers as `/text_to_image`, with a GIF and an MP4 of the way at the end.
        """
        asked = [(picture_a, prompt_a), (picture_b, prompt_b), (picture_c, prompt_c), (picture_d, prompt_d)]

        def ask() -> Interpolate:
            ends = [open_picture(path) if path else words(text) for path, text in asked if path or (text or "").strip()]
            if len(ends) < 2:
                raise Refusal("An interpolation needs at least two ends: give A and B a picture or a prompt.")
            return Interpolate(ends, check_count(frames, MAX_FRAMES))

        order = Order(None if random_seed else seed, settings, checkpoint, literal=literal)
        hidden = gr.DownloadButton(visible=False)
        for shown, first_seed, state in builder.draw(ask, order, Bilingual("Frame", "帧"), request):
            drawn = [picture for picture, _ in shown] if state["state"] == "done" else []
            yield (
                shown,
                first_seed,
                *(_films(drawn, cache_of(gif), builder.files) if drawn else (hidden, hidden)),
                state,
            )

    inputs = [part for both in zip(places, prompts, strict=True) for part in both]
    inputs += [frames, seed, random_seed, settings, literal]
    builder.on_draw(controls, interpolate, inputs, [pictures, seed, gif, mp4])
    known = [(seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    known.append((literal, "!record.asked"))
    known += [(place, f"sources.{index}") for index, place in enumerate(places)]
    known += [(box, f"given.prompt_{letter}") for box, letter in zip(prompts, "abcd", strict=True)]
    known.append((frames, "given.frames"))
    builder.add_reuse("interpolate", "interpolate", known)
    builder.add_destination(
        Destination("end-a", "interpolate", Bilingual("Interpolate from it", "从这张过渡"), [(places[0], "image")])
    )
    builder.add_destination(
        Destination("end-b", "interpolate", Bilingual("Interpolate to it", "过渡到这张"), [(places[1], "image")])
    )


def _films(frames: list[Image.Image], cache: str, noted: Files) -> tuple[gr.DownloadButton, gr.DownloadButton]:
    """Return the two downloads, ready to be shown; Gradio deletes their files, which are `noted`, in time."""
    with tempfile.TemporaryDirectory() as folder:
        made = (
            film.write_gif(frames, Path(folder, "interpolation.gif")),
            film.write_mp4(frames, Path(folder, "interpolation.mp4")),
        )
        gif, mp4 = (cache_file(file, cache) for file in made)
    noted.update((gif, mp4))  # the button that an update makes is unknown to Gradio's cleaning
    return gr.DownloadButton(value=gif, visible=True), gr.DownloadButton(value=mp4, visible=True)
