"""Intervals for answers that several raters gave to the same pairs: neither raters nor pairs are independent rows.

Raters and pairs are both drawn with replacement, and an answer counts as often as its rater times its pair was drawn
(the pigeonhole bootstrap: Owen 2007, The Annals of Applied Statistics 1, 386). It errs towards wide intervals.
"""

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 1000


def crossed_weights(raters: Sequence[str], pairs: Sequence[str], seed: int = 0) -> np.ndarray:
    """Return how often each answer (n,) counts in each of `RESAMPLES` samples: (RESAMPLES, n)."""
    rng = np.random.default_rng(seed)
    weights = np.ones((RESAMPLES, len(raters)))
    for names in (raters, pairs):
        _, number = np.unique(np.asarray(names), return_inverse=True)
        count = int(number.max()) + 1
        if count > 1:
            drawn = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
            weights *= drawn[:, number]
    return weights


def weighted_mean(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what takes weights (k, n) to the means (k,) of the values (n,); NaN where nothing counts."""

    def mean(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return weights @ values / weights.sum(1)

    return mean


def percentiles(found: np.ndarray) -> tuple[float, float] | None:
    """Return the 95% interval of the values (RESAMPLES,) that samples gave, NaN for none; None where too many are."""
    found = found[np.isfinite(found)]
    if len(found) < RESAMPLES // 2:
        return None
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
