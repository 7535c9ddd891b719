"""Reconstruction: pictures through their embeddings and their noise, and back (paper, section 3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, name_of, picture_of
from dalle2.settings import OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators


@dataclass(frozen=True)
class Reconstruct(Request):
    """Each of the pictures as the model has it, with one seed for each.

    `refinements` 0 is the plain DDIM inversion, 1 and more the fixed-point one. The decoder's part of the round
    trip, at the decoder's own size, is what its last `Step` shows.
    """

    name: ClassVar[str] = "reconstruct"
    former_name: ClassVar[str] = "reconstruction"

    pictures: Sequence[Image.Image]
    refinements: int = 1

    @property
    def stages(self) -> tuple[str, ...]:
        return ("inversion", "decoder", "upsampler")

    def adapt(self, settings: Settings) -> Settings:
        return settings.for_inversion()

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        if len(self.pictures) != len(seeds):
            raise Refusal("reconstruct takes as many seeds as pictures, one for each.")
        settings, generator = model.inversion_settings(settings), generators(seeds)
        embeddings = model.embed_image(self.pictures)
        noise = model.invert(self.pictures, embeddings, None, settings, on_step, self.refinements)
        drawn = model.decode(embeddings, generator, None, settings, on_step, noise)
        details = [{"picture": name_of(picture), "refinements": self.refinements} for picture in self.pictures]
        return model.attach_records(self.name, drawn, seeds, settings, details)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        return cls([picture_of(record["picture"], pictures)], record["refinements"])
