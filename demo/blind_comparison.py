"""Two contestants side by side, blind: who is A and who is B, what may be shown before the vote, and the vote itself.

Knows nothing of Gradio.
"""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dalle2.serving.limits import PRESETS
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from demo.language import Bilingual
from demo.votes import Vote, Votes

QUALITIES = {
    "draft": Bilingual("Draft", "草图"),
    "fast": Bilingual("Fast", "快速"),
    "default": Bilingual("Default", "标准"),
    "best": Bilingual("Best", "精细"),
}
Captioned = tuple[Image.Image, str]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """What one contestant drew: its name, which votes are counted by, what people read, its pictures with records."""

    name: str
    label: Bilingual
    pictures: tuple[Image.Image, ...]

    def unsigned(self, letter: str) -> list[Captioned]:
        """Return the pictures without their records, which would tell whose they are."""
        bare = [picture.copy() for picture in self.pictures]
        for picture in bare:
            picture.info = {}
        return [(picture, f"{letter} {index + 1}") for index, picture in enumerate(bare)]

    def signed(self, title: str) -> list[Captioned]:
        """Return the pictures with their records, under this title."""
        many = len(self.pictures) > 1
        return [(picture, f"{title} {i + 1}" if many else title) for i, picture in enumerate(self.pictures)]

    def sheet(self) -> Image.Image:
        """Lay all pictures in one, two in a row, without a record."""
        width, height = self.pictures[0].size
        columns = min(len(self.pictures), 2)
        rows = -(-len(self.pictures) // columns)
        sheet = Image.new("RGB", (columns * width, rows * height), "white")
        for index, picture in enumerate(self.pictures):
            sheet.paste(picture, (index % columns * width, index // columns * height))
        return sheet


@dataclass(frozen=True)
class Pair:
    """What waits for a vote: the two sides as they are shown."""

    a: Side
    b: Side
    prompt: str
    seed: int


def shuffled(sides: Sequence[Side], prompt: str, seed: int) -> Pair:
    """Return a pair of the two, either as A."""
    order = list(sides)
    random.shuffle(order)
    return Pair(*order, prompt, seed)


def keep(votes: Votes, pair: Pair | None, given: Mapping[str, str], keep_prompt: bool) -> None:
    """Write a vote a question, `given` being question -> winner; the prompt only with consent.

    Refusal unless there is a pair to vote on, at least one answer, and each makes sense.
    """
    if pair is None:
        raise Refusal("There is nothing to vote on: draw a pair first, each takes one vote.")
    if not given:
        raise Refusal("Answer at least one question, or see which is which without a vote.")
    if "diversity" in given and len(pair.a.pictures) < 2:
        raise Refusal("One picture has no diversity: draw two or more per side, or leave that question out.")
    prompt = pair.prompt if keep_prompt is True else None
    try:
        votes.add([Vote(asked, pair.a.name, pair.b.name, won, pair.seed, prompt) for asked, won in given.items()])
    except OSError as error:
        log.error("The vote cannot be written", exc_info=error)
        raise Refusal("The vote could not be kept, and the server's log says why: please try again.") from error


def contestant(service: Service, settings: str | Mapping[str, Mapping[str, object]], checkpoint: str) -> str:
    """Return what votes are counted by: a name that is the same whenever checkpoint, weights and settings are.

    Refusal for settings or a checkpoint that are not to be had.
    """
    chosen = service.settings(settings, checkpoint)
    preset = next((name for name in PRESETS if service.settings(name, checkpoint) == chosen), None)
    values = chosen.to_dict()
    against = [f"against {chosen.negative_prompt}"] if chosen.negative_prompt else []
    quality = preset or ", ".join([_stage(name, values[name]) for name in chosen.stages] + against)
    return f"{checkpoint}@{service.model(checkpoint).checkpoint_hash[:6]} {quality}"


def label(service: Service, settings: str | Mapping[str, Mapping[str, object]], checkpoint: str) -> Bilingual:
    """Return the contestant in words: its quality, and its checkpoint where there are several."""
    chosen = service.settings(settings, checkpoint)
    preset = next((name for name in PRESETS if service.settings(name, checkpoint) == chosen), None)
    quality = QUALITIES[preset] if preset else Bilingual("settings of its own", "自定设置")
    where = f" ({checkpoint})" if sum(offer.read for offer in service.offers) > 1 else ""
    return Bilingual(quality.en + where, quality.zh + where)


def _stage(name: str, values: Mapping[str, Any]) -> str:
    text = f"{name} {values['num_inference_steps']} {values['scheduler']} ×{values.get('guidance_scale', 1):g}"
    begin, end = values.get("guidance_interval", (0, 1))
    return text if (begin, end) == (0, 1) else f"{text} in {begin:g}–{end:g}"
