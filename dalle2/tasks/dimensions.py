"""Dimensions: a picture from a growing number of the principal axes of its embedding (paper, section 4, figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, name_of, only, part_of, picture_of
from dalle2.settings import MAX_FRAMES, OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

# As many embeddings as the prior imagines without a word, to see in which directions embeddings differ.
IMAGINED, AT_ONCE = 256, 32


@dataclass(frozen=True)
class Dimensions(Request):
    """The picture drawn from the first `counts` principal axes of its embedding, all from one seed.

    The axes are those of the embeddings of `others`; without them, of IMAGINED embeddings that the prior draws
    for no text at all. A count above their number means all of them.
    """

    name: ClassVar[str] = "dimensions"

    picture: Image.Image
    counts: Sequence[int]
    others: Sequence[Image.Image] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.counts) <= MAX_FRAMES or not all(isinstance(k, int) and k >= 0 for k in self.counts):
            raise Refusal(f"Name 1 to {MAX_FRAMES} numbers of axes, each 0 or more.")

    @property
    def stages(self) -> tuple[str, ...]:
        return ("prior", "decoder", "upsampler") if self.others is None else ("decoder", "upsampler")

    @property
    def series(self) -> int | None:
        return len(self.counts)

    def steps(self, settings: Settings) -> dict[str, int]:
        each = super().steps(settings)
        return {stage: count * (IMAGINED // AT_ONCE if stage == "prior" else 1) for stage, count in each.items()}

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        import torch

        from dalle2 import embeddings as maths

        model.require(self.name)
        seeds = [only(seeds)] * len(self.counts)
        generator = generators(seeds)
        embedding = model.embed_image([self.picture])[0]
        known = imagined(model, settings, on_step) if self.others is None else model.embed_image(self.others)
        mean, axes = maths.principal_axes(known)
        rows = torch.stack([maths.project(embedding, mean, axes[:count]) for count in self.counts])
        drawn = model.decode(rows, generator, None, settings, on_step)
        shared = {"picture": name_of(self.picture), "others": None if self.others is None else len(self.others)}
        details = [{**shared, "axes": min(count, len(axes))} for count in self.counts]
        return model.attach_records(self.name, drawn, seeds, settings, details)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        if record["others"] is not None:  # their axes are not in the record
            raise KeyError("others")
        return cls(picture_of(record["picture"], pictures), [record["axes"]])


def imagined(
    model: UnclipBase, settings: Settings | None, on_step: OnStep | None, count: int = IMAGINED
) -> torch.Tensor:
    """Return what the prior draws for the empty prompt (n, dim): the spread of all pictures that it knows."""
    import torch

    model.require("text_to_image")
    firsts = range(0, count, AT_ONCE)
    rows = []
    for index, first in enumerate(firsts):
        tell = part_of(on_step, index, len(firsts))
        rows.append(model.embed_prompt([""] * AT_ONCE, range(first, first + AT_ONCE), settings, tell))
    return torch.cat(rows)
