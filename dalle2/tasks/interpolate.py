"""Interpolation: the way from a picture or prompt to another, in frames (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, checked, content_of, name_of, only
from dalle2.settings import MAX_FRAMES, OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait


@dataclass(frozen=True)
class Interpolate(Request):
    """Frames on the way through two or more pictures or prompts, all from one seed.

    `frames` is how many, evenly, or their positions from 0 to 1. With `noise` "fixed" all frames share the seed's
    noise, so that only the content moves; with "slerp" the ends are pictures, and the noise goes from one's own
    to the next one's. With `loop` the way leads back to the first end, which is not repeated.
    """

    name: ClassVar[str] = "interpolate"
    former_name: ClassVar[str] = "interpolation"

    ends: Sequence[str | Image.Image]
    frames: int | Sequence[float] = 8
    noise: Literal["fixed", "slerp"] = "fixed"
    loop: bool = False

    def __post_init__(self) -> None:
        if len(self.ends) < 2:
            raise Refusal("An interpolation needs at least two ends, pictures or prompts.")
        object.__setattr__(self, "ends", [checked(end) for end in self.ends])
        if self.noise not in ("fixed", "slerp"):
            raise Refusal(f"The noise of an interpolation is fixed or slerp, not {self.noise!r}.")
        if self.noise == "slerp" and self.words:
            raise Refusal("Only a picture has a noise of its own: with prompts among the ends, leave it fixed.")
        if isinstance(self.frames, int) and self.frames < 2:
            raise Refusal("An interpolation needs at least two frames.")
        if isinstance(self.frames, int) and self.frames > MAX_FRAMES:
            raise Refusal(f"An interpolation has at most {MAX_FRAMES} frames, not {self.frames:,}.")

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(end for end in self.ends if isinstance(end, str))

    @property
    def positions(self) -> list[float]:
        """Where the frames lie on the way, 0..1."""
        if not isinstance(self.frames, int):
            return [float(position) for position in self.frames]
        return [index / (self.frames if self.loop else self.frames - 1) for index in range(self.frames)]

    @property
    def stages(self) -> tuple[str, ...]:
        first = "prior" if self.words else "inversion" if self.noise == "slerp" else None
        return (*([first] if first else []), "decoder", "upsampler")

    @property
    def series(self) -> int | None:
        return len(self.positions)

    def adapt(self, settings: Settings) -> Settings:
        return settings.for_inversion() if self.noise == "slerp" else settings

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        from dalle2 import embeddings as maths

        model.require(self.name)
        seed, start, positions = only(seeds), None, self.positions
        if self.noise == "slerp":
            settings = model.inversion_settings(settings)
        generator = generators([seed] * len(positions))
        embeddings = model.embed(self.contents_asked(self.ends), seed, settings, on_step)
        if self.noise == "slerp":
            pictures = [end for end in self.ends if not isinstance(end, str)]
            own = model.invert(pictures, embeddings, None, settings, on_step)
            start = maths.path(self._closed(own.flatten(1)), positions).unflatten(1, own.shape[1:])
        way = maths.path(self._closed(embeddings), positions)
        drawn = model.decode(way, generator, None, settings, on_step, start)
        shared = {"ends": [name_of(end) for end in self.ends], "noise": self.noise, "loop": self.loop}
        shared |= self.understanding_record(self.words)
        details = [{**shared, "position": position} for position in positions]
        return model.attach_records(self.name, drawn, [seed] * len(positions), settings, details)

    def _closed(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows, and in a loop the first one again after the last."""
        import torch

        return torch.cat([rows, rows[:1]]) if self.loop else rows

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        ends = [content_of(end, pictures) for end in record["ends"]]
        return cls(ends, [float(record["position"])], record.get("noise", "fixed"), bool(record.get("loop")))
