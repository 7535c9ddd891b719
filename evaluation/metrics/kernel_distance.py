"""Kernel distances between two sets of features: KID (Bińkowski et al., arXiv 1801.01401) and CMMD (arXiv 2401.09603).

Both are squared maximum mean discrepancies. Unlike FID, KID has no bias at small numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BLOCK = 2048
SUBSETS = 100
NORMAL_95 = 1.959964
CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class KernelDistance:
    """A distance and its 95% interval, from the jackknife over single pictures of both sides; None below three.

    `left_out` is what the distance would be without each of the pictures, from which comparisons are made; `of_subsets`
    mean and standard deviation over random subsets, where they were asked for.
    """

    value: float
    interval: tuple[float, float] | None
    left_out: np.ndarray | None = None
    of_subsets: tuple[float, float] | None = None


def kid(
    pictures: np.ndarray, reference: np.ndarray, *, subset_size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Estimate the kernel inception distance of (n, d) and (m, d): unbiased; ValueError for fewer than two rows.

    The published mean over random subsets estimates the same number, with more noise; with a `subset_size` it comes out
    of the same pass, as `kid_of_subsets` gives it.
    """
    n, m = len(pictures), len(reference)
    if min(n, m) < 2:
        raise ValueError("A kernel distance needs at least two pictures on each side.")
    chosen = _subsets(n, m, SUBSETS, subset_size, seed) if subset_size else None
    sums = _sums(pictures, reference, _cubic, chosen)
    of_subsets = _over_subsets(sums, subset_size) if subset_size else None
    within_x, within_y, from_x, from_y = sums.within_x, sums.within_y, sums.from_x, sums.from_y
    xx, yy, xy = within_x.sum(), within_y.sum(), from_x.sum()
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    if min(n, m) < 3:
        return KernelDistance(float(value), None, of_subsets=of_subsets)
    # What the estimate would be without each single picture follows from the same sums.
    without_x = (xx - 2 * within_x) / ((n - 1) * (n - 2)) + yy / (m * (m - 1)) - 2 * (xy - from_x) / ((n - 1) * m)
    without_y = (yy - 2 * within_y) / ((m - 1) * (m - 2)) + xx / (n * (n - 1)) - 2 * (xy - from_y) / ((m - 1) * n)
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    reach = NORMAL_95 * float(np.sqrt(variance))
    return KernelDistance(float(value), (float(value) - reach, float(value) + reach), without_x, of_subsets)


def kid_of_subsets(
    pictures: np.ndarray, reference: np.ndarray, subsets: int = SUBSETS, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return mean and standard deviation over subsets of `size` rows of (n, d) and (m, d), as published tables do.

    Only these pictures are looked at: the time does not depend on how many there are.
    """
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x, y = (side[np.sort(rng.choice(len(side), size, replace=False))] for side in (pictures, reference))
        within = sum(kernel.sum() - np.trace(kernel) for kernel in (_cubic(x, x), _cubic(y, y)))
        values.append(within / (size * (size - 1)) - 2 * _cubic(x, y).sum() / size**2)
    return float(np.mean(values)), float(np.std(values))


def cmmd(pictures: np.ndarray, reference: np.ndarray) -> float:
    """Return the CLIP maximum mean discrepancy of CLIP embeddings (n, d), (m, d), L2-normalised here.

    Gaussian kernel of width 10, times 1000, each picture paired with itself too: as in the authors' code.
    """
    sums = _sums(pictures, reference, _gaussian)
    n, m = len(pictures), len(reference)
    within = (sums.within_x.sum() + n) / n**2 + (sums.within_y.sum() + m) / m**2
    return float(CMMD_SCALE * (within - 2 * sums.from_x.sum() / (n * m)))


@dataclass(frozen=True)
class _Sums:
    """Each row's sum of kernels: within x, within y (itself left out), from x to y, from y to x; float64.

    `subsets` are the same three sums, (3, k), inside of each of k subsets of both sides: xx, yy and xy.
    """

    within_x: np.ndarray
    within_y: np.ndarray
    from_x: np.ndarray
    from_y: np.ndarray
    subsets: np.ndarray | None


def _sums(x: np.ndarray, y: np.ndarray, kernel: Kernel, chosen: tuple[np.ndarray, np.ndarray] | None = None) -> _Sums:
    """`chosen` says of the rows of x (k, n) and of y (k, m) which are in each subset."""
    of_x, of_y = chosen if chosen is not None else (np.zeros((0, len(x)), bool), np.zeros((0, len(y)), bool))
    within_x, xx = _within_sums(x, kernel, of_x)
    within_y, yy = _within_sums(y, kernel, of_y)
    from_x, from_y, xy = _cross_sums(x, y, kernel, of_x, of_y)
    return _Sums(within_x, within_y, from_x, from_y, None if chosen is None else np.stack([xx, yy, xy]))


def _cross_sums(
    x: np.ndarray, y: np.ndarray, kernel: Kernel, of_x: np.ndarray, of_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from_x, from_y, inside = np.zeros(len(x)), np.zeros(len(y)), np.zeros(len(of_x))
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            values = kernel(x[i : i + BLOCK], y[j : j + BLOCK])
            from_x[i : i + BLOCK] += values.sum(1)
            from_y[j : j + BLOCK] += values.sum(0)
            inside += _inside(values, of_x[:, i : i + BLOCK], of_y[:, j : j + BLOCK])
    return from_x, from_y, inside


def _within_sums(x: np.ndarray, kernel: Kernel, of_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums, inside = np.zeros(len(x)), np.zeros(len(of_x))
    for i in range(0, len(x), BLOCK):
        for j in range(0, i + BLOCK, BLOCK):  # the rest follows by symmetry
            values = kernel(x[i : i + BLOCK], x[j : j + BLOCK])
            if i == j:
                np.fill_diagonal(values, 0.0)
            else:
                sums[j : j + BLOCK] += values.sum(0)
            sums[i : i + BLOCK] += values.sum(1)
            times = 1 if i == j else 2
            inside += times * _inside(values, of_x[:, i : i + BLOCK], of_x[:, j : j + BLOCK])
    return sums, inside


def _inside(values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k,) sums of a block of kernels over the chosen rows (k, a) and columns (k, b) of each subset."""
    return (rows.astype(np.float64) @ values * columns).sum(1) if len(rows) else np.zeros(0)


def _subsets(n: int, m: int, count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n and of m rows are in each of `count` random subsets of `size`: (count, n) and (count, m) bool."""
    rng = np.random.default_rng(seed)
    of_x, of_y = np.zeros((count, n), bool), np.zeros((count, m), bool)
    for index in range(count):
        of_x[index, rng.choice(n, size, replace=False)] = True
        of_y[index, rng.choice(m, size, replace=False)] = True
    return of_x, of_y


def _over_subsets(sums: _Sums, size: int) -> tuple[float, float]:
    assert sums.subsets is not None, "asked for with the sums"
    xx, yy, xy = sums.subsets
    values = (xx + yy) / (size * (size - 1)) - 2 * xy / size**2
    return float(np.mean(values)), float(np.std(values))


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return (x @ y.T / x.shape[1] + 1) ** 3


def _gaussian(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the rows brought to length 1, whose squared distance is then 2 - 2 x·y."""
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (x, y))
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return np.exp((x @ y.T - 1) / CMMD_SIGMA**2)
