"""Ray Data: features and pictures made by workers of a cluster are those of one process, and a stopped run goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from drawn_folders import drawn

from evaluation import fid, generation
from evaluation.networks import feature_parts, ray_features, ray_map
from evaluation.pictures.image_folder import find_pictures
from evaluation.pictures.manifest import MANIFEST

ray = pytest.importorskip("ray", reason="Ray is not installed: bash .ci/ray installs it, and runs these tests")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two cores of this machine."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("folders")
    return drawn(root / "drawn", 40, count=20), drawn(root / "real", 0, count=20)


def test_a_cluster_s_features_are_those_of_one_process_and_a_stopped_run_goes_on(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_parts, "PART", 8)
    common = {"network": f"clip:{tiny_checkpoint}", "device": "cpu", "workers": 0, "batch_size": 4}
    alone = fid.run(fid.Options(*folders, **common))
    over = fid.run(fid.Options(*folders, **common, ray="", work=tmp_path / "work"))
    for one, other in zip(alone.measures, over.measures, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-4, abs=1e-6), one.key
    assert over.provenance["processes"] == "a Ray cluster's"
    parts = sorted((tmp_path / "work").rglob("*.npy"))
    assert len(parts) == 6
    parts[1].unlink()
    before, asked = parts[0].stat().st_mtime_ns, []
    over_ray = ray_map.over_ray

    def watched(numbers: list[int], *given: object) -> Iterator[dict]:
        asked.append(list(numbers))
        return over_ray(numbers, *given)

    monkeypatch.setattr(ray_features.ray_map, "over_ray", watched)
    fid.run(fid.Options(*folders, **common, ray="", work=tmp_path / "work"))
    assert sorted(map(len, asked)) == [0, 1] and parts[0].stat().st_mtime_ns == before


def test_what_a_worker_cannot_open_is_told_in_its_sentence(
    folders: tuple[Path, Path], tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = drawn(tmp_path / "broken", 20, count=20)
    find_pictures(broken)[3].write_bytes(b"no picture")
    given = ["--images", broken, "--reference", folders[1], "--network", f"clip:{tiny_checkpoint}", "--ray"]
    with pytest.raises(SystemExit) as ended:
        fid.main([str(word) for word in [*given, "--device", "cpu"]])
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert ended.value.code == 2 and "000003.png" in told and "Traceback" not in told and "ray::" not in told


def test_a_cluster_draws_the_same_files(tiny_checkpoint: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "list.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{i}", "caption": f"a cat face {i}"}) + "\n" for i in range(5)))
    common = ["--prompts", prompts, "--checkpoint", tiny_checkpoint, "--batch-size", 2, "--device", "cpu", "--steps", 1]
    for out, more in (("alone", []), ("over", ["--ray"])):
        assert generation.main([str(word) for word in [*common, "--out", tmp_path / out, *more]]) == 0
    files = {file.name: file.read_bytes() for file in (tmp_path / "alone").glob("*.png")}
    assert len(files) == 5 == len(list((tmp_path / "over").glob("*.png")))
    for name, data in files.items():
        assert _pixels(tmp_path / "over" / name) == pytest.approx(_pixels(tmp_path / "alone" / name), abs=1), name
        assert (tmp_path / "over" / name).read_bytes() == data
    (tmp_path / "over" / "000002.png").unlink()
    before = (tmp_path / "over" / "000000.png").stat().st_mtime_ns
    assert generation.main([str(word) for word in [*common, "--out", tmp_path / "over", "--ray"]]) == 0
    assert (tmp_path / "over" / "000002.png").read_bytes() == files["000002.png"]
    assert (tmp_path / "over" / "000000.png").stat().st_mtime_ns == before and (tmp_path / "over" / MANIFEST).is_file()


def _pixels(file: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(file), dtype=float)
