"""Inpainting: what is marked in a picture is painted anew, the rest stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2 import images
from dalle2.refusal import Refusal
from dalle2.requests import Pictures, name_of, picture_of
from dalle2.tasks.repainting import Canvas, Repaint


@dataclass(frozen=True)
class Inpaint(Repaint):
    """The picture's middle square with what is white in `mask` painted anew, one for each seed.

    Where the mask is black, not a level of a pixel changes. Without a prompt it is painted in the picture's own
    spirit. ValueError when mask and picture differ in size; a mask without white gives the picture back,
    and one whose white lies outside of the square, or averages to nothing at the model's size, is refused.
    """

    name: ClassVar[str] = "inpaint"
    former_name: ClassVar[str] = "inpainting"

    mask: Image.Image

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mask", images.to_mask(self.mask))
        if self.mask.size != self.picture.size:
            raise Refusal(
                f"The mask has {images.size_of(self.mask)} pixels and the picture {images.size_of(self.picture)}: "
                "make them the same size."
            )
        if self.mask.getextrema()[1] and not images.square(self.mask, min(self.mask.size)).getextrema()[1]:
            raise Refusal(
                "What is marked lies outside of the picture's middle square, and only that is repainted: mark "
                "something within it, or give a square picture."
            )

    def canvas(self, side: int) -> Canvas:
        mask = images.square(self.mask, side)
        if self.mask.getextrema()[1] and not mask.getextrema()[1]:
            raise Refusal(
                f"What is marked is too small: of the {side} × {side} pixels that this checkpoint draws, it is less "
                "than a trace of one. Mark more."
            )
        return Canvas(images.square(images.to_rgb(self.picture), side), mask)

    def details(self) -> dict[str, Any]:
        return {"picture": name_of(self.picture), "mask": name_of(self.mask)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        picture, mask = (picture_of(record[key], pictures) for key in ("picture", "mask"))
        return cls(picture, mask, prompt=record["prompt"] or None)
