"""Whether a picture shows what a scene's caption says: how many, where, in which colour, by what a judge sees.

Counts and places are told by comparison: the real drawings of the same things are put together in every way that was
not asked for too, and the way whose pictures the judge finds nearest is the answer.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from dalle2 import images
from dalle2.datasets.batch import WHITE, composite
from dalle2.datasets.caption_words import BACKGROUNDS
from dalle2.datasets.scenes import COUNTS, OPPOSITE, Scene, beside, canonical_scene, countable, paint, several
from evaluation.emoji.emoji_set import Pair

LAYOUTS = 4  # pictures of each way
FAMILY = 3  # the least number of colours that a thing comes in
COLOURS = {*BACKGROUNDS} - {"teal"}


@dataclass(frozen=True)
class SceneQuestion:
    """A scene's question: `answer` is one of `arrangements`, a number ("1" to "4") or a place ("left", …)."""

    things: tuple[Pair, ...]
    answer: str
    arrangements: tuple[str, ...]

    @property
    def id(self) -> str:
        return "-".join([self.answer, *(thing.id for thing in self.things)])

    @property
    def caption(self) -> str:
        """Return the prompt: "two cats, STYLE style" or "a cat left of a dog, STYLE style"."""
        return canonical_scene(self._scene(self.answer, random.Random(0)), [_record(thing) for thing in self.things])

    def picture(self, arrangement: str, size: int, draw: random.Random) -> Image.Image:
        """Return the real drawings put together in this way, which is not the asked one alone, over white."""
        things = torch.stack([_rgba(thing, size) for thing in self.things])
        rgba = things[0] if arrangement == "1" else paint(self._scene(arrangement, draw), things)
        return images.to_pictures(composite(rgba[None], torch.tensor([WHITE])))[0]

    def _scene(self, arrangement: str, draw: random.Random) -> Scene:
        return several(0, int(arrangement), draw) if arrangement.isdigit() else beside(0, 1, arrangement, draw)


def questions(pairs: Sequence[Pair]) -> dict[str, SceneQuestion]:
    """Return by id, for each thing that can be counted, a number, and a place beside another thing of its style."""
    things = [pair for pair in pairs if countable(_record(pair))]
    found = []
    for thing in things:
        draw = random.Random(hashlib.sha256(thing.id.encode()).digest())
        found.append(SceneQuestion((thing,), str(draw.choice(COUNTS)), ("1", *map(str, COUNTS))))
        others = [other for other in things if other.style == thing.style and other.concept != thing.concept]
        if others:
            found.append(SceneQuestion((thing, draw.choice(others)), draw.choice(list(OPPOSITE)), tuple(OPPOSITE)))
    return {question.id: question for question in found}


def arrangements(question: SceneQuestion, size: int) -> list[Image.Image]:
    """Return `LAYOUTS` pictures of each way in turn, the same at each call."""
    draw = random.Random(question.id)
    return [question.picture(arrangement, size, draw) for arrangement in question.arrangements for _ in range(LAYOUTS)]


def distractors(question: SceneQuestion, pairs: Sequence[Pair]) -> tuple[SceneQuestion, ...]:
    """Return a scene of two things, then the same with the first, the second and both replaced by others of the style.

    Only the scene itself where the style has too few other things.
    """
    known = {thing.concept for thing in question.things}
    others = [pair for pair in pairs if pair.style == question.things[0].style and pair.concept not in known]
    others = [pair for pair in others if countable(_record(pair))]
    if len(others) < 2:
        return (question,)
    (a, b), (x, y) = question.things, random.Random(question.id).sample(others, 2)
    return tuple(replace(question, things=things) for things in ((a, b), (x, b), (a, y), (x, y)))


def seen(picture: np.ndarray, pictures: np.ndarray, names: Sequence[str]) -> str:
    """Return the arrangement whose `pictures` (arrangements * LAYOUTS, dim) are nearest to the picture (dim,)."""
    return names[int((pictures @ picture).argmax()) // LAYOUTS]


def families(labels: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return label -> the labels that differ in a colour only, itself among them, where there are at least `FAMILY`."""
    found: dict[tuple[str, str], list[str]] = {}
    for label in labels:
        for colour in COLOURS:
            before, named, after = f" {label} ".partition(f" {colour} ")
            if named and not (colour == "blue" and before.endswith("light")):
                found.setdefault((before, after), []).append(label)
    return {label: tuple(family) for family in found.values() if len(family) >= FAMILY for label in family}


def _record(pair: Pair) -> dict[str, object]:
    """As the training set has it."""
    words = [dict(said) for said in pair.words.values()]
    return {"label": pair.label, "style": pair.style, "subgroup": pair.subgroup, "captions": words}


def _rgba(pair: Pair, size: int) -> torch.Tensor:
    """Return the real picture, uint8 (4, size, size), straight alpha."""
    picture = pair.cut_out().resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
