"""Outpainting: a picture made small, and the world around it painted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image, ImageChops, ImageOps

from dalle2 import formats, images
from dalle2.requests import Pictures, name_of, picture_of
from dalle2.tasks.repainting import Canvas, Repaint

FADE = 0.12  # of the small picture's side, along each edge that is not the new picture's own


@dataclass(frozen=True)
class Outpaint(Repaint):
    """The picture's middle square made small and the world around it painted, one for each seed.

    It then covers `share` (above 0, below 1) of the side, and stands at `anchor`, 0 being left and top, 1 right
    and bottom. With `blend` no square is seen: of a picture with an even background only the subject stays, and any
    other fades into its surroundings. Without it every pixel of the square stays, as in version 0.1.
    """

    name: ClassVar[str] = "outpaint"
    former_name: ClassVar[str] = "outpainting"

    share: float = 0.5
    anchor: tuple[float, float] = (0.5, 0.5)
    blend: bool = True

    def canvas(self, side: int) -> Canvas:
        picture, mask = images.surround(self.picture, side, self.share, self.anchor)
        return _blended(picture, mask) if self.blend else Canvas(picture, mask)

    def details(self) -> dict[str, Any]:
        return {"picture": name_of(self.picture), "share": self.share, "anchor": list(self.anchor), "blend": self.blend}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        across, down = record["anchor"]
        picture, prompt = picture_of(record["picture"], pictures), record["prompt"] or None
        return cls(picture, record["share"], (across, down), record.get("blend", False), prompt=prompt)


def _blended(picture: Image.Image, mask: Image.Image) -> Canvas:
    """Let the square that the mask keeps go over softly into what is painted around it."""
    box = ImageOps.invert(mask).getbbox()
    assert box is not None, "some of the picture is kept"
    small = picture.crop(box)
    try:
        cut = formats.transparent(small)
        # Where the edge is mixed with the old background, the subject's own colour is what mixes with the new one.
        small, kept = cut.convert("RGB"), cut.getchannel("A")
    except ValueError:  # it has no even background
        kept = _fading(box, mask.size)
    picture, mask = picture.copy(), mask.copy()
    picture.paste(small, box)
    mask.paste(ImageChops.invert(kept), box)
    return Canvas(picture, mask)


def _fading(box: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    """Return how much of each pixel in the box stays: less and less toward its edges, but for those of the canvas."""
    left, top, right, bottom = box
    width = max(FADE * (right - left), 1)
    ends = ((left > 0, right < size[0], right - left), (top > 0, bottom < size[1], bottom - top))
    across, down = (
        np.minimum(
            (np.arange(count) + 0.5) / width if before else 1.0,
            (count - np.arange(count) - 0.5) / width if after else 1.0,
        )
        for before, after, count in ends
    )
    levels = np.minimum(np.broadcast_to(across, (bottom - top, right - left)), np.reshape(down, (-1, 1)))
    return Image.fromarray((levels.clip(0, 1) * 255).round().astype(np.uint8))
