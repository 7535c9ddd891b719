"""Fidelity and diversity apart: precision and recall, density and coverage, from balls to the nearest neighbours."""

from dataclasses import dataclass

import numpy as np

BLOCK = 2048
PRECISION_NEIGHBOURS = 3  # Kynkäänniemi et al., arXiv 1904.06991
DENSITY_NEIGHBOURS = 5  # Naeem et al., arXiv 2002.09797


@dataclass(frozen=True)
class Manifold:
    """One value for each picture that was asked about, in the order of the pictures; the measures are the means.

    `precision` and `density` are asked of the pictures, `recall` and `coverage` of the reference.
    """

    precision: np.ndarray  # does the picture lie in a ball of the reference?
    recall: np.ndarray  # does the reference picture lie in a ball of the pictures?
    density: np.ndarray  # in how many balls of the reference does it lie, over the neighbours
    coverage: np.ndarray  # does any picture lie in the reference picture's ball?


def measure(pictures: np.ndarray, reference: np.ndarray, reference_radii: np.ndarray | None = None) -> Manifold:
    """Measure features (n, d) of the pictures against (m, d) of the reference; ValueError for too few of them.

    `reference_radii` are `radii` of the reference, where they are known already.

    A ball reaches to the k-th nearest of the own set, itself not counted. Precision and recall count its border as
    inside, density and coverage do not, each as published. What differs from a border by no more than rounding lies on
    it: a copy has the distance 0 and other distances of its original, whatever the processor makes of them.
    """
    least = DENSITY_NEIGHBOURS + 1
    if min(len(pictures), len(reference)) < least:
        raise ValueError(f"Density and coverage need at least {least} pictures on each side.")
    around, _ = radii(pictures)
    near, far = radii(reference) if reference_radii is None else reference_radii
    precise, dense = np.zeros(len(pictures)), np.zeros(len(pictures))
    recalled, covered = np.zeros(len(reference)), np.zeros(len(reference))
    for i in range(0, len(pictures), BLOCK):
        for j in range(0, len(reference), BLOCK):
            mine, theirs = slice(i, i + BLOCK), slice(j, j + BLOCK)
            distances, slack = _distances(pictures[mine], reference[theirs])
            precise[mine] = np.maximum(precise[mine], (distances <= near[theirs] + slack).any(1))
            recalled[theirs] = np.maximum(recalled[theirs], (distances <= around[mine, None] + slack).any(0))
            inside = distances < far[theirs] - slack
            dense[mine] += inside.sum(1) / DENSITY_NEIGHBOURS
            covered[theirs] = np.maximum(covered[theirs], inside.any(0))
    return Manifold(precise, recalled, dense, covered)


def radii(features: np.ndarray) -> np.ndarray:
    """Return (2, n): every row's squared distance to its third and to its fifth nearest other row."""
    found = []
    for i in range(0, len(features), BLOCK):
        rows = features[i : i + BLOCK]
        nearest = np.full((len(rows), DENSITY_NEIGHBOURS), np.inf)
        for j in range(0, len(features), BLOCK):
            distances, _ = _distances(rows, features[j : j + BLOCK])
            if i == j:
                np.fill_diagonal(distances, np.inf)
            known = np.concatenate([nearest, distances], axis=1)
            nearest = np.partition(known, DENSITY_NEIGHBOURS - 1, axis=1)[:, :DENSITY_NEIGHBOURS]
        found.append(np.sort(nearest, axis=1))
    nearest = np.concatenate(found)
    return np.stack([nearest[:, PRECISION_NEIGHBOURS - 1], nearest[:, DENSITY_NEIGHBOURS - 1]])


def _distances(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared Euclidean distances (n, m), float64, and how far rounding may set two apart that are the same."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1)
    return np.maximum(squares - 2 * x @ y.T, 0), 4 * (x.shape[1] + 8) * np.finfo(np.float64).eps * squares
