"""Moments and the Fréchet distance: closed forms, second implementations, exact merging, files that refuse to mix."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from evaluation.metrics.frechet import BLOCK, Moments, frechet_distance, leave_groups_out
from evaluation.metrics.statistics import Statistics
from evaluation.networks.network import FeatureSpace

SPACE = FeatureSpace("tiny", "0" * 64, "clean")


def features(n: int, dim: int = 12, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    """Correlated, of unequal spread, far from zero."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(dim, dim)) * np.linspace(0.1, 2, dim)
    return (rng.normal(size=(n, dim)) @ mixing * scale + 5).astype(np.float32)


def by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as pytorch-fid has it."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * root))


def of_covariance(rows: np.ndarray) -> Moments:
    """The same set, without its rows."""
    mean = torch.from_numpy(rows.astype(np.float64).mean(0))
    centred = torch.from_numpy(rows.astype(np.float64)) - mean
    return Moments(len(rows), mean, scatter=centred.T @ centred)


def test_known_gaussians() -> None:
    def gaussian(mean: list[float], variances: list[float]) -> Moments:
        values = torch.tensor(variances, dtype=torch.float64)
        return Moments(11, torch.tensor(mean, dtype=torch.float64), scatter=torch.diag(values) * 10)

    a, b = gaussian([1, 2, 3], [4, 9, 0.25]), gaussian([1, 0, 4], [1, 16, 0.25])
    assert frechet_distance(a, b) == pytest.approx(4 + 1 + (2 - 1) ** 2 + (3 - 4) ** 2, abs=1e-12)
    turn = torch.from_numpy(scipy.linalg.expm(np.array([[0, 1, 2], [-1, 0, 3], [-2, -3, 0]]) * 0.3))
    turned = [dataclasses.replace(one, mean=turn @ one.mean, scatter=turn @ one.scatter @ turn.T) for one in (a, b)]
    assert frechet_distance(*turned) == pytest.approx(7, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 12, 13, 300])
def test_identical_sets_have_no_distance(n: int) -> None:
    assert frechet_distance(Moments.of(features(n)), Moments.of(features(n))) < 1e-6
    assert frechet_distance(of_covariance(features(n)), of_covariance(features(n))) < 1e-6


@pytest.mark.filterwarnings("ignore:Matrix is singular")  # sqrtm's own trouble with few pictures
@pytest.mark.parametrize(("n", "m"), [(300, 200), (300, 8), (8, 300), (9, 6), (2, 2)])
def test_every_path_agrees_with_sqrtm_and_is_symmetric(n: int, m: int) -> None:
    first, second = features(n, seed=1), features(m, seed=2, scale=1.4) + 0.3
    expected = by_sqrtm(first, second)
    for a in (Moments.of(first), of_covariance(first)):
        for b in (Moments.of(second), of_covariance(second)):
            assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)
            assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-6)
            assert frechet_distance(a, b) == frechet_distance(a, b)  # the second time with the kept factor


def test_torchmetrics_agrees() -> None:
    class AsTheyAre(nn.Module):
        num_features = 12

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return rows.flatten(1)

    first, second = features(200, seed=1), features(150, seed=2, scale=1.4)
    metric = FrechetInceptionDistance(feature=AsTheyAre(), input_img_size=(1, 1, 12)).set_dtype(torch.float64)
    for rows, real in ((first, True), (second, False)):
        metric.update(torch.from_numpy(rows).double()[:, None, None], real=real)
    expected = float(metric.compute())
    assert frechet_distance(Moments.of(second), Moments.of(first)) == pytest.approx(expected, rel=1e-6)


def test_a_constant_feature_leaves_no_full_rank() -> None:
    first, second = features(300, seed=1), features(200, seed=2)
    first[:, 3] = second[:, 3] = 2.5
    kept = np.delete(np.arange(12), 3)
    distance = frechet_distance(Moments.of(first), Moments.of(second))
    assert distance == pytest.approx(by_sqrtm(first[:, kept], second[:, kept]), rel=1e-6)


@pytest.mark.parametrize("n", [10, 30])
def test_merging_in_any_order_is_measuring_as_one(n: int) -> None:
    rows = features(n)
    whole = Moments.of(rows)
    for cuts in ([3], [1, 2, 9], [7, 8]):
        for order in (1, -1):
            parts = [Moments.of(part) for part in np.split(rows, cuts)][::order]
            total = parts[0]
            for part in parts[1:]:
                total = total.merge(part)
            assert total.n == n and (total.rows is None) == (n > 12)
            assert torch.allclose(total.mean, whole.mean, rtol=1e-12)
            assert torch.allclose(total.covariance, whole.covariance, rtol=1e-9, atol=1e-12)


def test_long_sets_are_summed_in_blocks() -> None:
    rows = features(2 * BLOCK + 5, dim=3)
    made = Moments.of(rows)
    assert made.n == len(rows)
    assert np.allclose(made.mean, rows.astype(np.float64).mean(0), rtol=1e-12)
    assert np.allclose(made.covariance, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-10)


@pytest.mark.parametrize("n", [12, 20, 90])
def test_leaving_groups_out(n: int) -> None:
    rows = features(n)
    order = np.random.default_rng(5).permutation(n)
    for part, left in zip(np.array_split(order, 4), leave_groups_out(rows, 4, seed=5), strict=True):
        expected = np.delete(rows, part, axis=0).astype(np.float64)
        assert left.n == len(expected)
        assert np.allclose(left.mean, expected.mean(0), rtol=1e-12)
        assert np.allclose(left.covariance, np.cov(expected, rowvar=False), rtol=1e-9, atol=1e-12)


def test_too_few_and_not_finite() -> None:
    with pytest.raises(ValueError, match="at least two pictures"):
        Moments.of(features(0))
    with pytest.raises(ValueError, match="two pictures on each side"):
        frechet_distance(Moments.of(features(1)), Moments.of(features(9)))
    broken = features(20)
    broken[3, 4] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        Moments.of(broken)
    with pytest.raises(ValueError, match="no distance"):
        frechet_distance(Moments.of(features(20)), Moments.of(features(20, dim=5)))


@pytest.mark.parametrize("n", [9, 40])
@pytest.mark.parametrize("whole", [True, False])
def test_saved_and_loaded(n: int, whole: bool, tmp_path: Path) -> None:
    rows, other = features(n), Moments.of(features(30, seed=3))
    saved = Statistics(SPACE, Moments.of(rows), rows if whole else None)
    loaded = Statistics.load(saved.save(tmp_path / "stats.npz"))
    assert loaded.space == SPACE and loaded.moments.n == n
    distance = frechet_distance(saved.moments, other)
    assert frechet_distance(loaded.moments, other) == pytest.approx(distance, rel=1e-6)
    assert np.array_equal(loaded.features, rows) if whole else loaded.features is None
    with np.load(tmp_path / "stats.npz") as file:  # as pytorch-fid reads it
        assert np.allclose(file["mu"], rows.mean(0)) and np.allclose(file["sigma"], np.cov(rows, rowvar=False))
    assert [path.name for path in tmp_path.iterdir()] == ["stats.npz"]


def test_what_is_no_statistics_is_refused(tmp_path: Path) -> None:
    made = Statistics(SPACE, Moments.of(features(20)))
    with pytest.raises(ValueError, match=r"\.npz"):
        made.save(tmp_path / "stats.npy")
    np.savez(tmp_path / "peer.npz", mu=np.zeros(3), sigma=np.eye(3))
    (tmp_path / "words.npz").write_bytes(b"PK\x03\x04 words")
    for name in ("peer.npz", "words.npz"):
        with pytest.raises(ValueError, match="does not say with which network"):
            Statistics.load(tmp_path / name)
    made.save(tmp_path / "later.npz")
    with np.load(tmp_path / "later.npz") as file:
        np.savez(tmp_path / "later.npz", **{**file, "format": np.array(2)})
    with pytest.raises(ValueError, match="format 2"):
        Statistics.load(tmp_path / "later.npz")


def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    rows = features(20)
    kept = dict(np.load(Statistics(SPACE, Moments.of(rows), rows).save(tmp_path / "a.npz")))
    for name, changed, said in (
        ("features", rows[:5], "it is of 20 pictures and 12 features, and holds those of (5, 12)"),
        ("sigma", np.triu(kept["sigma"]), "sigma is no covariance, which is symmetric"),
        ("sigma", kept["sigma"][:5], "sigma is no covariance, but an array of (5, 12)"),
    ):
        np.savez(tmp_path / "b.npz", **(kept | {name: changed}))
        with pytest.raises(ValueError, match=re.escape(said)):
            Statistics.load(tmp_path / "b.npz")


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Statistics(SPACE, Moments.of(features(20)))
    before = made.save(tmp_path / "stats.npz").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        made.save(tmp_path / "stats.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["stats.npz"]
    assert (tmp_path / "stats.npz").read_bytes() == before


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sha256", "1" * 64, f"tiny (weights {'1' * 12}…)"),
        ("resize", "legacy-tf", "resize legacy-tf"),
        ("size", 256, "size 256"),
    ],
)
def test_two_spaces_do_not_mix(key: str, value: object, said: str) -> None:
    other = dataclasses.replace(SPACE, **{key: value})
    SPACE.require(dataclasses.replace(SPACE), "These")
    with pytest.raises(ValueError, match=re.escape(f"These were taken with {said}, the pictures with")):
        SPACE.require(other, "These")
    assert json.loads(json.dumps(dataclasses.asdict(other)))[key] == value


def test_the_same_weights_elsewhere_are_the_same_space() -> None:
    one = FeatureSpace("clip:/a/judge", "0" * 64, "its own")
    one.require(dataclasses.replace(one, network="clip:/b/judge/"), "These")
