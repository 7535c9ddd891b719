"""Whether sets of features are of the same pictures: merged they would count twice, and have no distance.

The same pictures in another order, or in other batches, have the same features but for rounding, so whole sets are
known by their means and spreads. Single pictures are known by features that are the same to the last bit.
"""

from itertools import combinations

import numpy as np

from evaluation.metrics.statistics import Statistics

NEAR = 1e-4  # of the features' spread: no two sets of different pictures come as close in every mean
BLOCK = 4096  # rows looked at at once


def same_pictures(a: Statistics, b: Statistics) -> bool:
    """Return whether two sets are of the same pictures, in whatever order."""
    if a.counted and b.counted and a.moments.n != b.moments.n:
        return False
    one, other = a.moments, b.moments
    if min(one.n, other.n) < 2 or len(one.mean) != len(other.mean):
        return False
    trace = float(one.trace)
    spread = (trace / len(one.mean)) ** 0.5
    apart = float((one.mean - other.mean).abs().max())
    return apart <= NEAR * spread and abs(float(other.trace) - trace) <= NEAR * trace


def require_different(parts: dict[str, Statistics]) -> list[str]:
    """Return what some of the parts, by their names, have in common, as sentences; ValueError where it is all."""
    warnings = []
    marks = {name: None if part.features is None else _marks(part.features) for name, part in parts.items()}
    for a, b in combinations(parts, 2):
        if same_pictures(parts[a], parts[b]):
            raise ValueError(f"{a} and {b} are of the same pictures, which would count twice: leave one out.")
        first, second = marks[a], marks[b]
        if first is None or second is None:
            continue
        for (one, own), (other, theirs) in (((a, first), (b, second)), ((b, second), (a, first))):
            if np.isin(own, theirs).all():
                raise ValueError(
                    f"All pictures of {one} are among those of {other} and would count twice: leave it out."
                )
        if shared := int(np.isin(second, first).sum()):
            warnings.append(f"{shared:,} pictures of {b} have the features of some of {a}: they count twice.")
    return warnings


def notes_on(pictures: Statistics, reference: Statistics) -> list[str]:
    """Return how many pictures are among the references too, and how many of either side are there several times."""
    if pictures.features is None:
        return []
    own, notes = _marks(pictures.features), []
    sides = [("pictures", own)]
    if reference.features is not None:
        theirs = _marks(reference.features)
        sides.append(("references", theirs))
        if shared := int(np.isin(own, theirs).sum()):
            notes.append(
                f"{shared:,} of the {len(own):,} pictures have the very features of references, as copies of them do: "
                "the distances are too small by what these bring."
            )
    for what, marks in sides:
        if repeated := len(marks) - len(np.unique(marks)):
            notes.append(
                f"{repeated:,} of the {len(marks):,} {what} have the very features of others of them, as copies do: "
                "each counts."
            )
    return notes


def _marks(features: np.ndarray) -> np.ndarray:
    """Return a number (n,) for each row, the same for rows that are the same to the last bit, whatever their order."""
    weights = np.random.default_rng(0).integers(0, 2**62, features.shape[1], dtype=np.uint64) * 2 + 1
    found = np.empty(len(features), dtype=np.uint64)
    for start in range(0, len(features), BLOCK):
        rows = np.ascontiguousarray(features[start : start + BLOCK], dtype=np.float32)
        found[start : start + BLOCK] = (rows.view(np.uint32) * weights).sum(1, dtype=np.uint64)
    return found
