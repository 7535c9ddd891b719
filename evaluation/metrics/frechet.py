"""Means and covariances of features, exact under merging, and the Fréchet distance between two.

All sums are float64. A set of no more pictures than features keeps its rows, which are smaller than a covariance and
give the distance without its rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

POINTS = 15  # of the line along which a distance is extrapolated, as published
SYMMETRIC = 1e-3  # of the largest variance: how far a covariance that was kept in float32 may be from it
BLOCK = 4096  # rows; fixed, so that sums do not depend on the batches that features came in


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean (d,) and either the rows (n, d) or the scatter (d, d), the centred sum of products; float64."""

    n: int
    mean: torch.Tensor
    rows: torch.Tensor | None = None
    scatter: torch.Tensor | None = None

    @classmethod
    def of(cls, features: np.ndarray, chosen: np.ndarray | None = None) -> "Moments":
        """Return the moments of features (n, d), or of the `chosen` rows; ValueError unless finite and at least one.

        Of features that lie on the disk a block at a time is in memory.
        """
        n, dim = features.shape if chosen is None else (len(chosen), features.shape[1])
        if n < 1:
            raise ValueError("There are no features: measure at least two pictures.")
        if n <= dim:
            rows = doubles(features if chosen is None else features[chosen])
            return cls(n, rows.mean(0), rows=rows)
        places = (slice(start, start + BLOCK) for start in range(0, n, BLOCK))
        blocks = (doubles(features[place if chosen is None else chosen[place]]) for place in places)
        parts = (cls(len(rows), mean := rows.mean(0), scatter=_products(rows - mean)) for rows in blocks)
        total = next(parts)
        for part in parts:
            total = total.merge(part)
        return total

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets together, as if measured as one (Chan, Golub and LeVeque 1979)."""
        n = self.n + other.n
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.n / n)
        if self.rows is not None and other.rows is not None and n <= len(mean):
            return Moments(n, mean, rows=torch.cat([self.rows, other.rows]))
        between = torch.outer(shift, shift) * (self.n * other.n / n)
        return Moments(n, mean, scatter=self._scatter + other._scatter + between)

    def without(self, other: "Moments") -> "Moments":
        """Return the inverse of `merge`: of those pictures that are not in `other`."""
        n = self.n - other.n
        mean = (self.mean * self.n - other.mean * other.n) / n
        shift = other.mean - mean
        between = torch.outer(shift, shift) * (n * other.n / self.n)
        return Moments(n, mean, scatter=self._scatter - other._scatter - between)

    @cached_property
    def covariance(self) -> torch.Tensor:
        """Return the covariance (d, d), divided by n - 1; ValueError for a single picture."""
        return self._scatter / self._freedom

    @property
    def trace(self) -> torch.Tensor:
        """Return the trace of the covariance, a scalar, float64."""
        if self.rows is not None:
            return (self.rows - self.mean).square().sum() / self._freedom
        return self.covariance.trace()

    @cached_property
    def factor(self) -> torch.Tensor:
        """Return F (r, d) whose F^T F is the covariance; it is kept, because the next distance needs it again."""
        if self.rows is not None:
            return (self.rows - self.mean) / self._freedom**0.5
        lower, failed = torch.linalg.cholesky_ex(self.covariance)
        if not failed:
            return lower.T
        values, vectors = torch.linalg.eigh(self.covariance)
        kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
        return (vectors[:, kept] * values[kept].sqrt()).T

    @property
    def _scatter(self) -> torch.Tensor:
        if self.scatter is not None:
            return self.scatter
        assert self.rows is not None, "moments have either rows or their scatter"
        return _products(self.rows - self.mean)

    @property
    def _freedom(self) -> int:
        if self.n < 2:
            raise ValueError("A distance needs at least two pictures on each side, not one.")
        return self.n - 1


@dataclass(frozen=True)
class Extrapolation:
    """A distance at infinitely many pictures, the smallest number it was drawn from, and the line's r squared."""

    value: float
    least: int
    fit: float


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance of two Gaussians (Dowson and Landau 1982): FID, in Inception's features.

    Symmetric, and never below 0; ValueError for features of different lengths. Of two large sets `b` is the one whose
    factor is taken: let it be the one that stays the same.
    """
    if len(a.mean) != len(b.mean):
        raise ValueError(f"Features of {len(a.mean)} and of {len(b.mean)} numbers have no distance.")
    apart = (a.mean - b.mean).square().sum()
    return max(0.0, float(apart + a.trace + b.trace - 2 * _overlap(a, b)))


def groups_of(n: int, groups: int, seed: int = 0) -> np.ndarray:
    """Return the random group (n,) of each row: those that `leave_groups_out` leaves out in turn."""
    found = np.empty(n, dtype=int)
    for group, rows in enumerate(np.array_split(np.random.default_rng(seed).permutation(n), groups)):
        found[rows] = group
    return found


def leave_groups_out(features: np.ndarray, groups: int, seed: int = 0) -> Iterator[Moments]:
    """Yield the moments without each of `groups` random, equal parts of the rows (n, d): a jackknife's."""
    parts = np.array_split(np.random.default_rng(seed).permutation(len(features)), groups)
    if len(features) <= features.shape[1]:
        yield from (Moments.of(np.delete(features, part, axis=0)) for part in parts)
        return
    total = Moments.of(features)
    yield from (total.without(Moments.of(features, np.sort(part))) for part in parts)


def extrapolated(features: np.ndarray, reference: Moments, seed: int = 0) -> Extrapolation | None:
    """Return the distance that infinitely many pictures would have: FD∞ (Chong and Forsyth, arXiv 1911.07023).

    The distance of n pictures falls along a line in 1/n, whose end is told. Its points are random sets of pictures,
    from a tenth of them to all; the reference stays whole, so its own bias stays too. None for fewer than twice as
    many pictures as features: with fewer than one a feature there is no such line yet.
    """
    n, dim = features.shape
    least = min(5000, max(n // 10, dim))
    if n < 2 * least:
        return None
    rng = np.random.default_rng(seed)
    counts = np.linspace(least, n, POINTS).astype(int)
    rows = (np.sort(rng.choice(n, count, replace=False)) for count in counts)
    distances = np.array([frechet_distance(Moments.of(features, chosen), reference) for chosen in rows])
    slope, value = np.polyfit(1 / counts, distances, 1)
    residuals = distances - (value + slope / counts)
    spread = np.square(distances - distances.mean()).sum()
    fit = 1.0 if spread == 0 else float(1 - np.square(residuals).sum() / spread)
    return Extrapolation(float(value), least, fit)


def _overlap(a: Moments, b: Moments) -> torch.Tensor:
    """Return the trace of (S_a S_b)^(1/2): the sum of the singular values of F_a F_bᵀ, F being the factors."""
    if a.rows is not None and b.rows is not None:
        return torch.linalg.svdvals(a.factor @ b.factor.T).sum()
    if a.rows is not None:
        a, b = b, a  # the thin factor makes a small matrix
    # S_a S_b itself is not symmetric; this has its eigenvalues and is.
    return torch.linalg.eigvalsh(b.factor @ a.covariance @ b.factor.T).clamp(min=0).sqrt().sum()


def _products(rows: torch.Tensor) -> torch.Tensor:
    return rows.T @ rows


def covariance_of(array: np.ndarray, where: object) -> torch.Tensor:
    """Return a covariance (d, d) that was kept in a file as float64; ValueError unless it can be one."""
    found = doubles(array)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"{where}: sigma is no covariance, but an array of {tuple(found.shape)}.")
    variances = found.diagonal()
    if float((found - found.T).abs().max()) > SYMMETRIC * float(variances.abs().max()) or float(variances.min()) < 0:
        raise ValueError(f"{where}: sigma is no covariance, which is symmetric and has no variance below zero.")
    return found


def doubles(array: np.ndarray) -> torch.Tensor:
    """Return the numbers as a float64 tensor of the same shape; ValueError unless they are finite."""
    values = torch.from_numpy(np.asarray(array, dtype=np.float64))
    if not values.isfinite().all():
        raise ValueError("Some features are not finite numbers: the network's weights or a picture are damaged.")
    return values
