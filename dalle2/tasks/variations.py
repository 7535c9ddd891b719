"""Variations: pictures with the content of another one (paper, section 3.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2.requests import Pictures, Request, name_of, optional_prompt, picture_of
from dalle2.settings import OnStep, Settings
from dalle2.unclip_base import UnclipBase, generators


@dataclass(frozen=True)
class Variations(Request):
    """Pictures with the content of `picture`, one for each seed, beside a prompt if there is one.

    With `eta` they start from the picture's own noise, and keep its composition: from 0, the picture as the
    decoder sees it, to 1, which adds as much fresh noise as ancestral sampling. Without it they are free.
    """

    name: ClassVar[str] = "variations"

    picture: Image.Image
    prompt: str | None = None
    eta: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", optional_prompt(self.prompt))

    @property
    def words(self) -> tuple[str, ...]:
        return (self.prompt,) if self.prompt else ()

    @property
    def pictured(self) -> bool:
        return True

    @property
    def stages(self) -> tuple[str, ...]:
        return ("decoder", "upsampler") if self.eta is None else ("inversion", "decoder", "upsampler")

    def adapt(self, settings: Settings) -> Settings:
        return settings if self.eta is None else settings.for_inversion()

    def settle(self, chosen: Settings) -> Settings:
        """Without an eta of their own, as the settings of a record have one: there is `eta` for that."""
        return chosen if self.eta is None else _with_eta(chosen, 0.0)

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        noise, generator = None, generators(seeds)
        prompts = None if self.prompt is None else [self.asked(self.prompt)] * len(seeds)
        embedding = model.embed_image([self.picture])
        if self.eta is not None:
            still = model.inversion_settings(settings and self.settle(settings))
            settings = _with_eta(still, self.eta)
            noise = model.invert([self.picture], embedding, prompts and prompts[:1], still, on_step)
        drawn = model.decode(embedding.expand(len(seeds), -1), generator, prompts, settings, on_step, noise)
        details = {"prompt": self.prompt or "", "picture": name_of(self.picture), "inverted": self.eta is not None}
        details |= self.understanding_record(self.words)
        return model.attach_records(self.name, drawn, seeds, settings, [details] * len(seeds))

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        eta = record["settings"]["decoder"]["eta"] if record.get("inverted") else None
        return cls(picture_of(record["picture"], pictures), record["prompt"] or None, eta)


def _with_eta(settings: Settings, eta: float) -> Settings:
    return settings.changed({"decoder": {"eta": eta}})
