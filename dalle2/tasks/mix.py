"""Mixes: several pictures and prompts in one, by weight."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2.mixing import check_weights
from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, checked, content_of, name_of
from dalle2.settings import OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators


@dataclass(frozen=True)
class Mix(Request):
    """Pictures of several pictures or prompts at once, one for each seed.

    `parts` are the contents with their weights. A negative weight takes a content away; the weights must sum to more
    than zero.
    """

    name: ClassVar[str] = "mix"

    parts: Sequence[tuple[str | Image.Image, float]]

    def __post_init__(self) -> None:
        if not self.parts:
            raise Refusal("A mix needs at least one picture or prompt.")
        check_weights([weight for _, weight in self.parts], len(self.parts))
        object.__setattr__(self, "parts", [(checked(content), weight) for content, weight in self.parts])

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(content for content, _ in self.parts if isinstance(content, str))

    @property
    def pictured(self) -> bool:
        return len(self.words) < len(self.parts)

    @property
    def stages(self) -> tuple[str, ...]:
        return ("prior", "decoder", "upsampler") if self.words else ("decoder", "upsampler")

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        import torch

        from dalle2 import embeddings as maths

        model.require(self.name)
        weights = [weight for _, weight in self.parts]
        contents = self.contents_asked([content for content, _ in self.parts])
        generator = generators(seeds)
        mixed = [maths.mix(model.embed(contents, seed, settings, on_step), weights) for seed in seeds]
        drawn = model.decode(torch.stack(mixed), generator, None, settings, on_step)
        named = [[name_of(content), weight] for content, weight in self.parts]
        details = {"parts": named, **self.understanding_record(self.words)}
        return model.attach_records(self.name, drawn, seeds, settings, [details] * len(seeds))

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        # Records of older versions may sum to less than zero, which drew the same as with all signs turned.
        sign = -1 if sum(weight for _, weight in record["parts"]) < 0 else 1
        return cls([(content_of(name, pictures), sign * weight) for name, weight in record["parts"]])
