"""Text diffs: a picture moved by words, from what it is to what it should become (paper, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from PIL import Image

from dalle2.refusal import Refusal
from dalle2.requests import Pictures, Request, name_of, only, optional_prompt, part_of, picture_of
from dalle2.settings import MAX_FRAMES, STRENGTHS, OnStep, Settings, check_prompt, check_seed
from dalle2.unclip_base import UnclipBase, generators

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

Way = Literal["prior", "slerp"]


@dataclass(frozen=True)
class TextDiff(Request):
    """The picture moved from what `old` says (None: from nothing said) to what `new` says.

    One picture for each strength, by default those of STRENGTHS; 0 is the picture as the decoder sees it.

    The way "slerp" is the paper's: the embedding is turned toward the difference of the texts, which is all that is
    left at 1 (the paper goes to 0.25 to 0.5), and the decoder starts from the picture's own noise, which keeps its
    composition. The way "prior" lets the diffusion prior edit the embedding (see `UnclipBase.edit_embedding`) while the
    noise goes from the picture's own to the seed's, because a new content may need another composition. Without a way
    it is "prior" where there is a diffusion prior.

    The decoder's guidance grows with the strength, from none to that of the settings: a reconstruction needs none, and
    a new content much.
    """

    name: ClassVar[str] = "text_diff"

    picture: Image.Image
    new: str
    old: str | None = None
    strengths: Sequence[float] | None = None
    way: Way | None = None

    def __post_init__(self) -> None:
        if self.way is not None and self.way not in STRENGTHS:
            raise Refusal(f"The way of a text diff is {' or '.join(STRENGTHS)}, not {self.way!r}.")
        if self.strengths is not None and (
            not 1 <= len(self.strengths) <= MAX_FRAMES or not all(0 <= strength <= 1 for strength in self.strengths)
        ):
            raise Refusal(f"The strengths of a text diff are 1 to {MAX_FRAMES} numbers from 0 to 1.")
        object.__setattr__(self, "new", check_prompt(self.new))
        object.__setattr__(self, "old", optional_prompt(self.old))

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(text for text in (self.new, self.old) if text)

    @property
    def pictured(self) -> bool:
        return True

    @property
    def stages(self) -> tuple[str, ...]:
        return ("inversion", *(() if self.way == "slerp" else ("prior",)), "decoder", "upsampler")

    @property
    def series(self) -> int | None:
        return 1  # strengths are drawn one after another, each with its own guidance

    def steps(self, settings: Settings) -> dict[str, int]:
        strengths = self._strengths(self.way or "prior")
        each = super().steps(settings)
        each |= {stage: each[stage] * len(strengths) for stage in ("decoder", "upsampler") if stage in each}
        if "prior" in each:  # back and forth again, as far as each strength says; see `UnclipBase.edit_embedding`
            each["prior"] = sum(2 * round(strength * each["prior"]) for strength in strengths)
        return {stage: count for stage, count in each.items() if count}

    def _strengths(self, way: Way) -> Sequence[float]:
        return STRENGTHS[way] if self.strengths is None else self.strengths

    def adapt(self, settings: Settings) -> Settings:
        return settings.for_text_diff()

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        seed, settings = check_seed(only(seeds)), settings or self.own_settings(model)
        way = self.way or ("prior" if "diffusion" in model.priors else "slerp")
        strengths = self._strengths(way)
        embeddings, noise = self._moved(model, way, seed, settings, on_step)
        drawn: list[Image.Image] = []
        for index, strength in enumerate(strengths):
            guided = settings.with_guidance(1 + strength * (settings.decoder.guidance_scale - 1))
            tell = part_of(on_step, index, len(strengths), tuple(drawn))
            row = slice(index, index + 1)
            drawn += model.decode(embeddings[row], generators([seed]), None, guided, tell, noise[row])
        shared = {"picture": name_of(self.picture), "new": self.new, "old": self.old or "", "way": way}
        shared |= self.understanding_record(self.words)
        details = [{**shared, "strength": strength} for strength in strengths]
        return model.attach_records(self.name, drawn, [seed] * len(strengths), settings, details)

    def _moved(
        self, model: UnclipBase, way: Way, seed: int, settings: Settings, on_step: OnStep | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embedding (n, dim) and the noise that the decoder starts from (n, ...), at each strength."""
        import torch

        from dalle2 import embeddings as maths

        unguided = model.inversion_settings(settings.with_guidance(1.0))
        new, old = self.asked(self.new), self.asked(self.old) if self.old else ""
        strengths = self._strengths(way)
        embedding = model.embed_image([self.picture])
        texts = model.embed_text([new, old])
        direction = maths.text_diff(texts[:1], texts[1:], embedding.norm(dim=-1, keepdim=True))
        noise = model.invert([self.picture], embedding, None, unguided, on_step)
        if way == "slerp":
            moved = torch.cat([maths.slerp(embedding, direction, strength) for strength in strengths])
            return moved, noise.expand(len(moved), *noise.shape[1:])
        moved = model.edit_embedding(embedding, old, new, strengths, settings, on_step)
        fresh = torch.randn(noise.shape, generator=generators([seed])[0])
        ends = torch.cat([noise, fresh]).flatten(1)
        return moved, maths.path(ends, strengths).unflatten(1, noise.shape[1:])

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        picture, old = picture_of(record["picture"], pictures), record["old"] or None
        return cls(picture, record["new"], old, [record["strength"]], record["way"])
