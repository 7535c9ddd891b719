"""Descriptions of concepts in everyday words, and how many of a text's words are said of a concept."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

DESCRIPTIONS = Path(__file__).with_name("descriptions.tsv")
_WORD = re.compile(r"[a-z]+")
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ies|es|s|ing|ed|y)$")
EMPTY = frozenset(
    re.findall(
        r"\S+",
        "a an the of in on with for to and or is are that you your it its at by from as into what when who which where "
        "has have be can do does one some this my",
    )
)


@cache
def read_descriptions(file: Path = DESCRIPTIONS) -> dict[str, tuple[str, ...]]:
    """English label -> what is said of the concept."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    return {label: tuple(said) for label, *said in rows}


class Overlap:
    """Which concepts a text shares words with; the fewer concepts a word is said of, the more it counts."""

    def __init__(self, said: Iterable[Sequence[str]]) -> None:
        """`said` are the texts of each concept."""
        concepts = [set().union(*map(stems_of, texts)) for texts in said]
        self._count = len(concepts)
        shared = Counter(stem for stems in concepts for stem in stems)
        self._weights = {stem: math.log(1 + self._count / count) for stem, count in shared.items()}
        self._concepts: dict[str, list[int]] = {stem: [] for stem in shared}
        for number, stems in enumerate(concepts):
            for stem in stems:
                self._concepts[stem].append(number)

    def of(self, text: str) -> np.ndarray:
        """(concepts,) share of the text's words that are said of each, from 0 to 1, weighted by how rare they are."""
        found, total = np.zeros(self._count, np.float32), 0.0
        for stem in stems_of(text):
            total += self._weights.get(stem, math.log(1 + self._count))
            if stem in self._weights:
                found[self._concepts[stem]] += self._weights[stem]
        return found / total if total else found


def stems_of(text: str) -> set[str]:
    """Return the words of an English text without endings, and without those that say nothing of their own."""
    words = (word for word in _WORD.findall(text.lower()) if word not in EMPTY)
    return {_ENDING.sub("", word) for word in words}
