"""What scenes are judged by: of several true compositions, which one a drawn picture is nearest to."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.emoji import scenes
from evaluation.emoji.embedded_set import EmbeddedSet

NUMBER, PLACE, THINGS, THINGS_AND_PLACE, COLOUR = "number", "place", "things", "things_and_place", "colour"
CHANCES = {THINGS: 1 / 4, NUMBER: 1 / 4, PLACE: 1 / 4, THINGS_AND_PLACE: 1 / 16}


@dataclass(frozen=True, eq=False)
class Task:
    """What was right of each drawn picture and of a true one (n,), as 1 and 0, and the share that guessing gives."""

    key: str
    drawn: np.ndarray
    true: np.ndarray
    chance: float


def of_scenes(data: EmbeddedSet, things: bool = True) -> Iterator[Task]:
    """Yield the tasks that scenes are for, those of which any was drawn; `things`: also whether these are the asked.

    Number and place are judged by the same things put together in every way, the things by the same way with others.
    """
    asked = scenes.questions(data.trained)
    rows = [asked[row.id] for row in data.drawn["scenes"].manifest.rows]
    true = data.clip.embed_pictures([one.picture(one.answer, data.size, random.Random(data.seed)) for one in rows])
    sides = np.stack([data.pictures("scenes"), true], axis=1)  # (n, 2, dim)
    right: dict[str, list[list[bool]]] = {}
    for one, both in zip(rows, sides, strict=True):
        arrangements = data.clip.embed_pictures(scenes.arrangements(one, data.size))
        found = [scenes.seen(side, arrangements, one.arrangements) == one.answer for side in both]
        if one.answer.isdigit():
            right.setdefault(NUMBER, []).append(found)
            continue
        right.setdefault(PLACE, []).append(found)
        others = scenes.distractors(one, data.trained) if things else ()
        if len(others) > 1:
            known = _things(both, others, data)
            right.setdefault(THINGS, []).append(known)
            right.setdefault(THINGS_AND_PLACE, []).append([a and b for a, b in zip(found, known, strict=True)])
    for key, chance in CHANCES.items():
        if key in right:
            values = np.array(right[key], dtype=float)
            yield Task(key, values[:, 0], values[:, 1], chance)


def _things(both: np.ndarray, others: Sequence[scenes.SceneQuestion], data: EmbeddedSet) -> list[bool]:
    """Return of each picture whether the scene of the things that were asked for is nearest, not one with others."""
    draw = random.Random(others[0].id)
    made = [one.picture(one.answer, data.size, draw) for one in others for _ in range(scenes.LAYOUTS)]
    pictures, names = data.clip.embed_pictures(made), [str(index) for index in range(len(others))]
    return [scenes.seen(side, pictures, names) == "0" for side in both]


def of_colours(data: EmbeddedSet) -> Task:
    """Return whether things that come in several colours have the asked one: the nearest of their captions says so."""
    pairs, families = data.pairs("colours"), scenes.families(data.emoji.labels)
    labels = list(data.emoji.labels)
    right = []
    for pair, style, *sides in zip(pairs, data.styles(pairs), data.pictures("colours"), data.real(pairs), strict=True):
        family = families[pair.label]
        captions = data.caption_table[[labels.index(label) for label in family], style]
        right.append([family[int((captions @ side).argmax())] == pair.label for side in sides])
    values = np.array(right, dtype=float)
    chance = float(np.mean([1 / len(families[pair.label]) for pair in pairs]))
    return Task(COLOUR, values[:, 0], values[:, 1], chance)
