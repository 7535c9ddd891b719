"""Scenes of the emoji set's pictures: "a cat and a red apple", "three stars", "a dog above a heart".

They are true by construction: two things beside or above each other, or two to four of one, each in half the size of
the picture, all in one style. A scene is its own concept, neither of its things' alone.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from dalle2.datasets.caption_words import CHINESE, article
from dalle2.datasets.captions import Caption, canonical_caption, complete

COUNTS = (2, 3, 4)
COUNT_SHARE = 0.4
AND_SHARE = 0.4  # of the scenes of two things: the caption does not say where they are
CHINESE_SHARE = 0.3

# What can be drawn twice: subgroups of the set, without these labels.
SUBGROUPS = {
    *("animal-mammal", "animal-bird", "animal-amphibian", "animal-reptile", "animal-marine", "animal-bug"),
    *("plant-flower", "plant-other", "food-fruit", "food-vegetable", "food-prepared", "food-sweet", "sky-weather"),
    *("transport-ground", "transport-air", "transport-water", "musical-instrument", "tool", "household", "clothing"),
}
UNCOUNTED = {
    *("airplane arrival", "airplane departure", "bacon", "bread", "broccoli", "butter", "candy", "canned food"),
    *("construction", "cooking", "coral", "custard", "fire", "fog", "garlic", "high voltage", "herb", "leafy green"),
    *(
        "light rail",
        "metro",
        "milky way",
        "popcorn",
        "salt",
        "soap",
        "wind face",
        "baguette bread",
        "empty nest",
        "shaved ice",
    ),
}
LINKS = {"and", "behind", "in", "of", "on", "with", "without"}  # the noun before them would take the plural
PLURALS = {"mouse": "mice", "goose": "geese", "wolf": "wolves", "leaf": "leaves", "scarf": "scarves", "ox": "oxen"}
PLURALS |= {"potato": "potatoes", "tomato": "tomatoes", "snowman": "snowmen"}
UNCHANGED = ("fish", "deer", "moose", "bison", "shrimp", "squid")

# How the first thing lies to the second: the phrases of each language, the usual one first.
WHERE: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "left": ("{a} left of {b}", "{a} to the left of {b}"),
        "right": ("{a} right of {b}", "{a} to the right of {b}"),
        "above": ("{a} above {b}", "{a} over {b}"),
        "below": ("{a} below {b}", "{a} under {b}"),
        "and": ("{a} and {b}", "{a} with {b}"),
    },
    "zh": {
        "left": ("{a}在{b}左边", "{a}在{b}的左边"),
        "right": ("{a}在{b}右边", "{a}在{b}的右边"),
        "above": ("{a}在{b}上面", "{a}在{b}的上方"),
        "below": ("{a}在{b}下面", "{a}在{b}的下方"),
        "and": ("{a}和{b}",),
    },
    "zh-hant": {
        "left": ("{a}在{b}左邊", "{a}在{b}的左邊"),
        "right": ("{a}在{b}右邊", "{a}在{b}的右邊"),
        "above": ("{a}在{b}上面", "{a}在{b}的上方"),
        "below": ("{a}在{b}下面", "{a}在{b}的下方"),
        "and": ("{a}和{b}",),
    },
}
NUMBERS = {"en": ("two", "three", "four"), "zh": ("两", "三", "四"), "zh-hant": ("兩", "三", "四")}
MEASURES = {"zh": ("只", "个"), "zh-hant": ("隻", "個")}  # of animals, and of all else
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Scene:
    """What stands where.

    Attributes:
        things: the rows of the two pictures, or the same row two to four times.
        where: how the first of two things lies to the second; "" for a number of one thing.
        corners: left and top of each thing, in halves of the picture's side: (0, 0) to (1, 1).
    """

    things: tuple[int, ...]
    where: str
    corners: tuple[tuple[float, float], ...]

    def number(self, concepts: Sequence[int], total: int) -> int:
        """Return the number of the scene as a concept of its own: no concept has it, nor a scene that looks otherwise.

        "A cat left of a dog" and "a dog right of a cat" are one scene.

        Args:
            concepts: the numbers of the things' concepts, all below total.
        """
        first, second = concepts[0], concepts[-1]
        if not self.where:
            look = len(self.things)
        else:
            look = 5 + list(OPPOSITE).index(self.where if first < second else OPPOSITE[self.where])
        return total + (min(first, second) * total + max(first, second)) * 10 + look


def countable(record: Mapping[str, Any]) -> bool:
    """Return whether a row shows a thing of which there can be two, and its label is a plain English noun."""
    label = record["label"]
    plain = label.islower() and label.replace(" ", "").replace("-", "").isalpha() and not label.endswith("s")
    return (
        plain
        and record["subgroup"] in SUBGROUPS
        and label not in UNCOUNTED
        and LINKS.isdisjoint(label.split())
        and any(words["language"] == "en" for words in record["captions"])
    )


def plural(label: str) -> str:
    """Return the plural of an English label, whose last word is the noun."""
    before, space, noun = label.rpartition(" ")
    if noun in PLURALS:
        return before + space + PLURALS[noun]
    if noun.endswith(UNCHANGED):
        return label
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{label}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{label[:-1]}ies"
    return f"{label}s"


def draw_scene(thing: int, others: Sequence[int], rng: random.Random) -> Scene:
    """Return a scene with this row's picture; `others` are the rows of its style whose concept is another."""
    if not others or rng.random() < COUNT_SHARE:
        return several(thing, rng.choice(COUNTS), rng)
    where = rng.choice(list(OPPOSITE))
    return beside(thing, rng.choice(others), where, rng)


def beside(first: int, second: int, where: str, rng: random.Random) -> Scene:
    """Return the first row's picture left, right, above or below of the second's, not always at the same height."""
    aside = [rng.uniform(0.2, 0.8) for _ in range(2)]
    near, far = (0.0, 1.0) if where in ("left", "above") else (1.0, 0.0)
    level = where in ("left", "right")
    corners = ((near, aside[0]), (far, aside[1])) if level else ((aside[0], near), (aside[1], far))
    return Scene((first, second), where, corners)


def several(thing: int, count: int, rng: random.Random) -> Scene:
    """Return the row's picture as often as `COUNTS` allow."""
    if count == 2:
        corners = ((0.0, rng.random()), (1.0, rng.random()))
    elif count == 3:
        top = rng.choice((0.0, 1.0))
        corners = ((0.5, top), (0.0, 1 - top), (1.0, 1 - top))
    else:
        corners = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    return Scene((thing,) * count, "", corners)


def caption(scene: Scene, records: Sequence[Mapping[str, Any]], rng: random.Random) -> Caption:
    """Return a caption that is true of the scene, with a style and a background like any other."""
    first, second = records[scene.things[0]], records[scene.things[-1]]
    languages = [one for one in CHINESE if _label(first, one) and _label(second, one)]
    language = (
        rng.choices(languages, [2, 1][: len(languages)])[0] if rng.random() < CHINESE_SHARE and languages else "en"
    )
    if not scene.where:
        subject = _counted(first, len(scene.things), language)
    else:
        where = "and" if rng.random() < AND_SHARE else scene.where
        pair = [first, second] if where != "and" or rng.random() < 0.5 else [second, first]
        phrases = WHERE[language][where]
        a, b = (_counted(record, 1, language) if language == "en" else _label(record, language) for record in pair)
        subject = phrases[0 if rng.random() < 0.5 else -1].format(a=a, b=b)
    return complete(subject, language, first["style"], rng)


def canonical_scene(scene: Scene, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the fixed prompt of a scene: "two cats, STYLE style", "a cat left of a dog, STYLE style"."""
    first, second = records[scene.things[0]], records[scene.things[-1]]
    if scene.where:
        a, b = (_counted(record, 1, "en") for record in (first, second))
        subject = WHERE["en"][scene.where][0].format(a=a, b=b)
    else:
        subject = _counted(first, len(scene.things), "en")
    return canonical_caption({"label": subject, "style": first["style"]})


def scene_texts() -> Iterator[str]:
    """Return every template of a scene's subject, to train a tokenizer on; the word "emoji" stands for its things."""
    for language, phrases in WHERE.items():
        yield from (template.format(a="emoji", b="emoji") for templates in phrases.values() for template in templates)
        for number in NUMBERS[language]:
            yield from (f"{number}{measure}emoji" for measure in MEASURES.get(language, (" ",)))


def _label(record: Mapping[str, Any], language: str) -> str | None:
    return next((words["label"] for words in record["captions"] if words["language"] == language), None)


def _counted(record: Mapping[str, Any], count: int, language: str) -> str:
    label = _label(record, language)
    assert label is not None, "only what has a label in the language is counted"
    if language == "en":
        return f"{article(label)} {label}" if count == 1 else f"{NUMBERS['en'][count - 2]} {plural(label)}"
    animal, other = MEASURES[language]
    measure = animal if record["subgroup"].startswith("animal") else other
    return f"{NUMBERS[language][count - 2]}{measure}{label}"


def paint(scene: Scene, pictures: torch.Tensor) -> torch.Tensor:
    """Paint the scene as a picture with straight alpha, uint8 (4, size, size).

    Args:
        pictures: uint8 (n, 4, size, size), straight alpha; the scene's things are its rows.
    """
    size = pictures.shape[-1]
    half = size // 2
    things = torch.stack([pictures[thing] for thing in scene.things]).float()
    things[:, :3] *= things[:, 3:] / 255  # colours weigh as much as they cover
    things = F.avg_pool2d(things, 2)
    things[:, :3] *= 255 / things[:, 3:].clamp(min=1)
    canvas = pictures.new_zeros(4, size, size)
    for thing, (left, top) in zip(things.round().clamp(0, 255).byte(), scene.corners, strict=True):
        x, y = round(left * (size - half)), round(top * (size - half))
        canvas[:, y : y + half, x : x + half] = thing
    return canvas
