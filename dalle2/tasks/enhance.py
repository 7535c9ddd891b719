"""Enhancement: a picture made larger by the checkpoint's own upsampler.

The upsampler learned to make pictures a few times larger (paper, section 2.1), as `model.upsampling` says. It is a
convolution, so that it can take a finished picture for a small one and draw it so many times larger. What it changes
of the colours on the way is put back (iterative back-projection, Irani and Peleg 1991), so that the enlarged picture,
averaged down, is the picture that it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from PIL import Image

from dalle2 import images
from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, name_of, picture_of
from dalle2.settings import SIZES, OnStep, Settings, check_seed
from dalle2.unclip_base import UnclipBase, generators

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

LARGEST = 512  # pixels a side: beyond it the networks invent a grain, and a smooth resize is nearer to the truth
PROJECTIONS = 2
FORMER_FACTOR = 4  # of the records of version 0.1, which do not say it


@dataclass(frozen=True)
class Enhance(Request):
    """The middle square of a small picture, enlarged by the upsampler alone, one for each seed.

    Without a `size` it becomes as large as what the checkpoint draws, as the upsampler has it. With one it has so many
    pixels a side, which must be more than it has now, and keeps its colours; a record that it carries stays, with the
    new "size" and what else its redrawing needs, or where it was enlarged before, with these in "enlarged_again".
    `factor`, how many times larger the upsampler makes it at once, is the checkpoint's own unless given.
    """

    name: ClassVar[str] = "enhance"
    former_name: ClassVar[str] = "enhancement"

    picture: Image.Image
    size: int | None = None
    factor: int | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        return ("upsampler",)

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        import torch

        model.require(self.name)
        side, size = min(self.picture.size), self.size
        small = images.to_tensor([images.square(images.to_rgb(self.picture), side)])
        if size is None:
            self._check_smaller(model.picture_size)
            pixels = [model.upsample(small, generators([seed]), settings, on_step) for seed in seeds]
            drawn = images.to_pictures(torch.cat(pixels))
            return model.attach_records(
                self.name, drawn, seeds, settings, [{"picture": name_of(self.picture)}] * len(drawn)
            )
        check_side(size, side, model.picture_size)
        factor = self.factor or model.upsampling
        drawn = [_enlarged(model, small, size, factor, seed, settings, on_step) for seed in seeds]
        if images.RECORD_KEY not in self.picture.info:
            details = {"picture": name_of(self.picture), "size": size, "factor": factor}
            return model.attach_records(self.name, drawn, seeds, settings, [details] * len(drawn))
        upsampler = (settings or model.settings).to_dict()["upsampler"]
        for picture, seed in zip(drawn, seeds, strict=True):
            enlarging = {"size": size, "factor": factor, "enlarging_seed": seed, "enlarging_upsampler": upsampler}
            images.write_record(picture, _with_enlarging(images.read_record(self.picture), enlarging))
        return drawn

    def _check_smaller(self, most: int) -> None:
        """ValueError unless the upsampler, which makes pictures of `most` pixels a side, makes this one larger."""
        if min(self.picture.size) >= most:
            raise Refusal(
                f"The picture has {images.size_of(self.picture)} pixels, and the upsampler of this checkpoint makes "
                f"{most} × {most}: give a smaller one."
            )

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        picture = picture_of(record["picture"], pictures)
        if "enlarging_seed" in record:  # it was enlarged to its size afterwards
            return cls(picture)
        return cls(picture, record.get("size"), record.get("factor", FORMER_FACTOR))


def enlarged_again(
    model: UnclipBase, request: Request, picture: Image.Image, record: Mapping[str, Any], on_step: OnStep | None = None
) -> Image.Image:
    """Return what a record's request drew, enlarged as often as the record says.

    An enlarging that does not say how was from seed 0.
    """
    drawn_so = record.get("size") is None or (isinstance(request, Enhance) and request.size is not None)
    for enlarging in [*([] if drawn_so else [record]), *record.get("enlarged_again", ())]:
        settings = None
        if "enlarging_upsampler" in enlarging:
            settings = Settings.from_dict(model.settings.to_dict() | {"upsampler": enlarging["enlarging_upsampler"]})
        enhance = Enhance(picture, enlarging["size"], enlarging.get("factor", FORMER_FACTOR))
        (picture,) = enhance.draw(model, [check_seed(enlarging.get("enlarging_seed", 0))], settings, on_step)
    return picture


def _with_enlarging(record: dict[str, Any], enlarging: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a picture that was now enlarged in this way, and perhaps before."""
    if record.get("size") is None:
        return {**record, **enlarging}
    return {**record, "enlarged_again": [*record.get("enlarged_again", ()), dict(enlarging)]}


def check_side(side: int, own: int, most: int) -> int:
    """Return the side; ValueError unless a picture of `own` pixels can be enlarged to it by a model drawing `most`."""
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= SIZES[-1]:
        raise Refusal(f"A picture is enlarged to a whole number of pixels up to {SIZES[-1]}, not {side!r}.")
    if own > most:
        raise Refusal(
            f"The picture's shorter side has {own} pixels, and this checkpoint enlarges pictures of at most {most}: "
            "it would only lose detail. Give a smaller picture."
        )
    if side <= own:
        raise Refusal(f"The picture's shorter side has {own} pixels already: choose a size above that, not {side}.")
    return side


def passes(model: UnclipBase, own: int, side: int) -> int:
    """Return how often the upsampler runs to enlarge a picture of `own` pixels to `side`."""
    limit, times = _limit(model, side, model.upsampling), 0
    while own < limit:
        own, times = own * model.upsampling, times + 1
    return times


def _limit(model: UnclipBase, side: int, factor: int) -> int:
    """Return up to where the upsampler enlarges; beyond it a smooth resize does."""
    return min(side, max(LARGEST, model.picture_size), factor * model.picture_size)


def _enlarged(
    model: UnclipBase,
    small: torch.Tensor,
    side: int,
    factor: int,
    seed: int,
    settings: Settings | None,
    on_step: OnStep | None,
) -> Image.Image:
    """Pixels (1, 3, s, s) in [-1, 1] -> a picture of `side` pixels a side."""
    limit = _limit(model, side, factor)
    while small.shape[-1] < limit:
        small = _larger(model, small, min(small.shape[-1] * factor, limit), seed, settings, on_step)
    (large,) = images.to_pictures(small)
    return large if large.width == side else large.resize((side, side), Image.Resampling.LANCZOS)


def _larger(
    model: UnclipBase, small: torch.Tensor, side: int, seed: int, settings: Settings | None, on_step: OnStep | None
) -> torch.Tensor:
    """Pixels (1, 3, s, s) in [-1, 1] -> (1, 3, side, side), whose average over each small pixel is that pixel."""
    import torch

    large = model.upsample(small, generators([seed]), settings, on_step, side=side)
    for _ in range(PROJECTIONS):
        lost = small - torch.nn.functional.interpolate(large, size=small.shape[-2:], mode="area")
        large = large + torch.nn.functional.interpolate(lost, size=large.shape[-2:], mode="bicubic")
    return large.clamp(-1, 1)
