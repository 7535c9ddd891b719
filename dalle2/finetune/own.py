"""Pictures of the checkpoint's own, drawn before it learns: what it must not forget (DreamBooth, arXiv 2208.12242)."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm.auto import tqdm

from dalle2 import atomic, images
from dalle2.datasets.phrases import styled
from dalle2.model import UnclipModel
from dalle2.training.decoder import shrink

TOGETHER = 8  # drawn at a time
PLAIN = 0.2  # of the prompts name no style


@dataclass(frozen=True)
class OwnPictures:
    """Drawn pictures.

    Attributes:
        prompts: n of them. imagined: (n, dim) what the prior made of them. seen: (n, dim) what CLIP sees in what was
        drawn. small: (n, 3, size, size) in [-1, 1], at the decoder's size.
    """

    prompts: tuple[str, ...]
    imagined: torch.Tensor
    seen: torch.Tensor
    small: torch.Tensor

    @classmethod
    def draw(cls, model: UnclipModel, prompts: Sequence[str], size: int) -> "OwnPictures":
        """Draw one for each prompt with the checkpoint's own settings; seeds count up from 0."""
        rows = [range(first, min(first + TOGETHER, len(prompts))) for first in range(0, len(prompts), TOGETHER)]
        imagined, seen, small = [], [], []
        for places in tqdm(rows, desc="own pictures", unit="batch"):
            said, seeds = [prompts[place] for place in places], list(places)
            imagined.append(model.embed_prompt(said, seeds))
            pixels = model.decode_pixels(imagined[-1], seeds, said).clamp(-1, 1)
            seen.append(model.embed_image(images.to_pictures(pixels)))
            small.append(shrink(pixels, size))
        return cls(tuple(prompts), *map(torch.cat, (imagined, seen, small)))

    def write(self, file: Path) -> None:
        """Write the file, which appears whole or not at all."""
        tensors = {"imagined": self.imagined, "seen": self.seen, "small": self.small.contiguous()}
        with atomic.file(file) as partial:
            save_file(tensors, partial, {"prompts": json.dumps(self.prompts)})

    @classmethod
    def read(cls, file: Path) -> "OwnPictures":
        """Read what `write` wrote."""
        with safe_open(file, framework="pt") as opened:
            prompts = json.loads(opened.metadata()["prompts"])
            return cls(tuple(prompts), *(opened.get_tensor(name) for name in ("imagined", "seen", "small")))


def own_prompts(model: UnclipModel, captions: Sequence[str], count: int, seed: int) -> list[str]:
    """Return prompts of what the checkpoint knows: half of what the new pictures show, half of anything.

    Beside a new style the same things in the old ones are what could be forgotten soonest.
    """
    chance = random.Random(f"own {seed}")
    known = model.phrases.concepts if model.phrases else model.examples
    styles = list(model.styles)
    chance.shuffle(styles)

    def draw(things: Sequence[str]) -> Iterator[str]:
        while True:
            for thing in chance.sample(list(things), len(things)):
                plain = not styles or chance.random() < PLAIN
                yield thing if plain else styled(thing, chance.choice(styles))

    same, other = draw(captions), draw(known or captions)
    return [next(same) if place % 2 else next(other) for place in range(count)]
