"""MIND, the Monge Inception distance (Berthet et al., arXiv 2605.06797): sliced optimal transport between features.

Every direction makes both sets numbers on a line, where the squared 2-Wasserstein distance is that of the sorted
numbers. The mean over random directions, times 3 d, is MIND. It asks for no Gaussians, so that matching two moments
does not fool it, and a thousand pictures say something. As torch-fidelity's development version has it (5e211a9), to
the directions that a seed gives.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from evaluation.metrics.frechet import groups_of

PROJECTIONS = 1000
SCALE = 3  # times the number of features
HELD = 8_000_000  # projected numbers of one side held at once
BLOCK = 4096  # rows read at once
MANY, FEWER = 50_000, 100  # pictures, above which groups are left out of so many of the directions only


@dataclass(frozen=True)
class Mind:
    """A distance of `n` pictures a side; `left_out` and `left_out_reference` are without each group of one side.

    These are of the first `left_out_of` directions: differences among them tell how sure the value is.
    """

    value: float
    n: int
    left_out: np.ndarray | None = None
    left_out_reference: np.ndarray | None = None
    left_out_of: int = 0


def mind(
    pictures: np.ndarray,
    reference: np.ndarray,
    *,
    seed: int = 0,
    groups: int = 0,
    projections: int = PROJECTIONS,
) -> Mind:
    """Measure features (n, d) against (m, d); ValueError for fewer than two a side.

    Of the larger side as many are taken as the smaller has, chosen by `seed`: the distance of finite sets is too large,
    by how much depends on their sizes, and published numbers are of equal ones. `groups` is how many random groups are
    left out in turn, of either side, 0 for none.
    """
    if min(len(pictures), len(reference)) < 2:
        raise ValueError("MIND needs at least two pictures on each side.")
    n, dim = min(len(pictures), len(reference)), pictures.shape[1]
    generator = torch.Generator().manual_seed(seed)
    x, y = (_chosen(side, n, generator) for side in (pictures, reference))
    directions = torch.randn(projections, dim, generator=generator)
    directions = (directions / directions.norm(dim=1, keepdim=True)).numpy()
    groups = min(groups, n // 2)
    parts = groups_of(n, groups, seed) if groups >= 2 else None
    of = projections if n <= MANY else min(projections, FEWER)
    total, without_x, without_y, done = 0.0, np.zeros(groups), np.zeros(groups), 0
    for left, right in _projected(x, y, directions):
        a, b = np.sort(left, axis=1), np.sort(right, axis=1)
        total += _transport(a, b)
        some = slice(max(0, of - done))
        done += len(left)
        if parts is not None and some.stop:
            without_x += _without(left[some], parts, b[some])
            without_y += _without(right[some], parts, a[some])
    value = SCALE * dim / projections * total
    if parts is None:
        return Mind(value, n)
    scale = SCALE * dim / of
    return Mind(value, n, scale * without_x, scale * without_y, of)


def _chosen(side: np.ndarray, n: int, generator: torch.Generator) -> "_Rows":
    if len(side) == n:
        return _Rows(side, np.arange(n))
    return _Rows(side, np.sort(torch.randperm(len(side), generator=generator)[:n].numpy()))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Those rows of a side's features that are taken; they may lie on the disk."""

    features: np.ndarray
    taken: np.ndarray

    def onto(self, directions: np.ndarray) -> np.ndarray:
        """Return the projections (k, n)."""
        found = np.empty((len(directions), len(self.taken)), dtype=np.float32)
        for start in range(0, len(self.taken), BLOCK):
            rows = self.features[self.taken[start : start + BLOCK]]
            found[:, start : start + BLOCK] = directions @ np.asarray(rows, dtype=np.float32).T
        return found


def _projected(x: _Rows, y: _Rows, directions: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield both sides' projections (k, n), some directions at a time so that memory stays flat."""
    step = max(1, HELD // len(x.taken))
    for start in range(0, len(directions), step):
        some = directions[start : start + step]
        yield x.onto(some), y.onto(some)


def _without(values: np.ndarray, parts: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum over directions without each group of `values` (k, n), against all of `other` (k, m), sorted."""
    order = np.argsort(values, axis=1)
    ordered, of = np.take_along_axis(values, order, axis=1), parts[order]
    sums = []
    for group in range(parts.max() + 1):
        kept = int((parts != group).sum())
        sums.append(_transport(ordered[of != group].reshape(len(values), kept), other))
    return np.array(sums)


def _transport(a: np.ndarray, b: np.ndarray) -> float:
    """Return the sum over rows of the squared 2-Wasserstein distance of sorted numbers (k, n) and (k, m)."""
    n, m = a.shape[1], b.shape[1]
    if n == m:
        return float(np.square(a - b, dtype=np.float64).sum() / n)
    of_a, of_b, widths = _pieces(n, m)
    return float((np.square(a[:, of_a] - b[:, of_b], dtype=np.float64) @ widths).sum())


@lru_cache(maxsize=4)
def _pieces(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pieces between the steps of two quantile functions: the place of each in n and in m, and its width.

    Both functions are steps, so the integral of their difference is a sum over these.
    """
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # whole numbers: no step is missed by rounding
    starts = np.concatenate([[0], ends[:-1]])
    return starts // m, starts // n, (ends - starts) / (n * m)
