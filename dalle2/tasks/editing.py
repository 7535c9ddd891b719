"""A picture changed in place: inpainting, outpainting, enhancement.

One convention for masks: white is repainted, black is kept, grey blends.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from dalle2 import images
from dalle2.settings import OnStep, Settings, check_prompt
from dalle2.verbs import Kept, Verbs, generators, name_of


def inpaint(
    model: Verbs,
    picture: Image.Image,
    mask: Image.Image,
    seeds: Sequence[int],
    prompt: str | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """The picture's middle square with what is white in `mask` painted anew, one for each seed.

    Where the mask is black, not a level of a pixel changes. Without a prompt it is painted in the picture's own
    spirit. ValueError when mask and picture differ in size; a mask without white gives the picture back.
    """
    mask = images.to_mask(mask)
    if mask.size != picture.size:
        raise ValueError(
            f"The mask has {_size(mask)} pixels and the picture {_size(picture)}: make them the same size."
        )
    square = images.square(images.to_rgb(picture), model.picture_size)
    details = {"picture": name_of(picture), "mask": name_of(mask)}
    repaint = images.square(mask, model.picture_size)
    return _repaint(model, "inpainting", (square, repaint, picture), seeds, prompt, settings, on_step, details)


def outpaint(  # noqa: PLR0913
    model: Verbs,
    picture: Image.Image,
    seeds: Sequence[int],
    prompt: str | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    share: float = 0.5,
    anchor: tuple[float, float] = (0.5, 0.5),
) -> list[Image.Image]:
    """The picture's middle square made small and the world around it painted, one for each seed.

    It then covers `share` (above 0, below 1) of the side, and stands at `anchor`, 0 being left and top, 1 right
    and bottom.
    """
    canvas, mask = images.surround(picture, model.picture_size, share, anchor)
    details = {"picture": name_of(picture), "share": share, "anchor": list(anchor)}
    return _repaint(model, "outpainting", (canvas, mask, picture), seeds, prompt, settings, on_step, details)


def enhance(
    model: Verbs,
    pictures: Sequence[Image.Image],
    seeds: Sequence[int],
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> list[Image.Image]:
    """The middle square of each small picture, enlarged by the upsampler alone."""
    model.require("enhancement")
    if len(pictures) != len(seeds):
        raise ValueError("enhance takes as many seeds as pictures, one for each.")
    drawn = []
    for picture, generator in zip(pictures, generators(seeds), strict=True):
        side = min(picture.size)
        if side >= model.picture_size:
            raise ValueError(
                f"The picture has {_size(picture)} pixels, and the upsampler of this checkpoint makes "
                f"{model.picture_size} × {model.picture_size}: give a smaller one."
            )
        small = images.to_tensor([images.square(images.to_rgb(picture), side)])
        drawn += images.to_pictures(model.upsample(small, [generator], settings, on_step))
    details = [{"picture": name_of(picture)} for picture in pictures]
    return model.sign("enhancement", drawn, seeds, settings, details)


def _repaint(  # noqa: PLR0913
    model: Verbs,
    task: str,
    sources: tuple[Image.Image, Image.Image, Image.Image],
    seeds: Sequence[int],
    prompt: str | None,
    settings: Settings | None,
    on_step: OnStep | None,
    details: dict[str, object],
) -> list[Image.Image]:
    """`sources` are the canvas and its mask, both at the model's size, and the picture that tells the content."""
    model.require("inpainting")
    canvas, mask, content = sources
    settings = settings or model.settings.repainting()
    prompt = None if prompt is None else check_prompt(prompt)
    generator = generators(seeds)
    drawn = [canvas.copy() for _ in seeds]
    if mask.getextrema()[1]:
        if prompt is None:
            model.require("variations")
            embeddings = model.embed_image([content]).expand(len(seeds), -1)
        else:
            model.require("text_to_image")
            embeddings = model.embed_prompt([prompt] * len(seeds), generator, settings, on_step)
        repaint = torch.from_numpy(np.array(mask)).float()[None, None] / 255
        kept = Kept(images.to_tensor([canvas]), repaint)
        prompts = None if prompt is None else [prompt] * len(seeds)
        painted = model.decode(embeddings, generator, prompts, settings, on_step, kept=kept)
        # Each stage has kept these pixels to its rounding; here they become the same to the last level.
        drawn = [Image.composite(new, canvas, mask) for new in painted]
    return model.sign(task, drawn, seeds, settings, [{"prompt": prompt or "", **details}] * len(seeds))


def _size(picture: Image.Image) -> str:
    return f"{picture.width} × {picture.height}"
