"""python -m evaluation.fid: the whole chain on small folders, reuse of statistics, names, warnings, refusals."""

import json
import shutil
import sys
import tracemalloc
from pathlib import Path

import forked
import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image
from scipy.stats import t

from benchmarks.fid import random_weights
from evaluation.fid import main
from evaluation.metrics import frechet, kernel_distance, prdc
from evaluation.metrics.distances import measure, warnings_of
from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.metrics.kernel_distance import cmmd, kid
from evaluation.metrics.statistics import Statistics
from evaluation.networks import inception
from evaluation.networks.clip import Clip, ClipFeatures
from evaluation.networks.features import extract
from evaluation.networks.network import FeatureSpace, open_network, space_of
from evaluation.pictures.contents import contents_sha256
from evaluation.pictures.image_folder import find_pictures
from evaluation.pictures.manifest import Manifest, Row, write_manifest

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """45 pictures and 40 of another distribution, of several sizes."""
    place = tmp_path_factory.mktemp("folders")
    for name, count, darkest in (("drawn", 45, 0), ("real", 40, 90)):
        rng = np.random.default_rng(count)
        (place / name).mkdir()
        for index in range(count):
            pixels = rng.integers(darkest, 256, (5, 5 + index % 3, 3), dtype=np.uint8)
            picture = Image.fromarray(pixels).resize((40 + index % 7, 48), Image.Resampling.BICUBIC)
            picture.save(place / name / f"{index:03d}.png")
    return place / "drawn", place / "real"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(random_weights(), path)
    return path


@pytest.fixture(scope="module")
def few(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three pictures and two, for the large network."""
    made = []
    for folder, count in zip(folders, (3, 2), strict=True):
        made.append(tmp_path_factory.mktemp("few") / folder.name)
        made[-1].mkdir()
        for path in find_pictures(folder)[:count]:
            (made[-1] / path.name).write_bytes(path.read_bytes())
    return made[0], made[1]


def run(*arguments: object, tmp_path: Path) -> dict:
    """The JSON report of a run."""
    main([*map(str, arguments), "--report", str(tmp_path / "report.json"), "--workers", "0"])
    return json.loads((tmp_path / "report.json").read_text())


def values(report: dict) -> dict[str, float]:
    return {measure["label"]: measure["value"] for measure in report["measures"]}


def refused(*arguments: object, capsys: Capture) -> str:
    """The one sentence on stderr of a run that ends with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--workers", "0"])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in " ".join(lines)
    assert lines[-1].startswith("python -m evaluation.fid: ")
    return lines[-1]


def test_the_chain(folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path) -> None:
    drawn, real = folders
    common = ("--images", drawn, "--reference", real, "--network", f"clip:{tiny_checkpoint}", "--size", 32)
    report = run(*common, tmp_path=tmp_path)

    network = ClipFeatures(str(tiny_checkpoint))
    a, b = (np.asarray(extract(find_pictures(folder), network, 32, workers=0, progress=False)) for folder in folders)
    first, second = np.cov(a.astype(float), rowvar=False), np.cov(b.astype(float), rowvar=False)
    roots = scipy.linalg.sqrtm(first @ second).real
    distance = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first + second - 2 * roots)
    found = values(report)
    assert found["CLIP-FID"] == pytest.approx(distance, rel=1e-4)
    assert found["CLIP-KID"] == pytest.approx(kid(a, b).value, rel=1e-6)
    assert found["CMMD"] == pytest.approx(cmmd(a, b), rel=1e-6)
    assert {"precision (CLIP)", "recall (CLIP)", "density (CLIP)", "coverage (CLIP)"} < set(found)

    for one in report["measures"]:
        assert one["n"] == (40 if one["label"].startswith(("recall", "coverage", "MIND")) else 45)
        assert one["details"]["references"] == 40 and one["details"]["size"] == 32
        assert network.sha256.startswith(one["details"]["network"].split("@")[1])
        low, high = one["interval"] or (one["value"], one["value"])
        assert low <= one["value"] <= high
    (done,) = report["provenance"]["passes"].values()
    assert done["weights_sha256"] == network.sha256 and done["pictures"] == 45
    assert done["rounding"] == "8 bits at 32 pixels a side, then as the network's own preparation has it"
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for index, path in enumerate(reversed(find_pictures(real))):
        shutil.copy(path, renamed / f"{index}.png")
    assert report["provenance"]["reference_sha256"] == contents_sha256(find_pictures(renamed))
    assert contents_sha256(find_pictures(real)[1:]) != contents_sha256(find_pictures(real))
    assert "few" in " ".join(report["warnings"]) and "too high" in " ".join(report["warnings"])


def test_as_a_command(folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path) -> None:
    drawn, real = folders
    command = [sys.executable, "-m", "evaluation.fid", "--images", drawn, "--reference", real]
    command += ["--network", f"clip:{tiny_checkpoint}", "--workers", "2", "--report", tmp_path / "report.md"]
    done = forked.run(command, cwd=ROOT)
    assert done.returncode == 0 and "CLIP-FID" in done.stdout and "45/45" in done.stderr and "40/40" in done.stderr
    assert "CLIP-FID" in (tmp_path / "report.md").read_text()


def test_clip_features_are_not_brought_to_length_one(folders: tuple[Path, Path], tiny_checkpoint: Path) -> None:
    paths = find_pictures(folders[0])[:5]
    loose = extract(paths, ClipFeatures(str(tiny_checkpoint)), workers=0, progress=False)
    lengths = np.linalg.norm(loose, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.01
    unit = extract(paths, Clip(tiny_checkpoint), workers=0, progress=False)
    assert np.allclose(loose / lengths, unit, atol=1e-6)


def test_numbers_do_not_depend_on_batches_or_workers(folders: tuple[Path, Path], tiny_checkpoint: Path) -> None:
    network, paths = ClipFeatures(str(tiny_checkpoint)), find_pictures(folders[0])
    alone = extract(paths, network, batch_size=64, workers=0, progress=False)
    others = [extract(paths, network, None, size, workers, False) for size, workers in ((7, 0), (64, 2))]
    assert np.array_equal(alone, others[1])
    assert np.allclose(alone, others[0], rtol=1e-5, atol=1e-6)
    reference = Moments.of(extract(find_pictures(folders[1]), network, workers=0, progress=False))
    distances = [frechet_distance(Moments.of(rows), reference) for rows in (alone, *others)]
    assert distances == pytest.approx([distances[0]] * 3, rel=1e-5)


def test_saved_statistics_give_the_same_numbers(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    drawn, real = folders
    network = ("--network", f"clip:{tiny_checkpoint}")
    stats = tmp_path / "real.npz"
    main(["--images", str(real), *network, "--save-stats", str(stats), "--workers", "0"])
    capsys.readouterr()
    saved = run("--images", drawn, "--reference", stats, *network, tmp_path=tmp_path)
    assert values(saved) == values(run("--images", drawn, "--reference", real, *network, tmp_path=tmp_path))
    capsys.readouterr()
    sized = refused("--images", drawn, "--reference", stats, *network, "--size", 16, capsys=capsys)
    assert "taken with size as they are, the pictures with 16" in sized
    other = refused("--images", drawn, "--reference", stats, "--network", "judge", capsys=capsys)
    assert "were taken with clip:" in other and "(weights " in other


def test_what_is_left_out_is_told_on_both_sides(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    drawn, real = tmp_path / "drawn", tmp_path / "real"
    drawn.mkdir()
    real.mkdir()
    (drawn / "class0").symlink_to(folders[0])
    (drawn / "x.heic").touch()
    (real / "class0").symlink_to(folders[1])
    (real / "gone.png").symlink_to(tmp_path / "nowhere")
    network = ("--network", f"clip:{tiny_checkpoint}")
    linked = run("--images", drawn, "--reference", real, *network, tmp_path=tmp_path)
    assert values(linked) == values(run("--images", folders[0], "--reference", folders[1], *network, tmp_path=tmp_path))
    assert {
        "Not measured of drawn: files ending in .heic: 1 (as x.heic).",
        "Not measured of real: links to nothing: 1 (as gone.png).",
    } <= set(linked["warnings"])
    main(["--images", str(drawn), "--save-stats", str(tmp_path / "stats.npz"), *network, "--workers", "0"])
    assert "files ending in .heic: 1" in capsys.readouterr().err


def test_an_unfinished_generation_is_refused(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    for path in find_pictures(folders[0])[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = [Row(file=path.name, id=path.stem, caption="a", seed=0) for path in find_pictures(folders[0])]
    numbers = {"pictures": len(rows), "seed": 0, "picture_size": 8, "batch_size": 1, "compiled": False, "threads": 1}
    words = dict.fromkeys(("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype"), "")
    write_manifest(
        Manifest(**numbers, **words, sampling={}, settings={}, versions={}, command="again", rows=tuple(rows)), tmp_path
    )
    for sides in ((tmp_path, folders[1]), (folders[1], tmp_path)):
        arguments = ("--images", sides[0], "--reference", sides[1], "--network", f"clip:{tiny_checkpoint}")
        told = refused(*arguments, capsys=capsys)
        assert "is not complete" in told and f"and {len(rows) - 4} more of {len(rows)} are missing" in told


def test_num_chooses_by_the_seed(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    common = ("--images", folders[0], "--reference", folders[1], "--network", f"clip:{tiny_checkpoint}", "--num", 20)
    first = values(run(*common, tmp_path=tmp_path))
    assert first == values(run(*common, tmp_path=tmp_path))
    assert first["CLIP-FID"] != values(run(*common, "--seed", 1, tmp_path=tmp_path))["CLIP-FID"]
    capsys.readouterr()
    assert "from 2 to the 45 pictures" in refused(*common[:-1], 46, capsys=capsys)
    assert "from 2 to the 45 pictures" in refused(*common[:-1], 1, capsys=capsys)


def test_the_interval_adds_both_sides(tiny_checkpoint: Path) -> None:
    rng = np.random.default_rng(0)
    network = ClipFeatures(str(tiny_checkpoint))
    rows = [rng.normal(size=(n, network.dim)).astype(np.float32) for n in (80, 30)]
    sides = [Statistics(space_of(network), Moments.of(one), one) for one in rows]
    variance = 0.0
    for own, other, n in ((rows[0], rows[1], 80), (rows[1], rows[0], 30)):
        parts = np.array_split(np.random.default_rng(3).permutation(n), 5)
        left = [np.delete(own, part, axis=0) for part in parts]
        variance += 4 * np.var([frechet_distance(Moments.of(one), Moments.of(other)) for one in left])
    found = measure(*sides, network, seed=3, groups=5)[0]
    reach = t.ppf(0.975, 4) * variance**0.5
    assert found.interval[1] - found.value == pytest.approx(reach, rel=1e-6)
    assert measure(*sides, network, groups=0)[0].interval is None


def test_moments_alone_give_the_frechet_distance_only(tiny_checkpoint: Path) -> None:
    network = ClipFeatures(str(tiny_checkpoint))
    rows = np.random.default_rng(0).normal(size=(60, network.dim)).astype(np.float32)
    whole = Statistics(space_of(network), Moments.of(rows), rows)
    bare = Statistics(space_of(network), Moments.of(rows + 1))
    assert [one.label for one in measure(whole, bare, network)] == ["CLIP-FID"]


def test_inception_in_two_resizings(
    few: tuple[Path, Path], weights: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, real = few
    monkeypatch.setenv(inception.VARIABLE, str(weights))
    saving = ("--resize", "clean", "legacy-tf", "--save-stats", tmp_path / "drawn.npz")
    report = run("--images", drawn, "--reference", real, *saving, tmp_path=tmp_path)
    names = [(one["label"], one["details"]["resize"]) for one in report["measures"]]
    assert names == [
        (f"{name} (unpublished weights)", resize)
        for resize in ("clean", "legacy-tf")
        for name in ("Fréchet distance", "kernel distance", "MIND")
    ]
    clean, _, _, legacy, _, _ = (one["value"] for one in report["measures"])
    assert clean > 0 and legacy > 0 and abs(clean / legacy - 1) > 1e-3
    assert "not the published ones" in report["warnings"][0] and "2,048 features" in report["warnings"][1]
    capsys.readouterr()
    stats = ("--reference", tmp_path / "drawn-legacy-tf.npz")
    mixed = refused("--images", real, *stats, capsys=capsys)
    assert "taken with resize legacy-tf, the pictures with clean" in mixed


def test_the_protocol(
    few: tuple[Path, Path], weights: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, real = few
    monkeypatch.setenv(inception.VARIABLE, str(weights))
    common = ("--images", drawn, "--reference", real, "--protocol", "coco30k-256")
    report = run(*common, tmp_path=tmp_path)
    assert {one["details"]["size"] for one in report["measures"]} == {256}
    assert {one["details"]["resize"] for one in report["measures"]} == {"clean", "legacy-tf"}
    assert sorted(report["provenance"]["published"].values()) == [8.21, 10.39, 12.24, 14.43]
    told = " ".join(report["warnings"])
    assert "30,000 pictures and these are 3" in told and "no manifest" in told
    assert "Published FID 10.39, DALL·E 2" in told and "guidance 1.5" in told
    capsys.readouterr()
    assert "leave them out" in refused(*common, "--size", 128, capsys=capsys)
    assert "leave them out" in refused(*common, "--network", "judge", capsys=capsys)


class Published(inception.Inception):
    """The published network in name, with few features."""

    sha256, published, resize, precision = inception.SHA256, True, "clean", "float32"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._classes = np.eye(4, dim)


def test_only_published_weights_give_published_names() -> None:
    network = Published(4)
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    made = Statistics(space_of(network), Moments.of(rows), rows)
    names = [one.label for one in measure(made, made, network)]
    assert names == ["FID", "FID∞", "KID", "MIND", "precision", "recall", "density", "coverage", "Inception score"]
    many = Statistics(made.space, Moments(30_000, made.moments.mean, scatter=torch.eye(4)))
    others = Statistics(made.space, Moments(30_000, made.moments.mean + 1, scatter=torch.eye(4)))
    assert warnings_of(many, others, network) == []
    assert "The pictures and the reference are the same" in warnings_of(many, many, network)[0]
    judge = open_network("judge")
    rows = np.random.default_rng(0).normal(size=(20, judge.dim)).astype(np.float32)
    made = Statistics(space_of(judge), Moments.of(rows), rows)
    assert all(one.label.endswith("(embedded judge)") for one in measure(made, made, judge))
    assert "not FID and compare with nothing published" in " ".join(warnings_of(made, made, judge)).replace("\n", " ")


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (frechet, kernel_distance, prdc):
        monkeypatch.setattr(module, "BLOCK", 128)
    network = Published(256)
    rng = np.random.default_rng(0)
    few = rng.normal(size=(300, 256)).astype(np.float32)
    reference = Statistics(space_of(network), Moments.of(few), few)
    peaks = []
    for n in (600, 2400):
        rng.normal(size=(n, 256)).astype(np.float32).tofile(tmp_path / str(n))
        tracemalloc.start()
        rows = np.memmap(tmp_path / str(n), np.float32, "r", shape=(n, 256))  # as `extract` gives them
        found = measure(Statistics(reference.space, Moments.of(rows), rows), reference, network, groups=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert [one.label for one in found][-1] == "Inception score"
    assert peaks[1] - peaks[0] < 1800 * 256 * 4  # the rows that are more, as they lie on the disk


def test_offline_the_missing_weights_are_told(
    folders: tuple[Path, Path], tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    told = refused("--images", folders[0], "--reference", folders[1], capsys=capsys)
    assert inception.URL in told and "--inception-weights" in told and "--network judge" in told and "not FID" in told


def test_bad_input(folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    drawn, real = folders
    network = ("--network", f"clip:{tiny_checkpoint}")
    single, broken = tmp_path / "single", tmp_path / "broken"
    for folder in (single, broken):
        folder.mkdir()
        (folder / "a.png").write_bytes((drawn / "000.png").read_bytes())
    (broken / "b.png").write_text("words")
    for arguments, expected in [
        (("--images", drawn), "--reference to measure against"),
        (("--images", tmp_path / "absent", "--reference", real), "no folder"),
        (("--images", drawn, "--reference", tmp_path / "absent"), "no folder"),
        (("--images", drawn, "--reference", tmp_path / "absent.npz"), "absent.npz"),
        (("--images", single, "--reference", real), "at least two pictures"),
        (("--images", broken, "--reference", real), "b.png cannot be measured"),
        (("--images", drawn, "--reference", real, "--report", "report.txt"), ".json, .csv, .md, .html"),
        (("--images", drawn, "--reference", real, "--size", "0"), "--size"),
        (("--images", drawn, "--reference", real, "--device", "abacus"), "no device"),
    ]:
        assert expected in refused(*arguments, *network, capsys=capsys)
    both = ("--images", drawn, "--reference", real)
    assert "hf:FOLDER, not 'resnet'" in refused(*both, "--network", "resnet", capsys=capsys)
    assert "no CLIP at" in refused(*both, "--network", f"clip:{tmp_path / 'absent'}", capsys=capsys)


def test_features_that_are_not_finite_are_refused(folders: tuple[Path, Path]) -> None:
    class Broken:
        name, sha256, resize, layer, precision, dim = "broken", "0", "none", "", "float32", 3

        def preprocess(self, picture: Image.Image) -> torch.Tensor:
            return torch.tensor([picture.width, picture.height, 0.0])

        def __call__(self, batch: torch.Tensor) -> np.ndarray:
            return torch.where(batch[:, :1] == 43, torch.nan, batch).numpy()

    with pytest.raises(ValueError, match=r"003\.png are not finite"):
        extract(find_pictures(folders[0]), Broken(), batch_size=2, workers=0, progress=False)
    assert space_of(Broken(), 64) == FeatureSpace("broken", "0", "none", 64)


def test_several_networks_and_their_mean_ratio(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    drawn, real = folders
    networks = ("--network", "judge", f"clip:{tiny_checkpoint}")
    report = run("--images", drawn, "--reference", real, *networks, "--fdr", "half", "--size", 32, tmp_path=tmp_path)
    found = {one["key"]: one for one in report["measures"]}
    ratios = [found["judge_fdr"], found["clip_fdr"]]
    assert found["fdr_mean"]["value"] == pytest.approx(np.mean([one["value"] for one in ratios]))
    assert found["fdr_mean"]["label"] == "FDr^2 (mean over 2 networks)" and ratios[0]["n"] == 20
    assert all(one["value"] > 1.2 for one in ratios)  # the drawn ones are of another distribution
    assert set(report["provenance"]["passes"]) == {"clip:emoji-judge its own", f"clip:{tiny_checkpoint} its own"}
    stats = tmp_path / "real.npz"
    main(["--images", str(real), *map(str, networks), "--save-stats", str(stats), "--size", "32", "--workers", "0"])
    capsys.readouterr()
    saved = run("--images", drawn, "--reference", stats, *networks, "--size", 32, tmp_path=tmp_path)
    assert {one["key"]: one["value"] for one in saved["measures"]}.items() <= {
        key: one["value"] for key, one in found.items()
    }.items()
    capsys.readouterr()
    both = ("--images", drawn, "--reference", real)
    assert "takes" not in refused(*both, *networks, "--resize", "clean", capsys=capsys)
    assert "it takes clean, legacy-tf" in refused(*both, "--resize", "square", capsys=capsys)
    for place, what in ((real, "the reference"), (drawn, "measured")):
        told = refused(*both, "--network", "judge", "--fdr", place, capsys=capsys)
        assert f"are the pictures that are {what}" in told
    copied = tmp_path / "copied"
    shutil.copytree(drawn, copied)
    assert "that are measured" in refused(*both, "--network", "judge", "--fdr", copied, capsys=capsys)
    shutil.rmtree(copied)
    shutil.copytree(real, copied)
    assert "those of the reference" in refused(*both, "--network", "judge", "--fdr", copied, capsys=capsys)
    twice = refused(*both, "--network", "judge", "clip:emoji-judge", capsys=capsys)
    assert "--network judge and clip:emoji-judge are the same weights" in twice
