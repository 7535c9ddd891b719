"""Which words English is made of, by the language model of PocketSphinx's wheel."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

NATURAL = math.log(1.0001)  # of the base in which the model counts
RARE = 6e-6  # the share of a word that it does not know


class English:
    """Shares of words, alone and behind another one.

    Args:
        sphinx: the package. words: those that can be said.
    """

    def __init__(self, sphinx: Any, words: Iterable[str]) -> None:
        self._model = sphinx.NGramModel.readfile(sphinx.get_model_path("en-us/en-us.lm.bin"))
        prob = self._model.prob
        self._shares = {word: math.exp(NATURAL * prob([word])) for word in words if word.isalpha()}

    def share(self, word: str) -> float:
        """Return how large a part of all words it is."""
        return self._shares.get(word, RARE)

    def frequent(self, count: int) -> list[str]:
        """Return so many words, the most frequent first."""
        return sorted(self._shares, key=lambda word: -self._shares[word])[:count]

    def after(self, word: str, others: Sequence[str]) -> np.ndarray:
        """(others,) how likely each of them is behind a word."""
        return np.exp([NATURAL * self._model.prob([other, word]) for other in others])
