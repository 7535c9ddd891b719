"""Attention: which pixels the decoder drew while it looked at each word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL import Image

from dalle2 import images
from dalle2.requests import Pictures, Request, only
from dalle2.settings import OnStep, Settings, check_prompt
from dalle2.unclip_base import UnclipBase


@dataclass(frozen=True)
class Attention(Request):
    """The picture of the prompt, then for each word the same picture, highlighted where the decoder read that word.

    Punctuation is read by the decoder as well, and not shown.
    """

    name: ClassVar[str] = "attention"

    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", check_prompt(self.prompt))

    @property
    def words(self) -> tuple[str, ...]:
        return (self.prompt,)

    @property
    def series(self) -> int | None:
        return 1  # picture, highlighted once a word

    def draw(
        self, model: UnclipBase, seeds: Sequence[int], settings: Settings | None = None, on_step: OnStep | None = None
    ) -> list[Image.Image]:
        model.require(self.name)
        seed = only(seeds)
        picture, shown = highlight_words(model, self.asked(self.prompt), seed, settings, on_step)
        drawn = [picture, *(highlighted for _, highlighted in shown)]
        shared = {"prompt": self.prompt, **self.understanding_record(self.words)}
        details = [{**shared, "word": word} for word in ("", *(word for word, _ in shown))]
        return model.attach_records(self.name, drawn, [seed] * len(drawn), settings, details)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], pictures: Pictures) -> Self:
        return cls(record["prompt"])


def highlight_words(
    model: UnclipBase, asked: str, seed: int, settings: Settings | None = None, on_step: OnStep | None = None
) -> tuple[Image.Image, list[tuple[str, Image.Image]]]:
    """Return the picture of a prompt, and each of its words with the picture highlighted where that was read."""
    picture, looked = model.attend(asked, seed, settings, on_step)
    maps = zip(looked.words, looked.maps.numpy(), strict=True)
    return picture, [(word, images.highlight(picture, heat)) for word, heat in maps if any(map(str.isalnum, word))]
