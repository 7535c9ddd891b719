"""Attention: which pixels the decoder drew while it looked at each word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from dalle2 import images
from dalle2.requests import only
from dalle2.settings import OnStep, Settings
from dalle2.tasks.explaining import Explain
from dalle2.unclip_base import UnclipBase


@dataclass(frozen=True)
class Attention(Explain):
    """The picture of the prompt, then for each word the same picture, highlighted where the decoder read that word.

    Punctuation is read by the decoder as well, and not shown.
    """

    name: ClassVar[str] = "attention"

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


def highlight_words(
    model: UnclipBase, asked: str, seed: int, settings: Settings | None = None, on_step: OnStep | None = None
) -> tuple[Image.Image, list[tuple[str, Image.Image]]]:
    """Return the picture of a prompt, and each of its words with the picture highlighted where that was read."""
    picture, looked = model.attend(asked, seed, settings, on_step)
    maps = zip(looked.words, looked.maps.numpy(), strict=True)
    return picture, [(word, images.highlight(picture, heat)) for word, heat in maps if any(map(str.isalnum, word))]
