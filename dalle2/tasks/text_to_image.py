"""Text to image: the prior imagines a prompt's embedding, the decoder draws it (paper, section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2.requests import Pictures, Request
from dalle2.settings import OnStep, Settings, check_prompt
from dalle2.unclip_base import UnclipBase


@dataclass(frozen=True)
class TextToImage(Request):
    """Pictures of prompts.

    One prompt is drawn with each seed, several prompts with one seed each, or all with the same one.
    """

    name: ClassVar[str] = "text_to_image"

    prompts: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", [check_prompt(prompt) for prompt in self.prompts])

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.prompts)

    @property
    def series(self) -> int | None:
        return None if len(self.prompts) == 1 else len(self.prompts)

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        prompts = list(self.prompts) * (len(seeds) if len(self.prompts) == 1 else 1)
        seeds = list(seeds) * (len(prompts) if len(seeds) == 1 else 1)
        pictures = model.draw_prompts([self.asked(prompt) for prompt in prompts], seeds, settings, on_step)
        details = [{"prompt": prompt, **self.understanding_record([prompt])} for prompt in prompts]
        return model.attach_records(self.name, pictures, seeds, settings, details)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        return cls([record["prompt"]])


# Stands for any prompt, where only the kind of a request matters.
ANY_PROMPT = TextToImage(["a prompt"])
