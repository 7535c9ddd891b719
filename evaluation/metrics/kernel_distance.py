"""Kernel distances between two sets of features: KID (Bińkowski et al., arXiv 1801.01401) and CMMD (arXiv 2401.09603).

Both are squared maximum mean discrepancies. Unlike FID, KID has no bias at small numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BLOCK = 2048
NORMAL_95 = 1.959964
CMMD_SIGMA = 10.0
CMMD_SCALE = 1000.0

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class KernelDistance:
    """A distance and its 95% interval, from the jackknife over single pictures of both sides; None below three.

    `left_out` is what the distance would be without each of the pictures, from which comparisons are made.
    """

    value: float
    interval: tuple[float, float] | None
    left_out: np.ndarray | None = None


def kid(pictures: np.ndarray, reference: np.ndarray) -> KernelDistance:
    """Kernel inception distance over all pairs, (n, d) and (m, d) -> the unbiased estimate, slightly negative at times.

    The published mean over random subsets estimates the same number, with more noise; see `kid_of_subsets`.
    """
    within_x, within_y, from_x, from_y = _sums(pictures, reference, _cubic)
    n, m = len(pictures), len(reference)
    if min(n, m) < 2:
        raise ValueError("A kernel distance needs at least two pictures on each side.")
    xx, yy, xy = within_x.sum(), within_y.sum(), from_x.sum()
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    if min(n, m) < 3:
        return KernelDistance(float(value), None)
    # What the estimate would be without each single picture follows from the same sums.
    without_x = (xx - 2 * within_x) / ((n - 1) * (n - 2)) + yy / (m * (m - 1)) - 2 * (xy - from_x) / ((n - 1) * m)
    without_y = (yy - 2 * within_y) / ((m - 1) * (m - 2)) + xx / (n * (n - 1)) - 2 * (xy - from_y) / ((m - 1) * n)
    variance = (n - 1) * without_x.var() + (m - 1) * without_y.var()
    reach = NORMAL_95 * float(np.sqrt(variance))
    return KernelDistance(float(value), (float(value) - reach, float(value) + reach), without_x)


def kid_of_subsets(
    pictures: np.ndarray, reference: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of `size` pictures of each side, as published tables have it."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x = pictures[np.sort(rng.choice(len(pictures), size, replace=False))]
        y = reference[np.sort(rng.choice(len(reference), size, replace=False))]
        within_x, within_y, from_x, _ = _sums(x, y, _cubic)
        values.append((within_x.sum() + within_y.sum()) / (size * (size - 1)) - 2 * from_x.sum() / size**2)
    return float(np.mean(values)), float(np.std(values))


def cmmd(pictures: np.ndarray, reference: np.ndarray) -> float:
    """CLIP maximum mean discrepancy of CLIP embeddings (n, d), (m, d), which are brought to length 1 here.

    Gaussian kernel of width 10, times 1000, each picture paired with itself too: as in the authors' code.
    """
    within_x, within_y, from_x, _ = _sums(pictures, reference, _gaussian)
    n, m = len(pictures), len(reference)
    return float(CMMD_SCALE * ((within_x.sum() + n) / n**2 + (within_y.sum() + m) / m**2 - 2 * from_x.sum() / (n * m)))


def _sums(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each row's sum of kernels: within x, within y (itself left out), from x to y, from y to x; float64."""
    from_x, from_y = _cross_sums(x, y, kernel)
    return _within_sums(x, kernel), _within_sums(y, kernel), from_x, from_y


def _cross_sums(x: np.ndarray, y: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    from_x, from_y = np.zeros(len(x)), np.zeros(len(y))
    for i in range(0, len(x), BLOCK):
        for j in range(0, len(y), BLOCK):
            values = kernel(x[i : i + BLOCK], y[j : j + BLOCK])
            from_x[i : i + BLOCK] += values.sum(1)
            from_y[j : j + BLOCK] += values.sum(0)
    return from_x, from_y


def _within_sums(x: np.ndarray, kernel: Kernel) -> np.ndarray:
    sums = np.zeros(len(x))
    for i in range(0, len(x), BLOCK):
        for j in range(0, i + BLOCK, BLOCK):  # the rest follows by symmetry
            values = kernel(x[i : i + BLOCK], x[j : j + BLOCK])
            if i == j:
                np.fill_diagonal(values, 0.0)
            else:
                sums[j : j + BLOCK] += values.sum(0)
            sums[i : i + BLOCK] += values.sum(1)
    return sums


def _cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return (x @ y.T / x.shape[1] + 1) ** 3


def _gaussian(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the rows brought to length 1, whose squared distance is then 2 - 2 x·y."""
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (x, y))
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return np.exp((x @ y.T - 1) / CMMD_SIGMA**2)
