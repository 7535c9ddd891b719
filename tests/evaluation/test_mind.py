"""MIND, FD∞ and FDr: closed forms, second implementations, the directions that torch-fidelity draws."""

import numpy as np
import pytest
import torch

from evaluation.metrics.frechet import Moments, extrapolated, frechet_distance
from evaluation.metrics.frechet_ratio import frechet_ratio, halves
from evaluation.metrics.mind import mind

DIM = 6


def rows(n: int, seed: int, shift: float = 0.0, dim: int = DIM) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, dim)) + shift).astype(np.float32)


def naive(x: np.ndarray, y: np.ndarray, seed: int, projections: int) -> float:
    """The definition, a direction at a time, by the quantiles of both sides at so many levels."""
    generator = torch.Generator().manual_seed(seed)
    n = min(len(x), len(y))
    x, y = (a if len(a) == n else a[torch.randperm(len(a), generator=generator)[:n].numpy()] for a in (x, y))
    total = 0.0
    for direction in torch.randn(projections, x.shape[1], generator=generator).double().numpy():
        unit = direction / np.sqrt(direction @ direction)
        total += np.square(sorted(x.astype(float) @ unit) - np.array(sorted(y.astype(float) @ unit))).mean()
    return 3 * x.shape[1] * total / projections


@pytest.mark.parametrize(("n", "m"), [(50, 50), (80, 50), (50, 80)])
def test_mind_is_the_definition_over_the_directions_of_the_seed(n: int, m: int) -> None:
    found = mind(rows(n, 1), rows(m, 2, 0.3), seed=3, projections=40)
    assert found.value == pytest.approx(naive(rows(n, 1), rows(m, 2, 0.3), 3, 40), rel=1e-5)
    assert found.n == 50 and found.left_out is None


def test_a_shift_costs_three_times_its_squared_length() -> None:
    """A direction sees the shift's share in it, whose square is 1 / d of the whole on average."""
    found = mind(rows(30, 1), rows(30, 1) + np.float32(0.5), projections=4000)
    assert found.value == pytest.approx(3 * DIM * 0.25, rel=0.05)


def test_mind_of_a_set_and_itself_is_nothing_and_of_a_third_moment_something() -> None:
    same = rows(40, 1)
    assert mind(same, same[::-1].copy()).value == pytest.approx(0, abs=1e-9)
    # The same mean and variance, and other shapes: a Fréchet distance sees nothing.
    rng = np.random.default_rng(0)
    two = rng.choice([-1.0, 1.0], (4000, 2)).astype(np.float32)
    round_ = rng.normal(size=(4000, 2)).astype(np.float32)
    assert mind(two, round_, projections=100).value > 20 * frechet_distance(Moments.of(two), Moments.of(round_))


def test_leaving_groups_out_is_measuring_without_them() -> None:
    x, y = rows(24, 1), rows(24, 2, 0.5)
    found = mind(x, y, seed=5, groups=4, projections=30)
    parts = np.array_split(np.random.default_rng(5).permutation(24), 4)
    directions = torch.randn(30, DIM, generator=torch.Generator().manual_seed(5)).double().numpy()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    levels = (np.arange(24 * 18) + 0.5) / (24 * 18)  # every step of either side is a whole number of these
    for side, other, left_out in ((x, y, found.left_out), (y, x, found.left_out_reference)):
        assert left_out is not None and len(left_out) == 4
        for part, value in zip(parts, left_out, strict=True):
            kept = np.delete(side, part, axis=0)
            quantiles = [
                np.sort(a.astype(float) @ directions.T, axis=0)[(levels * len(a)).astype(int)] for a in (kept, other)
            ]
            assert value == pytest.approx(3 * DIM * np.square(quantiles[0] - quantiles[1]).mean(), rel=1e-5)


def test_of_many_pictures_groups_are_left_out_of_the_first_directions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(60, 1), rows(60, 2, 0.2)
    whole = mind(x, y, groups=3, projections=80)
    few = mind(x, y, groups=3, projections=40)
    monkeypatch.setattr("evaluation.metrics.mind.MANY", 40)
    monkeypatch.setattr("evaluation.metrics.mind.FEWER", 40)
    monkeypatch.setattr("evaluation.metrics.mind.HELD", 60 * 9)  # the fortieth is in the middle of a piece
    found = mind(x, y, groups=3, projections=80)
    assert (whole.left_out_of, found.left_out_of) == (80, 40)
    assert found.value == pytest.approx(whole.value, rel=1e-6)
    # A generator gives whole blocks of sixteen numbers the same, however many follow.
    assert np.allclose(found.left_out, few.left_out, rtol=1e-6) and not np.allclose(found.left_out, whole.left_out)


def test_mind_in_pieces_is_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rows(70, 1), rows(90, 2, 0.2)
    whole = mind(x, y, groups=3)
    monkeypatch.setattr("evaluation.metrics.mind.HELD", 700)
    monkeypatch.setattr("evaluation.metrics.mind.BLOCK", 16)
    pieces = mind(x, y, groups=3)
    assert pieces.value == pytest.approx(whole.value, rel=1e-6)
    assert np.allclose(pieces.left_out, whole.left_out, rtol=1e-6)
    with pytest.raises(ValueError, match="two pictures on each side"):
        mind(x[:1], y)


def test_the_extrapolated_distance_has_no_bias_of_small_numbers() -> None:
    """Of the same Gaussian the distance is zero; a few pictures make it too large, and the line finds it back."""
    reference = Moments.of(rows(60_000, 9))
    plain, line = [], []
    for seed in range(6):
        some = rows(400, seed)
        found = extrapolated(some, reference, seed)
        assert found is not None and found.least == 40
        plain.append(frechet_distance(Moments.of(some), reference))
        line.append(found.value)
    assert np.mean(plain) > 0.01 and abs(np.mean(line)) < np.mean(plain) / 4
    assert extrapolated(rows(11, 1), reference) is None and extrapolated(rows(12, 1), reference) is not None


def test_a_ratio_is_one_for_other_real_pictures() -> None:
    reference = Moments.of(rows(5000, 1))
    near = frechet_ratio(rows(900, 2), rows(700, 3), reference)
    far = frechet_ratio(rows(900, 2, 0.5), rows(700, 3), reference)
    assert near.n == 700 and near.value == pytest.approx(1, abs=0.6) and far.value > 20
    assert far.value == far.pictures / far.real and far.real == pytest.approx(near.real)
    first, second = halves(rows(51, 4))
    assert sorted(map(tuple, np.concatenate([first, second]))) == sorted(map(tuple, rows(51, 4)))
    assert (len(first), len(second)) == (25, 26)
    with pytest.raises(ValueError, match="those of the reference"):
        frechet_ratio(rows(9, 1), rows(9, 2), Moments.of(rows(9, 2)))
