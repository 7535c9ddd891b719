"""Outpainting: a picture made small, and the world around it painted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dalle2 import images
from dalle2.requests import Pictures, name_of, picture_of
from dalle2.tasks.repainting import Canvas, Repaint


@dataclass(frozen=True)
class Outpaint(Repaint):
    """The picture's middle square made small and the world around it painted, one for each seed.

    It then covers `share` (above 0, below 1) of the side, and stands at `anchor`, 0 being left and top, 1 right
    and bottom.
    """

    name: ClassVar[str] = "outpaint"
    former_name: ClassVar[str] = "outpainting"

    share: float = 0.5
    anchor: tuple[float, float] = (0.5, 0.5)

    def canvas(self, side: int) -> Canvas:
        return Canvas(*images.surround(self.picture, side, self.share, self.anchor))

    def details(self) -> dict[str, Any]:
        return {"picture": name_of(self.picture), "share": self.share, "anchor": list(self.anchor)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        across, down = record["anchor"]
        picture, prompt = picture_of(record["picture"], pictures), record["prompt"] or None
        return cls(picture, record["share"], (across, down), prompt=prompt)
