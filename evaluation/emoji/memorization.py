"""Whether drawn pictures are training pictures over again: the nearest ones in a CLIP's eyes, held against real ones.

A real picture of a pair that was not trained on is no copy, however near a training picture lies (the same concept
in a sister style), so its nearest cosine is the yardstick.
"""

from dataclasses import dataclass

import numpy as np

BLOCK = 512
STRICT = 0.999  # of the cosines of real pictures of different pairs
NEAREST = 0.99  # of the nearest cosines of real pictures that were not trained on


@dataclass(frozen=True, eq=False)
class Nearest:
    """Of n pictures: the training pictures that lie nearest, (n, k) indices and cosines, nearest first."""

    indices: np.ndarray
    cosines: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Return (n,) cosines of the nearest."""
        return self.cosines[:, 0]


def nearest(pictures: np.ndarray, training: np.ndarray, count: int = 3) -> Nearest:
    """Return unit vectors (n, d) and (m, d); ValueError with fewer than `count` training pictures."""
    if len(training) < count:
        raise ValueError(f"There are only {len(training)} training pictures to compare with, not {count}.")
    indices, cosines = [], []
    for start in range(0, len(pictures), BLOCK):
        found = pictures[start : start + BLOCK] @ training.T
        best = np.argsort(-found, axis=1, kind="stable")[:, :count]
        indices.append(best)
        cosines.append(np.take_along_axis(found, best, axis=1))
    return Nearest(np.concatenate(indices), np.concatenate(cosines))


def strict_threshold(real: np.ndarray, training: np.ndarray) -> float:
    """Return the cosine that one in a thousand of real pictures (n, d) and training pictures (m, d) exceeds.

    No picture is on both sides and so no pair is compared with itself.
    """
    return float(np.quantile(real @ training.T, STRICT))


def nearest_threshold(real: Nearest) -> float:
    """Return the cosine to the nearest training picture that one in a hundred real, untrained pictures exceeds."""
    return float(np.quantile(real.first, NEAREST))
