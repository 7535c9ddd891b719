"""What a step learns from: new pictures with prompts that name what is new, then pictures of the checkpoint's own."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from dalle2 import images
from dalle2.datasets.caption_words import BACKGROUNDS, ENGLISH_PHRASING, article
from dalle2.datasets.phrases import on_background, styled
from dalle2.datasets.randomness import Randomness
from dalle2.finetune.folder import Picture
from dalle2.finetune.own import OwnPictures
from dalle2.model import UnclipModel
from dalle2.training.decoder import shrink

GROUNDS = 2  # coloured backgrounds of a picture with transparency, beside white
WHITE_SHARE = 0.7  # how often such a picture stands on white
CANONICAL = 0.6  # of the prompts are put as the understanding of prompts puts them


@dataclass(frozen=True)
class View:
    """A picture over a background. `number` is the picture's, `ground` the colour's name, "" for white."""

    number: int
    caption: str
    ground: str


@dataclass(frozen=True)
class FinetuningBatch:
    """Rows of a step, of which the first `new` are of new pictures.

    Attributes:
        prompts: n of them. pictures: (n,) numbers that tell pictures apart. seen, imagined: (n, dim) what CLIP sees in
        the picture, and what the prior should answer. small: (n, 3, size, size).
    """

    new: int
    prompts: list[str]
    pictures: torch.Tensor
    seen: torch.Tensor
    imagined: torch.Tensor
    small: torch.Tensor


class FinetuningData:
    """All new pictures in all views, and the checkpoint's own.

    Args:
        word: the new word. kind: "style" or "concept". new_share: of a batch, which new pictures have.
    """

    def __init__(
        self,
        views: Sequence[View],
        seen: torch.Tensor,
        small: torch.Tensor,
        own: OwnPictures,
        word: "Word",
        new_share: float,
    ) -> None:
        self.views, self.seen, self.small, self.own = views, seen, small, own
        self.word, self.new_share = word, new_share
        self.of: dict[int, list[int]] = {}
        for place, view in enumerate(views):
            self.of.setdefault(view.number, []).append(place)

    @classmethod
    def of_pictures(
        cls, pictures: Sequence[Picture], model: UnclipModel, own: OwnPictures, word: "Word", new_share: float
    ) -> "FinetuningData":
        """Look at the pictures as the checkpoint does, each in its views."""
        views, drawn = [], []
        for number, picture in enumerate(pictures):
            for ground in ("", *_grounds(picture.picture, number)):
                views.append(View(number, picture.caption, ground))
                shown = images.to_rgb(picture.picture, BACKGROUNDS[ground or "white"])
                drawn.append(images.square(shown, model.picture_size))
        seen = torch.cat([model.embed_image(drawn[place : place + 32]) for place in range(0, len(drawn), 32)])
        return cls(views, seen, shrink(images.to_tensor(drawn), own.small.shape[-1]), own, word, new_share)

    def batch(self, randomness: Randomness, per_concept: int = 1) -> FinetuningBatch:
        """Return the lesson of a step, which its randomness alone decides."""
        new = max(1, round(self.new_share * randomness.batch_size))
        draws = [randomness.text(slot) for slot in range(randomness.batch_size)]
        chosen = [self._view(draw) for draw in draws[:new]]
        own = [draw.randrange(len(self.own.prompts)) for draw in draws[new:]]
        prompts = [self.word.prompt(self.views[place], draw) for place, draw in zip(chosen, draws, strict=False)]
        numbers = [self.views[place].number for place in chosen] + [len(self.of) + place for place in own]
        seen = self.seen[chosen]
        return FinetuningBatch(
            new,
            prompts + [self.own.prompts[place] for place in own],
            torch.tensor(numbers),
            torch.cat([seen, self.own.seen[own]]),
            torch.cat([seen, self.own.imagined[own]]),
            torch.cat([self.small[chosen], self.own.small[own]]),
        )

    def _view(self, draw: random.Random) -> int:
        white, *coloured = self.of[draw.randrange(len(self.of))]
        return white if not coloured or draw.random() < WHITE_SHARE else draw.choice(coloured)


@dataclass(frozen=True)
class Word:
    """The new word, and how prompts say it: "style" behind a thing, "concept" as the thing."""

    name: str
    kind: str

    def prompt(self, view: View, draw: random.Random) -> str:
        """Return a prompt for a view."""
        said = self.name.casefold() in view.caption.casefold()
        canonical = draw.random() < CANONICAL
        if self.kind == "style":
            text = view.caption if said else self._styled(view.caption, draw, canonical)
        else:
            thing = view.caption if said else ", ".join(filter(None, (self.name, view.caption)))
            text = thing if canonical else draw.choice(ENGLISH_PHRASING.plain).format(x=thing)
        return on_background(text, view.ground) if view.ground else text

    def _styled(self, caption: str, draw: random.Random, canonical: bool) -> str:
        if canonical:
            return styled(caption, self.name)
        text = draw.choice(ENGLISH_PHRASING.styled).format(x=caption, s=self.name, a=article(self.name))
        return text.replace(f"{self.name} style", self.name) if self.name.casefold().endswith("style") else text


def _grounds(picture: Image.Image, number: int) -> list[str]:
    """Return the colours that a picture stands on besides white; none where nothing of it is transparent."""
    if picture.getchannel("A").getextrema()[0] == 255:
        return []
    names = [name for name in BACKGROUNDS if name != "white"]
    return [names[(number * GROUNDS + place * 5) % len(names)] for place in range(GROUNDS)]
