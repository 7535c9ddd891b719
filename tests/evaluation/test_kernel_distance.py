"""KID and CMMD against their definitions, pair by pair."""

import itertools

import numpy as np
import pytest

from evaluation.metrics import kernel_distance
from evaluation.metrics.kernel_distance import cmmd, kid, kid_of_subsets


def features(n: int, dim: int = 6, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype(np.float32)


def naive_kid(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(np.dot(a.astype(np.float64), b.astype(np.float64))) / len(a) + 1) ** 3

    within = [np.mean([kernel(a, b) for a, b in itertools.permutations(rows, 2)]) for rows in (x, y)]
    return float(sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y]))


def peers_kid(x: np.ndarray, y: np.ndarray) -> float:
    """clean-fid's formula for one subset of all, there in float32."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    n, m = x.shape[1], len(x)
    a, b = (x @ x.T / n + 1) ** 3 + (y @ y.T / n + 1) ** 3, (x @ y.T / n + 1) ** 3
    return float(((a.sum() - np.diag(a).sum()) / (m - 1) - b.sum() * 2 / m) / m)


@pytest.fixture(params=[3, 2048])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(kernel_distance, "BLOCK", request.param)
    return request.param


def test_kid_is_its_definition(block: int) -> None:
    x, y = features(9, seed=1), features(7, seed=2, shift=0.3)
    assert kid(x, y).value == pytest.approx(naive_kid(x, y), rel=1e-12)
    assert kid(y, x).value == pytest.approx(kid(x, y).value, rel=1e-12)


def test_kid_is_that_of_the_peers() -> None:
    x, y = features(50, dim=64, seed=1), features(50, dim=64, seed=2, shift=0.1)
    assert kid(x, y).value == pytest.approx(peers_kid(x, y), rel=1e-9)
    assert kid_of_subsets(x, y, subsets=3, size=50)[0] == pytest.approx(kid(x, y).value, rel=1e-9)
    assert kid_of_subsets(x, y, subsets=3, size=50)[1] == pytest.approx(0, abs=1e-12)


def test_the_interval_is_the_jackknife_over_single_pictures(block: int) -> None:
    x, y = features(8, seed=1), features(6, seed=2, shift=0.3)
    variance = 0.0
    for rows, left in ((x, lambda i: (np.delete(x, i, 0), y)), (y, lambda i: (x, np.delete(y, i, 0)))):
        values = [naive_kid(*left(i)) for i in range(len(rows))]
        variance += (len(rows) - 1) * np.var(values)
    found = kid(x, y)
    assert found.interval[1] - found.value == pytest.approx(1.959964 * variance**0.5, rel=1e-9)
    assert found.value - found.interval[0] == pytest.approx(1.959964 * variance**0.5, rel=1e-9)


def test_the_interval_holds_what_is_true() -> None:
    """Over 60 draws, the unbiased estimate centres on 0 for equal distributions and most intervals hold it."""
    found = [kid(features(40, seed=2 * seed), features(40, seed=2 * seed + 1)) for seed in range(60)]
    values = np.array([one.value for one in found])
    assert abs(values.mean()) < 3 * values.std() / 60**0.5
    assert np.mean([one.interval[0] <= 0 <= one.interval[1] for one in found]) > 0.85


def test_subsets_are_drawn_by_the_seed() -> None:
    x, y = features(30, seed=1), features(40, seed=2, shift=0.5)
    assert kid_of_subsets(x, y, 5, 10, seed=3) == kid_of_subsets(x, y, 5, 10, seed=3)
    assert kid_of_subsets(x, y, 5, 10, seed=3) != kid_of_subsets(x, y, 5, 10, seed=4)
    mean, deviation = kid_of_subsets(x, y, 400, 10)
    assert abs(mean - kid(x, y).value) < 4 * deviation / 400**0.5


def test_too_few_pictures() -> None:
    with pytest.raises(ValueError, match="at least two"):
        kid(features(1), features(5))
    assert kid(features(2), features(5)).interval is None


def test_cmmd_is_the_authors_formula(block: int) -> None:
    x, y = features(9, seed=1).astype(np.float64), features(7, seed=2, shift=0.3).astype(np.float64)
    x, y = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        return np.mean([np.exp(-np.square(i - j).sum() / (2 * 10**2)) for i in a for j in b])

    expected = 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))
    assert cmmd(3 * x, 2 * y) == pytest.approx(expected, rel=1e-9)  # lengths do not count
    assert cmmd(x, x) == pytest.approx(0, abs=1e-9)
