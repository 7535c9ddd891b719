"""What answers about pictures are worth: right, wrong or nonsense, and how likely the right one was.

Soft-TIFA (GenEval 2, arXiv 2512.16853) takes the probability of each right answer, and their arithmetic (AM) or
geometric mean (GM) over a picture's questions; VQAScore (arXiv 2404.01291) is the probability of "yes" to one question.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ARTICLES = {"a", "an", "the"}
MOST_WORDS = 6  # of an answer, which was asked to be one
LEAST = 1e-6  # of a probability, where a product is taken


@dataclass(frozen=True)
class Judged:
    """An answer: `right` is None where it is none, `likely` the probability of the right one, if the endpoint tells."""

    right: bool | None
    likely: float | None = None


def judged(text: str, expected: str, alternatives: Mapping[str, float] | None) -> Judged:
    """Return what an answer is worth."""
    likely = None
    if alternatives is not None:
        first = _words(expected)[:1]
        likely = min(1.0, sum(share for token, share in alternatives.items() if _words(token)[:1] == first))
    return Judged(_right(text, expected), likely)


def _right(text: str, expected: str) -> bool | None:
    said, wanted = _words(text), _words(expected)
    if wanted in (["yes"], ["no"]):
        return said[0] == wanted[0] if said and said[0] in ("yes", "no") else None
    if not said or len(said) > MOST_WORDS:
        return None
    return any(said[start : start + len(wanted)] == wanted for start in range(len(said)))


def _words(text: str) -> list[str]:
    """Return the words of an answer without case, punctuation and articles, numbers as figures."""
    plain = text.casefold().translate(str.maketrans(dict.fromkeys(string.punctuation + "▁Ġ", " ")))
    return [str(NUMBERS.index(word)) if word in NUMBERS else word for word in plain.split() if word not in ARTICLES]


def shares_right(pictures: Sequence[Sequence[Judged]]) -> np.ndarray:
    """Return of each picture the share of its questions that were answered right; nonsense is wrong."""
    return np.array([np.mean([one.right is True for one in answers]) for answers in pictures], dtype=float)


def soft(pictures: Sequence[Sequence[Judged]]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return of each picture both means of the right answers' probabilities; None where one is not told."""
    if any(one.likely is None for answers in pictures for one in answers):
        return None
    likely = [np.array([one.likely for one in answers], dtype=float) for answers in pictures]
    geometric = [float(np.exp(np.log(np.maximum(of, LEAST)).mean())) for of in likely]
    return np.array([of.mean() for of in likely]), np.array(geometric)
