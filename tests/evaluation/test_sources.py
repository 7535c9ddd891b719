"""Pictures from archives, shards, tables and sets are the same, whatever they lie in; and statistics of others."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import yaml
from PIL import Image

from benchmarks.fid import random_weights
from evaluation.fid import main
from evaluation.networks import inception
from evaluation.networks.clip import ClipFeatures
from evaluation.networks.features import extract
from evaluation.pictures.sources import Source, open_source
from evaluation.reporting import schema

Capture = pytest.CaptureFixture[str]
STYLES = ("flat", "noto")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve PNG pictures of one size, six of each style, and what else lies in folders."""
    place = tmp_path_factory.mktemp("sources") / "real"
    for index in range(12):
        path = place / STYLES[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256 - 60 * (index % 2), (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (place / "flat" / "00.txt").write_text("a caption")
    (place / "flat" / "x.heic").touch()
    return place


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def places(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | str]:
    """The same pictures in every form."""
    place = tmp_path_factory.mktemp("forms")
    pictures = [path for path in files(folder) if path.suffix == ".png"]
    with zipfile.ZipFile(place / "real.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(folder):
            archive.write(path, f"real/{path.relative_to(folder)}")
        archive.writestr("__MACOSX/real/._00.png", b"x")
    (place / "shards").mkdir()
    for number, part in enumerate((files(folder)[:5], files(folder)[5:])):
        with tarfile.open(place / "shards" / f"part-{number:03d}.tar", "w") as archive:
            for path in part:
                archive.add(path, str(path.relative_to(folder)))
    rows = [{"image": {"bytes": path.read_bytes(), "path": path.name}, "style": path.parent.name} for path in pictures]
    (place / "set").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place / "set" / "real.parquet", row_group_size=5)
    np.savez(place / "batch.npz", arr_0=np.stack([np.asarray(Image.open(path)) for path in pictures]))
    return {
        "zip": place / "real.zip",
        "shards": place / "shards",
        "tar": place / "shards" / "part-000.tar",
        "parquet": place / "set" / "real.parquet",
        "npz": place / "batch.npz",
    }


def features(source: Source, network: ClipFeatures) -> np.ndarray:
    return np.asarray(extract(source.pictures, network, workers=0, progress=False))


def test_pictures_are_the_same_wherever_they_lie(
    folder: Path, places: dict[str, Path | str], tiny_checkpoint: Path
) -> None:
    network = ClipFeatures(str(tiny_checkpoint))
    expected = features(open_source(folder), network)
    for kind, place in places.items():
        source = open_source(place)
        if kind != "tar":
            assert np.array_equal(features(source, network), expected), kind
        if kind in ("zip", "shards"):
            assert source.notes[-1].count(".heic: 1") == 1, kind
    two_workers = extract(open_source(places["zip"]).pictures, network, None, 5, 2, False)
    assert np.allclose(two_workers, expected, rtol=1e-5, atol=1e-6)  # in other batches


def test_a_set_of_datasets(places: dict[str, Path | str], folder: Path, tiny_checkpoint: Path) -> None:
    source = open_source(f"hub:{Path(str(places['parquet'])).parent}:train", by="style")
    network = ClipFeatures(str(tiny_checkpoint))
    assert np.array_equal(features(source, network), features(open_source(folder), network))
    assert source.groups == ("flat",) * 6 + ("noto",) * 6
    labelled = open_source(f"hub:{folder}", by="label")  # a folder of classes, which `datasets` knows by itself
    assert np.array_equal(features(labelled, network), features(source, network)) and labelled.groups == source.groups
    with pytest.raises(ValueError, match="could not be opened"):
        open_source("hub:nobody/nothing")


def test_groups_by_folder_and_by_column(places: dict[str, Path | str], folder: Path, tmp_path: Path) -> None:
    by_folder = ("flat",) * 6 + ("noto",) * 6
    for place, by in ((folder, "folder"), (places["zip"], "folder"), (places["parquet"], "style")):
        assert open_source(place, by).groups == by_folder, place
    assert open_source(places["parquet"], "colour").groups is None
    for path in files(folder):
        if path.suffix == ".png":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = [{"file_name": f"{index:02d}.png", "style": STYLES[index % 2]} for index in range(12)]
    metadata = tmp_path / "metadata.jsonl"
    metadata.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert open_source(tmp_path, "style").groups == ("flat", "noto") * 6
    metadata.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    with pytest.raises(ValueError, match=r"says nothing of 11\.png"):
        open_source(tmp_path, "style")


def test_what_cannot_be_read_is_told(places: dict[str, Path | str], folder: Path, tmp_path: Path) -> None:
    zipped, tarred = (Path(str(places[kind])).read_bytes() for kind in ("zip", "tar"))
    table = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"words": ["a"]}), table)
    packed = io.BytesIO()
    np.savez_compressed(packed, arr_0=np.zeros((2, 4, 4, 3), np.uint8))
    flat = io.BytesIO()
    np.savez(flat, arr_0=np.zeros((2, 4, 4), np.uint8))
    for name, data, expected in [
        ("cut.zip", zipped[: len(zipped) // 2], "cannot be read as a zip"),
        ("cut.tar", tarred[:1500], "cut short"),
        ("words.tar", b"words" * 300, "cannot be read as a tar"),
        ("small.tar.gz", b"", "decompress it first"),
        ("words.parquet", b"words", "cannot be read as Parquet"),
        ("captions.parquet", table.getvalue(), "no column of pictures' files, as bytes: it has words"),
        ("packed.npz", packed.getvalue(), "is compressed"),
        ("flat.npz", flat.getvalue(), r"must be \(n, height, width, 3\)"),
        ("a.png", b"", "Pictures are not taken from a.png"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=expected):
            open_source(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a.txt", "words")
    with pytest.raises(ValueError, match="holds no pictures"):
        open_source(tmp_path / "empty.zip")


def test_an_archive_holds_what_unpacking_it_would_leave(folder: Path, tmp_path: Path) -> None:
    pictures = [path for path in files(folder) if path.suffix == ".png"]
    with zipfile.ZipFile(tmp_path / "grown.zip", "w") as archive:
        for path in pictures[:2]:
            archive.write(path, path.name)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(pictures[3], pictures[0].name)
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, pictures[0].name)
    source = open_source(tmp_path / "grown.zip")
    assert [one.read_bytes() for one in source.pictures] == [pictures[i].read_bytes() for i in (3, 1)]
    (note,) = source.notes
    assert f"same name replaces: 1 (as {pictures[0].name}); links: 1 (as link.png)" in note

    with tarfile.open(tmp_path / "linked.tar", "w") as archive:
        archive.add(pictures[0], "a/1.png")
        for name, kind, to in [
            ("b/2.png", tarfile.LNKTYPE, "a/1.png"),
            ("b/3.png", tarfile.SYMTYPE, "../a/1.png"),
            ("b/4.png", tarfile.SYMTYPE, "3.png"),
            ("b/5.png", tarfile.SYMTYPE, "nowhere.png"),
            ("b/6.png", tarfile.SYMTYPE, "6.png"),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, to
            archive.addfile(member)
    source = open_source(tmp_path / "linked.tar")
    assert [one.read_bytes() for one in source.pictures] == [pictures[0].read_bytes()] * 4
    assert "links to nothing: 2 (as b/5.png)" in source.notes[0]


def test_of_a_folder_of_shards_nothing_is_missed_and_nothing_taken_for_pictures(folder: Path, tmp_path: Path) -> None:
    pictures = [path for path in files(folder) if path.suffix == ".png"]
    shards = tmp_path / "shards" / "deeper"
    shards.mkdir(parents=True)
    with tarfile.open(shards / "0.tar", "w") as archive:
        for number, path in enumerate(pictures[:3]):
            archive.add(path, f"{number}.image.png")
            archive.add(path, f"{number}.mask.png")
            archive.add(folder / "flat" / "00.txt", f"{number}.txt")
    pyarrow.parquet.write_table(pyarrow.table({"caption": ["a"] * 3}), shards / "0.parquet")  # as img2dataset's
    (shards / "._0.tar").write_bytes(b"of a Mac")
    source = open_source(tmp_path / "shards")
    assert len(source.pictures) == 6
    assert source.notes == ("Some samples have several pictures (image.png, mask.png): each is measured.",)
    (shards / "1.tar.gz").touch()
    with pytest.raises(ValueError, match=r"1\.tar\.gz is a compressed tar"):
        open_source(tmp_path / "shards")
    (shards / "a.png").write_bytes(pictures[0].read_bytes())
    (note,) = open_source(tmp_path / "shards").notes
    assert "files ending in .tar: 1 (as deeper/0.tar)" in note and ".gz: 1" in note


def test_a_column_of_bytes_may_be_kept_in_other_ways_and_splits_are_named(folder: Path, tmp_path: Path) -> None:
    data = [path.read_bytes() for path in files(folder) if path.suffix == ".png"]
    column = pyarrow.array(data, pyarrow.binary())
    for name, kept in (("words.parquet", column.dictionary_encode()), ("view.parquet", column.cast("binary_view"))):
        pyarrow.parquet.write_table(pyarrow.table({"image": kept}), tmp_path / name)
        assert [one.read_bytes() for one in open_source(tmp_path / name).pictures] == data, name
    place = tmp_path / "set" / "data"
    place.mkdir(parents=True)
    for split, rows in (("train", column[:8]), ("test", column[8:])):
        pyarrow.parquet.write_table(pyarrow.table({"image": rows}), place / f"{split}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"holds the splits test, train: name .* hub:.*:test, or hub:.*:test\+train"):
        open_source(tmp_path / "set")
    assert [one.read_bytes() for one in open_source(f"hub:{tmp_path / 'set'}:test").pictures] == data[8:]
    assert len(open_source(f"hub:{tmp_path / 'set'}:test+train").pictures) == len(data)


def run(*arguments: object, tmp_path: Path) -> dict:
    main([*map(str, arguments), "--report", str(tmp_path / "report.json"), "--workers", "0"])
    return json.loads((tmp_path / "report.json").read_text())


def refused(*arguments: object, capsys: Capture) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--workers", "0"])
    assert ended.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_tables_by_group_and_results_for_the_hub(
    folder: Path, places: dict[str, Path | str], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    network = ("--network", f"clip:{tiny_checkpoint}")
    common = ("--images", places["zip"], "--reference", folder, *network, "--by", "folder")
    hub = ("--hub-results", tmp_path / "card.yaml", "--hub-dataset", "someone/emoji:styles")
    report = run(*common, *hub, tmp_path=tmp_path)
    schema.require(report)
    found = {one["key"]: one for one in report["measures"]}
    alone = run("--images", folder / "noto", "--reference", folder / "noto", *network, tmp_path=tmp_path)
    (own,) = (one for one in alone["measures"] if one["key"] == "clip_fid")
    assert found["clip_fid@noto"]["value"] == pytest.approx(own["value"], abs=1e-9)
    assert found["clip_mind@flat"]["n"] == 6 and found["clip_fid@flat"]["label"] == "CLIP-FID, folder flat"
    card = yaml.safe_load((tmp_path / "card.yaml").read_text())["model-index"][0]
    assert {one["type"]: one["value"] for one in card["results"][0]["metrics"]}["clip_fid"] == found["clip_fid"][
        "value"
    ]
    (entry,) = yaml.safe_load((tmp_path / ".eval_results" / "card-clip_fid.yaml").read_text())
    assert entry["dataset"] == {"id": "someone/emoji", "task_id": "styles"}
    assert entry["value"] == found["clip_fid"]["value"] and entry["notes"].startswith("CLIP-FID, n = 12")
    for arguments, expected in [
        ((*common[:-1], "colour"), "has no such groups"),
        ((*common[:2], "--reference", folder / "flat", *network, "--by", "folder"), ""),
        ((*common, "--hub-results", tmp_path / "b.yaml"), "name it with --hub-dataset"),
        ((*common, "--hub-results", tmp_path / "b.txt"), "written as .yaml"),
    ]:
        if expected:
            assert expected in refused(*arguments, capsys=capsys)
    (tmp_path / "other" / "flat").mkdir(parents=True)
    (tmp_path / "other" / "third").mkdir()
    for path in sorted((folder / "flat").glob("*.png")):
        for group in ("flat", "third"):
            (tmp_path / "other" / group / path.name).write_bytes(path.read_bytes())
    strange = refused("--images", folder, "--reference", tmp_path / "other", *network, "--by", "folder", capsys=capsys)
    assert strange.endswith("has no group noto.")


def test_statistics_of_other_programs(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(random_weights(), tmp_path / "random.pth")
    sha256 = inception.Inception(tmp_path / "random.pth").sha256
    monkeypatch.setitem(inception.PUBLISHED, "random.pth", sha256)
    monkeypatch.setenv(inception.VARIABLE, str(tmp_path / "random.pth"))
    monkeypatch.setenv("EVALUATION_STATISTICS", str(tmp_path / "names.json"))
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted((folder / "flat").glob("*.png"))[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    images = ("--images", few)
    both = ("--network", "inception", "sfid", "--resize", "legacy-tf")
    adm = tmp_path / "adm.npz"
    main([*map(str, (*images, *both, "--save-stats", adm, "--stats-form", "adm")), "--workers", "0"])
    with np.load(adm) as file:
        assert {name: file[name].shape for name in file.files} == {
            "mu": (2048,),
            "sigma": (2048, 2048),
            "mu_s": (2023,),
            "sigma_s": (2023, 2023),
        }
        np.savez(tmp_path / "theirs.npz", mu=file["mu"], sigma=file["sigma"])
    report = run(*images, "--reference", adm, "--network", "inception", "sfid", tmp_path=tmp_path)
    found = {one["key"]: one for one in report["measures"]}
    assert found["fid"]["value"] == pytest.approx(0, abs=1e-3) and found["sfid"]["value"] == pytest.approx(0, abs=1e-3)
    assert found["fid"]["details"]["resize"] == "legacy-tf" and found["fid"]["details"]["references"] == "unknown"
    assert "says neither of how many" in " ".join(report["warnings"])
    assert report["provenance"]["reference_file"]["form"] == "adm"

    theirs = ("--reference", tmp_path / "theirs.npz")
    assert "--reference-form (pytorch-fid, clean-fid, adm)" in refused(*images, *theirs, capsys=capsys)
    mixed = refused(*images, *theirs, "--reference-form", "clean-fid", "--resize", "legacy-tf", capsys=capsys)
    assert "taken with resize clean (clean-fid), the pictures with legacy-tf" in mixed
    spatial = refused(*images, *theirs, "--reference-form", "pytorch-fid", "--network", "sfid", capsys=capsys)
    assert "holds nothing for sFID" in spatial
    with np.load(adm) as file:
        np.savez(tmp_path / "odd.npz", mu=file["mu"], sigma=np.triu(file["sigma"]))
    odd = ("--reference", tmp_path / "odd.npz", "--reference-form", "pytorch-fid")
    assert "odd.npz: sigma is no covariance" in refused(*images, *odd, capsys=capsys)
    judged = refused(*images, *theirs, "--reference-form", "pytorch-fid", "--network", "judge", capsys=capsys)
    assert "of the published Inception" in judged
    unfit = refused(*images, "--save-stats", tmp_path / "x.npz", "--stats-form", "adm", capsys=capsys)
    assert "--network inception and sfid and --resize legacy-tf" in unfit


def test_named_statistics_are_known_by_their_hash(
    folder: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALUATION_STATISTICS", str(tmp_path / "names.json"))
    network = ("--network", f"clip:{tiny_checkpoint}")
    stats = tmp_path / "real.npz"
    main(
        [*map(str, ("--images", folder, *network, "--save-stats", stats, "--stats-name", "emoji@24")), "--workers", "0"]
    )
    entry = json.loads((tmp_path / "names.json").read_text())["emoji@24"]
    assert entry["file"] == str(stats) and len(entry["sha256"]) == 64
    named = run("--images", folder / "flat", "--reference", "emoji@24", *network, tmp_path=tmp_path)
    plain = run("--images", folder / "flat", "--reference", stats, *network, tmp_path=tmp_path)
    assert [one["value"] for one in named["measures"]] == [one["value"] for one in plain["measures"]]
    assert named["provenance"]["reference_file"]["sha256"] == entry["sha256"]
    np.savez(stats, **{**np.load(stats), "n": np.array(3)})
    changed = refused("--images", folder, "--reference", "emoji@24", *network, capsys=capsys)
    assert "are not those that were named" in changed
    stats.unlink()
    assert "which is not there" in refused("--images", folder, "--reference", "emoji@24", *network, capsys=capsys)
    misspelled = refused("--images", folder, "--reference", "other@24", *network, capsys=capsys)
    assert "no statistics have that name (names: emoji@24)" in misspelled


def test_the_schema_in_the_repository_is_that_of_the_reports() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.text()
    with pytest.raises(ValueError, match="schema 2"):
        schema.require({"schema_version": 2})
    with pytest.raises(ValueError, match="measures"):
        schema.require({"schema_version": 1, "title": "a", "warnings": [], "provenance": {}})
