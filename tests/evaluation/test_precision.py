"""Features in bfloat16: near those in float32, said to be how near, and mixed with nothing of theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import fid_precision
from benchmarks.fid import random_weights
from evaluation import compute_fid, fid
from evaluation.networks.inception import Inception
from evaluation.networks.network import open_network, space_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(random_weights(), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def test_distances_have_names_of_their_own_and_say_how_far_they_are(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    how = {"inception_weights": str(weights), "workers": 0, "groups": 0, "device": "cpu"}
    kept = tmp_path / "bf16.npz"
    rounded = compute_fid(pictures, pictures, precision="bf16", save_stats=kept, **how)
    keys = {measure.key for measure in rounded.measures}
    assert "bf16_unpublished_frechet_distance" in keys and all(key.startswith("bf16_") for key in keys)
    assert "(bf16)" in rounded.measures[0].label
    (found,) = rounded.provenance["passes"].values()
    # Noise alone, by random weights.
    assert found["deviation"]["pictures"] == 6 and 0 < found["deviation"]["features"] < 0.5
    assert any(note.startswith("In bf16 the features of the first 6 pictures differ") for note in rounded.warnings)
    darker = tmp_path / "darker"
    darker.mkdir()
    for file in pictures.iterdir():
        Image.open(file).point(lambda level: level // 2).save(darker / file.name)
    against, exact = (compute_fid(pictures, darker, precision=one, **how) for one in ("bf16", "float32"))
    (found,) = against.provenance["passes"].values()
    assert found["deviation"]["distance"] == pytest.approx(against.measures[0].value)
    assert found["deviation"]["distance_in_float32"] == pytest.approx(exact.measures[0].value, rel=1e-4)
    off = 100 * (against.measures[0].value / exact.measures[0].value - 1)
    assert against.measures[0].details["off float32"] == f"{off:+.2g} % (of 6 pictures)"
    assert any(
        f"is {against.measures[0].value:.5g}, in float32 {exact.measures[0].value:.5g}." in note
        for note in against.warnings
    )
    with pytest.raises(ValueError, match="taken with precision bf16, the pictures with float32: take both alike"):
        compute_fid(pictures, kept, **how)


def test_the_benchmark_tells_how_far_one_half_is_from_the_other_in_both(
    weights: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fid_precision.report([str(pictures)], 5000, weights, 2, 0)
    printed = " ".join(capsys.readouterr().out.split())
    count, exact, rounded, noise = fid_precision.deviation(str(pictures), 5000, weights, 2, 0)
    assert count == 3 and 0 < abs(rounded / exact - 1) < 0.2 and 0 < noise < 0.5
    assert f"{exact:.6f} │ {rounded:.6f} │ {rounded / exact - 1:+.1e}" in printed
    with pytest.raises(SystemExit, match="two halves need four or more"):
        fid_precision.deviation(str(pictures), 1, weights, 2, 0)


def test_features_are_near_those_in_float32(weights: Path) -> None:
    exact, rounded = (Inception(weights, precision=precision) for precision in ("float32", "bf16"))
    levels = torch.stack([exact.preprocess(Image.new("RGB", (9, 9), colour)) for colour in ("red", "navy")])
    expected, features = exact(levels), rounded(levels)
    assert features.dtype == np.float32 and space_of(rounded) != space_of(exact)
    assert 0 < np.sqrt(np.square(features - expected).mean()) < 0.03 * expected.std()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--network", "judge"], "--precision bf16 is of --network inception and sfid, not of judge."),
        (["--protocol", "coco30k-256"], "--protocol coco30k-256 is of features in float32"),
        (["--stats-form", "adm", "--save-stats", "s.npz"], "--stats-form adm is of features in float32"),
    ],
)
def test_what_is_of_float32_is_refused_before_any_work(
    given: list[str], sentence: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        fid.main(["--images", str(pictures), "--reference", str(pictures), "--precision", "bf16", *given])
    assert stopped.value.code == 2 and sentence in capsys.readouterr().err


def test_other_networks_and_scripts_compute_in_float32_alone() -> None:
    with pytest.raises(ValueError, match="--precision bf16 is not known to --network judge"):
        open_network("judge", precision="bf16")
