"""Precision, recall, density and coverage against their definitions, and which way round they are."""

import numpy as np
import pytest

from evaluation.metrics import prdc
from evaluation.metrics.bootstrap import jackknife
from evaluation.metrics.frechet import groups_of
from evaluation.metrics.prdc import measure


def features(n: int, dim: int = 4, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) * scale + shift).astype(np.float32)


def naive(pictures: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))

    def radii(rows: np.ndarray, k: int) -> list[float]:
        others = ([distance(a, b) for j, b in enumerate(rows) if j != i] for i, a in enumerate(rows))
        return [sorted(distances)[k - 1] for distances in others]

    wide, near, far = radii(pictures, 3), radii(reference, 3), radii(reference, 5)
    apart = np.array([[distance(a, b) for b in reference] for a in pictures])
    return {
        "precision": (apart <= np.array(near)).any(1),
        "recall": (apart <= np.array(wide)[:, None]).any(0),
        "density": (apart < np.array(far)).sum(1) / 5,
        "coverage": (apart < np.array(far)).any(0),
    }


@pytest.mark.parametrize("block", [5, 2048])
def test_definitions(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prdc, "BLOCK", block)
    pictures, reference = features(23, seed=1, scale=0.8, shift=0.4), features(31, seed=2)
    expected = naive(pictures, reference)
    found = measure(pictures, reference)
    for name, values in expected.items():
        assert 0 < values.mean() < 2, name
        assert np.allclose(getattr(found, name), values), name


@pytest.mark.parametrize("block", [64, 2048])
@pytest.mark.parametrize("kind", ["far from zero", "nearly the same", "of one size", "with an outlier", "on a grid"])
def test_values_are_those_of_doubles_where_float32_cannot_tell(
    kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prdc, "BLOCK", block)
    pictures, reference = features(150, 24, 1), features(130, 24, 2)
    if kind == "far from zero":
        pictures, reference = pictures + 3000, reference + 3000
    if kind == "nearly the same":  # each has twelve others nearer than float32 can tell apart
        twins = features(150, 24, 3, 1e-4)
        pictures, reference = (twins[: len(one)] + one[np.arange(len(one)) // 13] for one in (pictures, reference))
    if kind == "of one size":
        pictures, reference = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (pictures, reference))
    if kind == "with an outlier":
        reference[7], pictures[9] = 1e5, -1e5
    if kind == "on a grid":  # many distances are the same
        pictures, reference = np.round(pictures), np.round(reference)
    expected = naive(pictures, reference)
    found = measure(pictures, reference)
    for name, values in expected.items():
        assert np.array_equal(getattr(found, name), values) or np.allclose(getattr(found, name), values), name


def test_without_a_group_coverage_is_that_of_the_others() -> None:
    pictures, reference = features(40, seed=1, shift=0.5), features(30, seed=2)
    groups = np.arange(40) % 4
    found = measure(pictures, reference, groups=groups)
    assert found.coverage_without is not None and found.recall_without is not None
    plain = measure(pictures, reference)
    assert np.array_equal(found.coverage, plain.coverage) and plain.coverage_without is None
    for group in range(4):
        rest = measure(pictures[groups != group], reference)
        assert found.coverage_without[group] == pytest.approx(rest.coverage.mean())
        # Fewer pictures have wider balls; here these stay as they are, so recall without them is the less.
        assert found.recall_without[group] <= rest.recall.mean() + 1e-12
        assert found.recall_without[group] <= found.recall.mean()
    assert found.coverage_without.min() < found.coverage.mean()


def test_chance_is_rarely_called_a_difference_in_coverage() -> None:
    """A picture covers several of the reference: tested over these, as if they were independent, chance would win."""
    called, rounds = 0, 60
    for seed in range(rounds):
        reference = features(60, 2, seed)
        sides = [features(60, 2, 1000 + 2 * seed + side, 0.5) for side in (0, 1)]
        both = [measure(side, reference, groups=groups_of(60, 20)) for side in sides]
        value = both[0].coverage.mean() - both[1].coverage.mean()
        parts = np.subtract(both[0].coverage_without, both[1].coverage_without)
        called += jackknife(float(value), parts)[2] < 0.05
    assert called <= 8  # of 60, where 3 are expected: 1 in 200 by chance


def test_few_distances_are_taken_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    exact = prdc._exact
    monkeypatch.setattr(prdc, "_exact", lambda x, a, y, b: taken.append(len(a)) or exact(x, a, y, b))
    measure(features(400, 256, 1), features(400, 256, 2))
    assert sum(taken) < 2 * 400 * 3 + 400  # those to the third and the fifth neighbour, and a few at borders


def test_which_way_round() -> None:
    """Pictures of only one of two kinds are precise and recall half; a reference of one kind the other way round."""
    both = np.concatenate([features(40, seed=1), features(40, seed=2, shift=100)])
    one = features(40, seed=3)
    narrow = measure(one, both)
    assert narrow.precision.mean() > 0.8 and 0.3 < narrow.recall.mean() < 0.51 and narrow.coverage.mean() < 0.51
    wide = measure(both, one)
    assert 0.3 < wide.precision.mean() < 0.51 and wide.recall.mean() > 0.8 and wide.coverage.mean() > 0.8


def test_ends() -> None:
    rows = features(30)
    same = measure(rows, rows)
    assert same.precision.all() and same.recall.all() and same.coverage.all()
    far = measure(rows, rows + 1000)
    assert not any(values.any() for values in (far.precision, far.recall, far.density, far.coverage))


@pytest.mark.parametrize("dim", [513, 2048])
def test_copies_lie_in_each_other_s_balls_of_radius_zero(dim: int) -> None:
    """Collapsed or memorised pictures: distances of copies are 0 but for rounding, and so are the radii."""
    for seed in range(20):
        kinds = features(3, dim, seed, scale=3, shift=1)
        found = measure(kinds[np.arange(19) % 3], kinds[np.arange(31) % 3])
        assert found.precision.all() and found.recall.all(), seed
        assert not found.density.any() and not found.coverage.any(), seed  # no border counts as inside


def test_the_border_is_outside_for_density_whatever_the_order() -> None:
    for seed in range(20):
        rows = features(31, 513, seed, shift=1)
        found = measure(rows, rows[np.random.default_rng(seed).permutation(31)])
        assert found.density.mean() == pytest.approx(1, abs=1e-12), seed
        assert found.coverage.all()


def test_too_few_pictures() -> None:
    measure(features(6), features(6))
    with pytest.raises(ValueError, match="at least 6 pictures"):
        measure(features(5), features(6))
