"""How sure a difference is: paired bootstrap and sign flips over prompts, jackknife over groups, Holm's correction.

A paired test asks about the same prompts and seeds under two settings, so what is hard about a prompt cancels out.
Intervals are 95%; p-values are two-sided.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

RESAMPLES = 10_000
FEWEST = 6  # values of which a median is told with an interval: of five, all above zero is 1 in 16 by chance
CHUNK = 4_000_000  # resampled numbers held at once

Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Difference:
    """`mean` of a - b over `n` pairs, its interval, the p-value of "no difference", and who was ahead how often."""

    mean: float
    interval: tuple[float, float]
    p: float
    n: int
    wins: int = 0  # pairs in which a is the higher one
    losses: int = 0


def mean_interval(values: Values, seed: int = 0, blocks: np.ndarray | None = None) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean; ValueError below two finite values.

    `blocks` (n,) numbers what values hang together, as those of one prompt: blocks are drawn, not values.
    """
    means = np.concatenate(list(_resampled_means(_checked(values), seed, blocks)))
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def median_interval(values: Values, seed: int = 0) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the median; None below `FEWEST` values, which have none of 95%."""
    if len(values) < FEWEST:
        return None
    low, high = np.quantile(_resampled_medians(_checked(values), seed), (0.025, 0.975))
    return float(low), float(high)


def paired_medians(a: Values, b: Values, seed: int = 0) -> Difference | None:
    """Return a - b as the median over pairs, of values such as times, of which a few may be far off.

    The interval is the bootstrap's, the p-value that of Wilcoxon's signed ranks. None below `FEWEST` pairs: a
    difference in the same direction in all of them would still be chance. ValueError for unequal lengths.
    """
    if len(a) != len(b):
        raise ValueError(f"A paired comparison needs as many values on both sides, not {len(a)} and {len(b)}.")
    if len(a) < FEWEST:
        return None
    pairs = _checked(a) - _checked(b)
    wins, losses = int((pairs > 0).sum()), int((pairs < 0).sum())
    low, high = np.quantile(_resampled_medians(pairs, seed), (0.025, 0.975))
    p = float(scipy.stats.wilcoxon(pairs).pvalue) if wins or losses else 1.0
    return Difference(float(np.median(pairs)), (float(low), float(high)), p, len(pairs), wins, losses)


def paired_bootstrap(a: Values, b: Values, seed: int = 0, *, blocks: np.ndarray | None = None) -> Difference:
    """Return a - b of values that belong together by position; ValueError for unequal lengths or fewer than two pairs.

    `blocks` are as in `mean_interval`: their pairs are drawn, and exchanged, together.

    The interval is the bootstrap's. The p-value is the share of random exchanges of a and b within the pairs that
    give a mean as far from zero, never below 1 / (RESAMPLES + 1): unlike the bootstrap's own it holds for few pairs.
    """
    if len(a) != len(b):
        raise ValueError(f"A paired comparison needs as many values on both sides, not {len(a)} and {len(b)}.")
    pairs = _checked(a) - _checked(b)
    wins, losses = int((pairs > 0).sum()), int((pairs < 0).sum())
    mean = float(pairs.mean())
    if not wins and not losses:
        return Difference(0.0, (0.0, 0.0), 1.0, len(pairs))
    means = np.concatenate(list(_resampled_means(pairs, seed, blocks)))
    low, high = np.quantile(means, (0.025, 0.975))
    exchanged = np.concatenate(list(_exchanged_means(pairs, seed, blocks)))
    # Rounding in the mean must not decide whether an exchange that gives the same counts.
    far = np.abs(exchanged) >= abs(mean) * (1 - 1e-9)
    p = (1 + int(far.sum())) / (RESAMPLES + 1)
    return Difference(mean, (float(low), float(high)), p, len(pairs), wins, losses)


def ratio_interval(a: Values, b: Values, seed: int = 0) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of mean(a) / mean(b), of values that belong together by position.

    None where b's mean can come out as zero, so that there is no upper end. ValueError as in `paired_bootstrap`.
    """
    if len(a) != len(b):
        raise ValueError(f"A ratio of means needs as many values on both sides, not {len(a)} and {len(b)}.")
    above, below = (np.concatenate(list(_resampled_means(_checked(side), seed))) for side in (a, b))
    if (below <= 0).any():
        return None
    low, high = np.quantile(above / below, (0.025, 0.975))
    return float(low), float(high)


def jackknife(value: float, left_out: Values) -> tuple[float, tuple[float, float], float]:
    """Return standard error, interval and p-value of `value` from its `left_out` versions, each without one group.

    For statistics that are no mean over pictures, as a Fréchet distance or the difference of two: the groups
    must be of (about) equal size. Student's t with one degree of freedom fewer than groups.
    """
    parts = _checked(left_out)
    error = (len(parts) - 1) ** 0.5 * float(parts.std())
    return error, *_student(value, error, len(parts) - 1)


def paired_shares(a: Values, b: Values, left_out: Values) -> Difference:
    """Return a - b of shares of the same reference, as recall is one: `a` and `b` are of its pictures.

    The reference's pictures and those that reach them are each drawn by chance, so the variance over the pairs and that
    of the jackknife (`left_out` versions of a - b, each without one group of pictures) are added. Interval and p-value
    are Student's with one degree of freedom fewer than groups. ValueError as in `paired_bootstrap`.
    """
    if len(a) != len(b):
        raise ValueError(f"A paired comparison needs as many values on both sides, not {len(a)} and {len(b)}.")
    pairs = _checked(a) - _checked(b)
    mean = float(pairs.mean())
    of_groups, *_ = jackknife(mean, left_out)
    error = (float(pairs.var(ddof=1)) / len(pairs) + of_groups**2) ** 0.5
    interval, p = _student(mean, error, len(left_out) - 1)
    return Difference(mean, interval, p, len(pairs), int((pairs > 0).sum()), int((pairs < 0).sum()))


def _student(value: float, error: float, freedom: int) -> tuple[tuple[float, float], float]:
    """Return interval and p-value of a value with a standard error."""
    if error == 0:
        return (value, value), 1.0 if value == 0 else 0.0
    reach = float(scipy.stats.t.ppf(0.975, freedom)) * error
    return (value - reach, value + reach), float(2 * scipy.stats.t.sf(abs(value) / error, freedom))


def sign_test(wins: int, losses: int) -> tuple[float, tuple[float, float], float]:
    """Return the share of wins, its Wilson interval and the exact p-value of an even contest; ties are left out."""
    if wins + losses == 0:
        return 0.5, (0.0, 1.0), 1.0
    test = scipy.stats.binomtest(wins, wins + losses)
    interval = test.proportion_ci(method="wilson")
    return wins / (wins + losses), (float(interval.low), float(interval.high)), float(test.pvalue)


def holm(p_values: Values) -> list[float]:
    """Correct each p-value for having looked at all of them (Holm 1979), in the order given."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _resampled_means(values: np.ndarray, seed: int, blocks: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield the means of RESAMPLES samples with replacement. Of a single block its values are drawn."""
    numbers = _numbered(blocks)
    if numbers is None:
        for drawn in _draws(len(values), len(values), seed):
            yield values[drawn].mean(axis=1)
        return
    sums, counts = np.bincount(numbers, values), np.bincount(numbers)
    for drawn in _draws(len(sums), len(sums), seed):
        yield sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)


def _resampled_medians(values: np.ndarray, seed: int) -> np.ndarray:
    """Return the medians of RESAMPLES samples with replacement."""
    return np.concatenate([np.median(values[drawn], axis=1) for drawn in _draws(len(values), len(values), seed)])


def _exchanged_means(pairs: np.ndarray, seed: int, blocks: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yield the means of RESAMPLES versions of the differences, each with random signs, one a block."""
    numbers = _numbered(blocks)
    sums = pairs if numbers is None else np.bincount(numbers, pairs)
    for drawn in _draws(2, len(sums), seed):
        yield (2 * drawn - 1) @ sums / len(pairs)


def _numbered(blocks: np.ndarray | None) -> np.ndarray | None:
    """Return the blocks numbered from 0 without gaps, as those of a part of the values may have; None for one alone."""
    if blocks is None:
        return None
    found = np.unique(blocks, return_inverse=True)[1]
    return found if found.any() else None


def _draws(below: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """RESAMPLES rows of n random numbers in 0..below - 1, some at a time so that memory stays small."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // n)
    for start in range(0, RESAMPLES, rows):
        yield rng.integers(below, size=(min(rows, RESAMPLES - start), n))


def _checked(values: Values) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"An interval needs at least two values, not {array.size}.")
    if not np.isfinite(array).all():
        raise ValueError("Some values are not finite numbers: look at what was measured.")
    return array
