"""The tab "Extend": a picture made small, and the world around it painted (outpainting)."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from dalle2.requests import ANY_PICTURE
from dalle2.serving.limits import words
from dalle2.serving.uploads import open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.outpaint import Outpaint
from demo import samples
from demo.answers import Answer, Order
from demo.gradio_internals import cache_file, cache_of
from demo.inputs import OwnPicture
from demo.language import Bilingual
from demo.picks import Picks
from demo.tab_builder import DEFAULT_PICTURES, HERE, Destination, TabBuilder

SHARE = 0.6
ANY = Outpaint(ANY_PICTURE, prompt="a prompt")


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoint `/outpaint`."""
    if not builder.service.can("outpaint"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("outpaint", "Extend", "扩展", "outpaint"), builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture", "图片"))
            builder.photograph_hint(
                "This checkpoint knows {} only, one at a time: it paints a larger one behind the picture. Name another "
                "one in the prompt, such as “a balloon”, to have that behind it. Around a photograph it paints rough "
                "shapes.",
                "这个模型只认识{}，一次只画一个：它会在图片后面画一个更大的。在描述里写别的内容（如“气球”），"
                "后面就画那个。在照片周围它只会画出粗略的形状。",
            )
            prompt = gr.Textbox(
                "",
                label=say("Prompt for the whole picture (optional)", "整张图的描述（可选）"),
                placeholder=say("Leave empty to follow the picture", "留空则按原图补画"),
                max_length=MAX_PROMPT_CHARACTERS,
            )
            controls = builder.controls("Extend", "扩展")
            builder.understood("outpaint", controls, [prompt])
            picks = Picks("pictures", builder.checkpoint.value, Bilingual("Or try one of these", "或试试这些"))
            picks.follow(builder.checkpoint, HERE)
        pictures = builder.pictures()
        with builder.options():
            share = _part(say("Size of the picture in the new one", "原图在新图中的大小"), SHARE, 0.2, 0.9)
            across = _part(say("Horizontal position", "水平位置"), 0.5)
            down = _part(say("Vertical position", "垂直位置"), 0.5)
            count = builder.count()
            seed, random_seed = builder.seed()
            blend = gr.Checkbox(True, label=say("Blend with the surroundings", "与周围融合"))
            literal = builder.literal()
            settings = builder.choices(like=ANY)
    _example(builder, picture, prompt, picks)

    def outpaint(
        picture: str,
        prompt: str = "",
        share: float = SHARE,
        across: float = 0.5,
        down: float = 0.5,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        blend: bool = True,
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Paint the world around a picture's middle square; answers as `/text_to_image`.

        The picture then covers `share` of the side, and stands at `across` and `down`: 0 is left and top, 1 right
        and bottom.
        """

        def ask() -> Outpaint:
            beside = words(prompt, needed=False) or None
            return Outpaint(open_picture(picture), share, (across, down), blend is True, prompt=beside)

        order = Order(None if random_seed else seed, settings, checkpoint, count, literal)
        yield from builder.draw(ask, order, Bilingual("Extended", "扩展"), request)

    inputs = [picture, prompt, share, across, down, seed, random_seed, count, settings, blend, literal]
    builder.on_draw(controls, outpaint, inputs, [pictures, seed])
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    known.append((literal, "!record.asked"))
    known += [(picture, "sources.0"), (share, "record.share"), (across, "record.anchor.0"), (down, "record.anchor.1")]
    known += [(blend, "record.blend")]
    builder.add_reuse("outpaint", "outpaint", known)
    builder.add_destination(Destination("outpaint", "outpaint", Bilingual("Extend", "扩展"), [(picture, "image")]))


def _example(builder: TabBuilder, picture: OwnPicture, prompt: gr.Textbox, picks: Picks) -> None:
    """Let a click on a sample of the checkpoint extend it."""

    def example(name: str, checkpoint: str) -> tuple[str, str]:
        with builder.service.lease(checkpoint) as lease:
            lease.wait()
            file = samples.example_file(builder.service, checkpoint, name)
        return cache_file(file, cache_of(picture)), ""

    js = "(name, checkpoint) => [window.picked, checkpoint]"
    picked = picks.pick(example, [prompt, builder.checkpoint], [picture, prompt], js=js, **HERE)
    picked.success(None, None, None, js="() => window.arrive('outpaint', 'draw')", **HERE)


def _part(label: Any, value: float, least: float = 0, most: float = 1) -> gr.Slider:
    return gr.Slider(least, most, value=value, step=0.05, label=label, buttons=[])
