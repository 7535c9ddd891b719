"""What a front is told of a request while it waits and is drawn: one event after another."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from dalle2.settings import Step


@dataclass(frozen=True)
class Drawing:
    """How far a request is: each stage's steps done and in all, and the pictures so far.

    `stages` is (name, done, total) in the order in which they run. `ahead` counts the visitors to wait for, 0 when
    the turn is ours. `seconds_left` is an estimate, None before there is any experience. `pictures` is empty until
    the decoder's first step, previews after it, and the results once `finished`; a description has `captions` with
    their scores then, and no pictures.
    """

    seeds: tuple[int, ...]
    stages: tuple[tuple[str, int, int], ...]
    pictures: tuple[Image.Image, ...] = ()
    captions: tuple[tuple[str, float], ...] = ()
    ahead: int = 0
    seconds_left: float | None = None
    finished: bool = False

    def after(self, step: Step, pictures: Sequence[Image.Image]) -> "Drawing":
        """Return the same drawing one step later; without new pictures it keeps the ones it has."""
        stages = tuple((step.stage, step.index, step.total) if row[0] == step.stage else row for row in self.stages)
        return dataclasses.replace(self, stages=stages, pictures=tuple(pictures) or self.pictures, ahead=0)
