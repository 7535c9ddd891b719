"""Features in parts: to the last bit those of one pass, whoever extracts them, and a killed run goes on."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from evaluation import fid, merge
from evaluation.metrics import distances, statistics
from evaluation.metrics.frechet import BLOCK, Moments
from evaluation.metrics.statistics import Statistics
from evaluation.networks import feature_parts
from evaluation.networks.clip import ClipFeatures
from evaluation.networks.feature_parts import Share
from evaluation.networks.features import extract
from evaluation.networks.network import FeatureSpace, open_network
from evaluation.pictures.members import DatasetRow, ZipMember

SPACE = FeatureSpace("tiny", "0" * 64, "clean")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(23):
        pixels = np.random.default_rng(index).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return sorted(folder.iterdir())


@pytest.fixture
def network(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> ClipFeatures:
    monkeypatch.setattr(feature_parts, "PART", 6)
    return ClipFeatures(str(tiny_checkpoint))


def test_two_processes_extract_what_one_does(pictures: list[Path], network: ClipFeatures, tmp_path: Path) -> None:
    whole = extract(pictures, network, batch_size=3, workers=0, progress=False)
    shares = [Share(tmp_path, process, 2) for process in range(2)]
    shares[1].extract(pictures, network, batch_size=3, workers=0)
    with pytest.raises(ValueError, match="all processes must see the same --work folder"):
        shares[0].merged(pictures, network, batch_size=3)
    shares[0].extract(pictures, network, batch_size=3, workers=0)
    assert len(list(tmp_path.rglob("*.npy"))) == 4
    for share in shares:
        assert (share.merged(pictures, network, batch_size=3) == whole).all()


def test_a_killed_run_goes_on_and_other_pictures_are_other_parts(
    pictures: list[Path], network: ClipFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Share(tmp_path)
    share.extract(pictures, network, batch_size=3, workers=0)
    kept, lost, *_ = sorted(tmp_path.rglob("*.npy"))
    lost.unlink()
    before, asked = kept.stat().st_mtime_ns, []

    def watched(part: list[Path], *given: object, **how: object) -> np.ndarray:
        asked.append(list(part))
        return extract(part, *given, **how)

    monkeypatch.setattr(feature_parts, "extract", watched)
    share.extract(pictures, network, batch_size=3, workers=0)
    assert asked == [pictures[6:12]] and kept.stat().st_mtime_ns == before
    share.extract(pictures[1:], network, batch_size=3, workers=0)
    share.extract(pictures, network, 16, batch_size=3, workers=0)
    assert len(list(tmp_path.iterdir())) == 3
    np.save(kept, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="is damaged: remove it, and the same command makes it again"):
        share.merged(pictures, network, batch_size=3)


def test_no_set_takes_the_parts_of_another_of_as_many_pictures(pictures: list[Path], tmp_path: Path) -> None:
    def rows(files: list[Path]) -> list[DatasetRow]:
        held = Dataset.from_dict({"image": [{"bytes": file.read_bytes(), "path": None} for file in files]})
        return [DatasetRow(held, "image", index) for index in range(len(files))]

    def zipped(files: list[Path]) -> list[ZipMember]:
        with zipfile.ZipFile(tmp_path / "drawn.zip", "w") as archive:
            for index, file in enumerate(files):
                archive.write(file, f"{index}.png")
        return [ZipMember(tmp_path / "drawn.zip", f"{index}.png") for index in range(len(files))]

    for kind in (rows, zipped):
        one = [picture.identity for picture in kind(pictures[:3])]
        other = [picture.identity for picture in kind(pictures[3:6])]
        assert len({*one, *other}) == 6


def test_the_command_keeps_its_features_where_it_is_told_to(
    pictures: list[Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = pictures[0].parent
    common = {"network": f"clip:{tiny_checkpoint}", "device": "cpu", "workers": 0}
    alone = fid.run(fid.Options(folder, folder, **common))
    kept = fid.run(fid.Options(folder, folder, work=tmp_path / "work", **common))
    assert [one.value for one in kept.measures] == [one.value for one in alone.measures]
    assert any("pictures and the reference are the same" in told for told in kept.warnings)
    assert kept.provenance["processes"] == 1 and len(list((tmp_path / "work").rglob("*.npy"))) == 1


def of(rows: np.ndarray) -> Statistics:
    return Statistics(SPACE, Moments.of(rows), rows)


def test_parts_merge_into_the_statistics_of_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(BLOCK + 900, 8)).astype(np.float32)
    files = [of(part).save(tmp_path / f"{index}.npz") for index, part in enumerate(np.split(rows, [700, 2000]))]
    merge.main([*map(str, files), "--save-stats", str(tmp_path / "all.npz")])
    found, whole = Statistics.load(tmp_path / "all.npz"), of(rows)
    assert (found.features == rows).all() and (found.moments.mean == whole.moments.mean).all()
    assert np.allclose(found.moments.covariance, whole.moments.covariance, rtol=1e-12)
    other = Statistics(FeatureSpace("tiny", "1" * 64, "clean"), whole.moments, rows).save(tmp_path / "other.npz")
    with pytest.raises(SystemExit):
        merge.main([str(files[0]), str(other), "--save-stats", str(tmp_path / "none.npz")])
    assert "take both alike" in capsys.readouterr().err and not (tmp_path / "none.npz").exists()


def test_no_picture_counts_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8)).astype(np.float32)
    a = of(rows[:40]).save(tmp_path / "a.npz")
    (tmp_path / "link.npz").symlink_to(a)
    nearly = rows[:40] * (1 + 1e-7 * rng.normal(size=(40, 1)))  # as other batches round
    others = {
        "again": of(rng.permutation(rows[:40])),
        "rounded": of(rng.permutation(nearly.astype(np.float32))),
        "moments": Statistics(SPACE, Moments.of(rows[:40])),
        "within": of(rows[10:30]),
        "around": of(rows),
        "beside": of(rows[30:]),
    }
    files = {name: one.save(tmp_path / f"{name}.npz") for name, one in others.items()}
    for named, said in (
        (a, "is named twice"),
        (tmp_path / "link.npz", "is named twice"),
        (files["again"], "are of the same pictures"),
        (files["rounded"], "are of the same pictures"),
        (files["moments"], "are of the same pictures"),
        (files["within"], "All pictures of"),
        (files["around"], "All pictures of"),
    ):
        with pytest.raises(SystemExit):
            merge.main([str(a), str(named), "--save-stats", str(tmp_path / "all.npz")])
        assert said in capsys.readouterr().err and not (tmp_path / "all.npz").exists()
    merge.main([str(a), str(files["beside"]), "--save-stats", str(tmp_path / "all.npz")])
    assert "10 pictures of" in (told := capsys.readouterr()).err and "they count twice" in told.err


def test_many_features_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    file = of(rows).save(tmp_path / "a.npz")
    assert not isinstance(Statistics.load(file).features, np.memmap)
    monkeypatch.setattr(statistics, "LARGE", 100)
    found = Statistics.load(file)
    assert isinstance(found.features, np.memmap) and (found.features == rows).all()
    chosen = np.array([3, 1, 40])
    assert (Moments.of(found.features, chosen).mean == Moments.of(rows[chosen]).mean).all()


def test_what_compares_every_two_pictures_is_refused_for_too_many(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distances, "MOST", 30)
    network = open_network(f"clip:{tiny_checkpoint}")
    space = FeatureSpace(network.name, network.sha256, network.resize)
    x, y = (np.random.default_rng(seed).normal(size=(40, network.dim)).astype(np.float32) for seed in (0, 1))
    few, many = ([Statistics(space, Moments.of(side[:n]), side[:n]) for side in (x, y)] for n in (30, 40))
    assert {"clip_precision", "clip_coverage", "cmmd"} <= {one.key for one in distances.measure(*few, network)}
    found = {one.key: one for one in distances.measure(*many, network)}
    assert not {"clip_precision", "clip_coverage", "cmmd"} & set(found) and {"clip_fid", "clip_mind"} <= set(found)
    kernel = found["clip_kid"]
    assert kernel.left_out is None and "100 subsets" in kernel.details["estimate"]
    assert kernel.interval[0] < kernel.value < kernel.interval[1] or kernel.details["deviation"] == "0.000000"
    told = " ".join(distances.warnings_of(*many, network))
    assert "More than 30 pictures on a side" in told and "--num 30" in told
    assert "More than" not in " ".join(distances.warnings_of(*few, network))
