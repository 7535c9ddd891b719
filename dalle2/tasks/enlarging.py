"""A picture made larger than the checkpoint draws it, by the checkpoint's own upsampler.

The upsampler learned to make pictures four times larger (paper, section 2.1). It is a convolution, so that it can
take a finished picture for a small one and draw it at four times its side. What it changes of the colours on the way
is put back (iterative back-projection, Irani and Peleg 1991), so that the enlarged picture, averaged down, is the
picture that it came from.
"""

import torch
from PIL import Image

from dalle2 import images
from dalle2.settings import SIZES, OnStep, Settings
from dalle2.verbs import Verbs, generators, name_of

FACTOR = 4  # that the upsampler learned
LARGEST = 512  # pixels a side: beyond it the networks invent a grain, and a smooth resize is nearer to the truth
PROJECTIONS = 2


def enlarge(
    model: Verbs,
    picture: Image.Image,
    side: int,
    seed: int = 0,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
) -> Image.Image:
    """The picture's middle square at `side` pixels; its record, if it has one, then says so as "size".

    ValueError unless `side` is larger than what the picture has, and the picture at most as large as the model's own.
    """
    model.require("enhancement")
    check_side(side, min(picture.size), model.picture_size)
    pixels = images.to_tensor([images.square(images.to_rgb(picture), min(picture.size))])
    limit = _limit(side, model.picture_size)
    while pixels.shape[-1] < limit:
        pixels = _larger(model, pixels, min(pixels.shape[-1] * FACTOR, limit), seed, settings, on_step)
    (large,) = images.to_pictures(pixels)
    if large.width != side:
        large = large.resize((side, side), Image.Resampling.LANCZOS)
    if images.RECORD_KEY in picture.info:
        images.write_record(large, images.read_record(picture) | {"size": side})
        return large
    details = {"picture": name_of(picture), "size": side}
    return model.sign("enhancement", [large], [seed], settings, [details])[0]


def passes(own: int, side: int, most: int) -> int:
    """How often the upsampler runs to enlarge a picture of `own` pixels by a model that draws `most`."""
    limit, times = _limit(side, most), 0
    while own < limit:
        own, times = own * FACTOR, times + 1
    return times


def check_side(side: int, own: int, most: int) -> int:
    """The side; ValueError unless a picture of `own` pixels can be enlarged to it by a model that draws `most`."""
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= SIZES[-1]:
        raise ValueError(f"A picture is enlarged to a whole number of pixels up to {SIZES[-1]}, not {side!r}.")
    if own > most:
        raise ValueError(
            f"The picture's shorter side has {own} pixels, and this checkpoint enlarges pictures of at most {most}: "
            "it would only lose detail. Give a smaller picture."
        )
    if side <= own:
        raise ValueError(f"The picture's shorter side has {own} pixels already: choose a size above that, not {side}.")
    return side


def _limit(side: int, most: int) -> int:
    """Up to where the upsampler enlarges; beyond it a smooth resize does."""
    return min(side, max(LARGEST, most), FACTOR * most)


def _larger(
    model: Verbs, small: torch.Tensor, side: int, seed: int, settings: Settings | None, on_step: OnStep | None
) -> torch.Tensor:
    """Pixels (1, 3, s, s) in [-1, 1] -> (1, 3, side, side), whose average over each small pixel is that pixel."""
    large = model.upsample(small, generators([seed]), settings, on_step, side=side)
    for _ in range(PROJECTIONS):
        lost = small - torch.nn.functional.interpolate(large, size=small.shape[-2:], mode="area")
        large = large + torch.nn.functional.interpolate(lost, size=large.shape[-2:], mode="bicubic")
    return large.clamp(-1, 1)
