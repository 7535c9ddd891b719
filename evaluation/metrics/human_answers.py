"""What answers of people add up to: win rates, a Bradley–Terry ranking, how far raters agree, and what predicts them.

Ties are half a win for both. Intervals are of `crossed_bootstrap`: answers of one rater are alike, and so are those to
one pair.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Protocol

import numpy as np

from dalle2.judgements.ranking import MEAN_RATING, POINTS, WON, Outcome, bradley_terry
from evaluation.metrics.agreement import krippendorff_alpha
from evaluation.metrics.crossed_bootstrap import crossed_weights, percentiles, weighted_mean

RANKED = 300  # resamples of the ranking, each of which is a fit
Interval = tuple[float, float] | None


class Answer(Outcome, Protocol):
    """An outcome, who gave it, and of which pair of pictures."""

    @property
    def rater(self) -> str: ...
    @property
    def pair(self) -> str: ...


@dataclass(frozen=True)
class Share:
    """A mean over `n` answers with its 95% interval."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, eq=False)
class Answers:
    """All answers to one question."""

    given: Sequence[Answer]
    seed: int = 0

    @cached_property
    def names(self) -> list[str]:
        """Return the contestants."""
        return sorted({name for one in self.given for name in (one.a, one.b)})

    def win_rates(self) -> Iterator[tuple[str, str, Share]]:
        """Yield for every two contestants that met how often the first won."""
        for first, second in combinations(self.names, 2):
            met = [index for index, one in enumerate(self.given) if {one.a, one.b} == {first, second}]
            if met:
                won = np.array([self._won(index, first) for index in met])
                yield first, second, self.share(won, met)

    def ratings(self) -> Iterator[tuple[str, Share]]:
        """Yield each contestant's rating in chess points around `MEAN_RATING` (Bradley and Terry 1952)."""
        place = {name: index for index, name in enumerate(self.names)}
        n = len(place)
        pairs = np.array([(place[one.a], place[one.b]) for one in self.given])
        won = np.array([WON[one.winner] for one in self.given])

        def rated(weights: np.ndarray) -> np.ndarray:
            wins = np.bincount(pairs[:, 0] * n + pairs[:, 1], weights * won, n * n)
            wins += np.bincount(pairs[:, 1] * n + pairs[:, 0], weights * (1 - won), n * n)
            return MEAN_RATING + POINTS * bradley_terry(wins.reshape(n, n))[0]

        found, resampled = rated(np.ones(len(won))), np.array([rated(one) for one in self._weights[:RANKED]])
        for name, index in place.items():
            played = int((pairs == index).sum())
            low, high = np.quantile(resampled[:, index], (0.025, 0.975))
            yield name, Share(float(found[index]), (float(low), float(high)), played)

    def alpha(self, level: str) -> float | None:
        """Return Krippendorff's alpha over pairs; the values are a, tie and b, in this order."""
        units = [[int(2 * self._won(index, first)) for index in met] for first, met in self._by_pair.values()]
        return krippendorff_alpha(units, level)  # ty: ignore[invalid-argument-type]

    @property
    def rated_twice(self) -> int:
        """Return how many pairs two raters or more answered."""
        return sum(len(met) > 1 for _, met in self._by_pair.values())

    def ceiling(self) -> Share | None:
        """Return how often an answer is that of most others on its pair, ties left out; None where nobody can tell.

        No measure can be expected to predict answers much better.
        """
        found, of = [], []
        for first, met in self._by_pair.values():
            for index in met:
                balance = sum(self._won(other, first) - 0.5 for other in met if other != index)
                own = self._won(index, first) - 0.5
                if balance and own:
                    found.append(float((balance > 0) == (own > 0)))
                    of.append(index)
        return self.share(np.array(found), of) if found else None

    def predicted(self, ahead: np.ndarray) -> Share | None:
        """Return how often the one with the higher score won, of answers that are no ties.

        `ahead` (n,) has for each answer the score of a less that of b; equal ones are right half the time.
        """
        of = [index for index, one in enumerate(self.given) if one.winner != "tie"]
        if not of:
            return None
        won = np.array([WON[self.given[index].winner] - 0.5 for index in of])
        return self.share(0.5 + np.sign(ahead[of]) * won, of)

    def share(self, values: np.ndarray, of: Sequence[int]) -> Share:
        """Return the mean of values (n,) that belong to these n answers, with its 95% interval."""
        found = percentiles(weighted_mean(values)(self._weights[:, list(of)]))
        return Share(float(values.mean()), found, len(values))

    def _won(self, index: int, first: str) -> float:
        one = self.given[index]
        return WON[one.winner] if one.a == first else 1 - WON[one.winner]

    @cached_property
    def _by_pair(self) -> dict[str, tuple[str, list[int]]]:
        """The answers to each pair, and the one of its two that wins are counted for."""
        found: dict[str, list[int]] = defaultdict(list)
        for index, one in enumerate(self.given):
            found[one.pair].append(index)
        return {pair: (self.given[met[0]].a, met) for pair, met in found.items()}

    @cached_property
    def _weights(self) -> np.ndarray:
        return crossed_weights([one.rater for one in self.given], [one.pair for one in self.given], self.seed)
