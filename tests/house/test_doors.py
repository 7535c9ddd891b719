"""Every command is options and a run, callable from Python; help waits for nothing heavy; a network is one file."""

import dataclasses
import importlib
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_folders import drawn
from PIL import Image

import evaluation
from evaluation import networks
from evaluation.cli.scorecard import PARTS
from evaluation.emoji.scorecard_metrics import NEEDS
from evaluation.metrics import distances
from evaluation.metrics.frechet import Moments
from evaluation.metrics.statistics import Statistics
from evaluation.networks.clip import Clip
from evaluation.networks.embedded import default_judge
from evaluation.networks.network import Naming, open_network, space_of
from evaluation.networks.resizing import RESIZES

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "diffusers", "accelerate", "scipy", "pyarrow", "datasets", "torchmetrics"}
COMMANDS = (
    *("clip_score", "collect", "compare", "fid", "generation", "prior", "scorecard", "ssim_psnr", "text_diff"),
    *("composition", "leaderboard", "merge", "study", "understanding", "votes", "vqa"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_waits_for_nothing_heavy(name: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", f"evaluation.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "--help" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "evaluation" in imported and not imported & HEAVY


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_frozen(name: str) -> None:
    module = importlib.import_module(f"evaluation.{name}")
    options = module.Options
    assert dataclasses.is_dataclass(options) and options.__dataclass_params__.frozen
    assert callable(module.parse) and callable(module.run) and callable(module.main)


def test_options_take_what_python_gives() -> None:
    options = importlib.import_module("evaluation.cli.fid").Options("a", "b.npz", resize="clean", report=["r.json"])
    assert (options.images, options.reference) == (Path("a"), Path("b.npz"))
    assert (options.resize, options.report) == (("clean",), (Path("r.json"),))
    scored = importlib.import_module("evaluation.cli.clip_score").Options("a", Path("list.csv"))
    assert scored.prompts == "list.csv"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("doors")
    return drawn(root / "real", 0), drawn(root / "near", 20)


def test_doors_from_python(folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path) -> None:
    real, near = folders
    common = {"device": "cpu", "workers": 0}
    network = f"clip:{tiny_checkpoint}"
    found = evaluation.compute_fid(near, str(real), network=network, **common)
    keys = {measure.key for measure in found.measures}
    assert {"clip_fid", "clip_kid", "clip_precision", "clip_coverage", "cmmd"} <= keys
    scored = evaluation.compute_clip_score(near, clip=str(tiny_checkpoint), **common)
    assert {"clip_cosine", "clip_score", "r_precision"} <= {measure.key for measure in scored.measures}
    alike = evaluation.compute_ssim_psnr(near, real, device="cpu")
    assert {"ssim", "psnr", "ssim_mean_colour", "psnr_unrelated"} <= {measure.key for measure in alike.measures}
    both = evaluation.compare_contestants(
        str(near), str(real), out=tmp_path, clip=str(tiny_checkpoint), network=network, reference=str(real), **common
    )
    assert {"clip_score", "clip_fid"} <= {contest.key for contest in both.contests}
    with pytest.raises(ValueError, match="mode must be one of pairs, reconstruction"):
        evaluation.compute_ssim_psnr(near, real, mode="pears")
    with pytest.raises(ValueError, match="There is no protocol 'coco'"):
        evaluation.compute_fid(near, real, protocol="coco")
    with pytest.raises(TypeError, match="netwrok"):
        evaluation.compute_fid(near, real, netwrok=network)
    with pytest.raises(ValueError, match="There is no folder"):
        evaluation.compute_fid(tmp_path / "absent", real, network=network, **common)


def test_values_are_the_numbers_they_belong_to(folders: tuple[Path, Path], tiny_checkpoint: Path) -> None:
    real, near = folders
    report = evaluation.compute_fid(near, real, network=f"clip:{tiny_checkpoint}", device="cpu", workers=0)
    for measure in report.measures:
        if measure.values is not None:
            assert measure.value == pytest.approx(measure.values.mean()) and len(measure.values) == measure.n
    frechet, kernel = report.measures[:2]
    assert len(frechet.left_out) == 6 and len(kernel.left_out) == 12  # pairs of pictures; single ones
    assert np.ptp(frechet.left_out) > 0


def test_labels_may_say_anything(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renaming what readers see changes nothing else."""
    real, near = folders

    def compared() -> dict[str, tuple[float, float]]:
        result = evaluation.compare_contestants(
            str(near), str(real), out=tmp_path, clip=str(tiny_checkpoint), network="judge", reference=real, device="cpu"
        )
        return {one.key: (one.found.mean, one.p_holm) for one in result.contests}

    before = compared()
    clip = importlib.import_module("evaluation.networks.clip")
    naming = clip.JUDGE_NAMING
    words = ("a", "b (best)")
    renamed = naming._replace(frechet=(naming.frechet[0], "x"), kernel=(naming.kernel[0], "x"), mark=f" {words}")
    monkeypatch.setattr(clip, "JUDGE_NAMING", renamed)
    assert compared() == before and len(before) > 5


def test_the_judge_has_one_spelling_everywhere() -> None:
    for spelling in (None, "judge", "clip:judge", default_judge(), f"clip:{default_judge()}"):
        assert Clip(spelling).source == default_judge()
    assert open_network("judge").sha256 == open_network(f"clip:{default_judge()}").sha256
    command = importlib.import_module("evaluation.clip_score")
    given = ["--images", "x", "--device", "cpu"]
    assert command.parse([*given, "--network", "judge"]).clip == command.parse([*given, "--clip", "judge"]).clip


class Two:
    """A network of two numbers, as a new file would have one."""

    name, sha256, resize, layer, precision, dim = "two", "0" * 64, "none", "", "float32", 2
    naming = Naming(("fd_two", "FD-two"), ("kd_two", "KD-two"), "two_", " (two)")
    caveats = ("Two numbers say little.",)
    extras = ()

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        return torch.tensor(picture.resize((1, 1)).getpixel((0, 0))[:2], dtype=torch.float32)

    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        return batch.numpy()


def test_a_network_is_one_file_and_one_line(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("evaluation.networks.two")
    module.open_network = lambda source, given: Two() if given.device == "cpu" else pytest.fail(str(given))
    monkeypatch.setitem(sys.modules, "evaluation.networks.two", module)
    monkeypatch.setitem(networks.NETWORKS, "two", networks.Kind("two"))
    real, near = folders
    report = evaluation.compute_fid(near, real, network="two", device="cpu", workers=0)
    named = {measure.key: measure.label for measure in report.measures}
    assert named["fd_two"] == "FD-two" and named["kd_two"] == "KD-two" and named["two_recall"] == "recall (two)"
    assert report.warnings[0] == "Two numbers say little."
    result = evaluation.compare_contestants(
        str(near), str(real), out=tmp_path, clip=str(tiny_checkpoint), network="two", reference=real, device="cpu"
    )
    assert {"fd_two", "kd_two", "two_precision"} <= {contest.key for contest in result.contests}


def test_a_negative_kernel_distance_is_explained() -> None:
    network = Two()
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 2)).astype(np.float32)
    sides = [Statistics(space_of(network), Moments.of(half), half) for half in (rows[:100], rows[100:])]
    found = distances.measure(*sides, network)
    kernel = next(measure for measure in found if measure.key == "kd_two")
    told = " ".join(distances.warnings_of(*sides, network, found))
    assert (kernel.value < 0) == ("KD-two is negative" in told)
    lower = [dataclasses.replace(measure, value=-0.5, interval=None) for measure in found if measure is kernel]
    assert "unbiased estimate" in " ".join(distances.warnings_of(*sides, network, lower))
    higher = [dataclasses.replace(measure, value=0.5, interval=None) for measure in found if measure is kernel]
    assert "unbiased" not in " ".join(distances.warnings_of(*sides, network, higher))


def test_lists_that_the_command_line_knows_are_those_of_the_rooms() -> None:
    assert tuple(NEEDS) == PARTS
    assert tuple(RESIZES) == networks.resizes_of("inception")
