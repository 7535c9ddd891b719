"""FDr: a Fréchet distance over that of other real pictures, so that 1 is as near as reality comes (arXiv 2604.28190).

A ratio has no unit, so those of several networks can be averaged: FDr^k, over k of them. A generator trained against
one network's features is found out by the others.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.metrics.frechet import Moments, frechet_distance


@dataclass(frozen=True)
class Ratio:
    """The distance of `n` pictures to the reference, and that of as many other real ones."""

    pictures: float
    real: float
    n: int

    @property
    def value(self) -> float:
        return self.pictures / self.real


def frechet_ratio(pictures: np.ndarray, held_out: np.ndarray, reference: Moments, seed: int = 0) -> Ratio:
    """Measure features (n, d) and those of held-out real pictures (m, d) against the same reference.

    Of the larger side as many are taken as the smaller has, chosen by `seed`, for a Fréchet distance is too large by an
    amount that depends on the number. ValueError where the real pictures have no distance, as copies of the reference.
    """
    n = min(len(pictures), len(held_out))
    rng = np.random.default_rng(seed)
    ours, real = (Moments.of(side, np.sort(rng.permutation(len(side))[:n])) for side in (pictures, held_out))
    found = Ratio(frechet_distance(ours, reference), frechet_distance(real, reference), n)
    if found.real < 1e-9 * float(reference.trace):
        raise ValueError("FDr has no meaning here: the held-out real pictures are those of the reference.")
    return found


def halves(features: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two random halves of the rows (n, d): one to hold out, one as the reference."""
    order = np.random.default_rng(seed).permutation(len(features))
    first, second = np.split(order, [len(order) // 2])
    return features[np.sort(first)], features[np.sort(second)]
