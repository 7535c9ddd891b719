"""Groups of pictures by what is said of each: in a file for all, or beside each picture as WebDataset has it."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.fid import main
from evaluation.pictures.sources import open_source

STYLES = ("flat", "noto") * 3


def picture(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def samples() -> dict[str, bytes]:
    """Six samples: a picture, its class, and a .json of which one has a null."""
    found = {}
    for index, style in enumerate(STYLES):
        said = {"style": style, "size": 24, "checked": True, "note": None if index == 4 else "x"}
        found |= {f"s/{index:04d}.image.png": picture(index), f"s/{index:04d}.cls": b"%d\n" % (index % 3)}
        found[f"s/{index:04d}.json"] = json.dumps(said).encode("utf-8-sig")
    return found


def tarred(file: Path, members: Mapping[str, bytes], before: str = "") -> Path:
    with tarfile.open(file, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(before + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def forms(place: Path, members: Mapping[str, bytes]) -> dict[str, Path]:
    """The same files as a tar, as two shards, as a zip, and unpacked."""
    place.mkdir(exist_ok=True)
    (place / "shards").mkdir()
    names = sorted(members)
    half = len(names) // 2
    for number, part in enumerate((names[:half], names[half:])):
        tarred(place / "shards" / f"{number}.tar", {name: members[name] for name in part}, before="./")
    with zipfile.ZipFile(place / "all.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
            (place / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "folder" / name).write_bytes(data)
    tar = tarred(place / "all.tar", members)
    return {"tar": tar, "shards": place / "shards", "zip": place / "all.zip", "folder": place / "folder"}


def test_of_a_sample_its_class_and_the_keys_of_its_json_are_groups(tmp_path: Path) -> None:
    for kind, place in forms(tmp_path, samples()).items():
        assert open_source(place, "style").groups == STYLES, kind
        assert open_source(place, "cls").groups == ("0", "1", "2") * 2, kind
        assert open_source(place, "size").groups == ("24",) * 6, kind
        assert open_source(place, "colour").groups is None, kind
        with pytest.raises(
            ValueError, match=r"note of .* says nothing of \S*s/0004\.image\.png and 0 more of \d pictu"
        ):
            open_source(place, "note")


def test_a_sample_or_a_shard_of_which_nothing_is_said_is_named(tmp_path: Path) -> None:
    broken = samples() | {"s/0002.json": b'{"style": '}
    with pytest.raises(ValueError, match=r"broken\.tar/s/0002\.json cannot be read: Expecting value"):
        open_source(tarred(tmp_path / "broken.tar", broken), "style")
    with pytest.raises(ValueError, match=r"binary\.tar/s/0001\.cls cannot be read: 'utf-8'"):
        open_source(tarred(tmp_path / "binary.tar", samples() | {"s/0001.cls": b"\xff\xfe"}), "cls")
    shards = tmp_path / "shards"
    shards.mkdir()
    tarred(shards / "0.tar", samples())
    tarred(shards / "1.tar", {"t/0.png": picture(9)})
    with pytest.raises(ValueError, match=r"1\.tar says nothing of style, and other shards do"):
        open_source(shards, "style")
    assert open_source(shards).groups is None


def test_a_name_with_dots_is_that_of_its_own_json(tmp_path: Path) -> None:
    for name, style in (("a.v1", "flat"), ("a.v2", "noto")):
        (tmp_path / f"{name}.png").write_bytes(picture(0))
        (tmp_path / f"{name}.json").write_text(json.dumps({"style": style}))
    assert open_source(tmp_path, "style").groups == ("flat", "noto")


def test_metadata_lies_at_the_top_of_an_archive_or_in_the_folder_that_holds_all(tmp_path: Path) -> None:
    pictures = {f"real/{style}/{index}.png": picture(index) for index, style in enumerate(STYLES)}
    table = "file_name,kind\r\n" + "".join(
        f"{style}/{index}.png,k{index % 2}\r\n" for index, style in enumerate(STYLES)
    )
    lines = "\n".join(json.dumps({"file_name": name, "kind": name[-5]}) for name in pictures) + "\n\n"
    for form in (
        pictures | {"real/metadata.csv": table.encode("utf-8-sig")},
        pictures | {"metadata.jsonl": lines.encode()},
    ):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        expected = ("k0", "k0", "k0", "k1", "k1", "k1") if "real/metadata.csv" in form else tuple("024135")
        for kind, there in forms(place, form).items():
            if kind == "shards":  # of which only one holds the file
                with pytest.raises(ValueError, match="says nothing of"):
                    open_source(there, "kind")
                continue
            assert open_source(there, "kind").groups == expected, kind


def test_folders_are_those_in_which_all_shards_differ(tmp_path: Path) -> None:
    tarred(tmp_path / "0.tar", {"train/cat/0.png": picture(0), "train/cat/1.png": picture(1)})
    tarred(tmp_path / "1.tar", {"train/cat/2.png": picture(2), "train/dog/3.png": picture(3)})
    assert open_source(tmp_path, "folder").groups == ("cat", "cat", "cat", "dog")
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for name in ("all\\cat\\0.png", "all\\dog\\1.png"):
            archive.writestr(name, picture(0))
    assert open_source(tmp_path / "windows.zip", "folder").groups == ("cat", "dog")


def test_a_report_has_the_distances_of_samples_by_key_and_warns_of_unequal_groups(
    tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {f"{index}.png": picture(index) for index in range(10)}
    members |= {f"{index}.json": json.dumps({"style": STYLES[index % 2]}).encode() for index in range(10)}
    place = tarred(tmp_path / "all.tar", members)
    given = ["--images", str(place), "--reference", str(place), "--network", f"clip:{tiny_checkpoint}"]
    main([*given, "--by", "style", "--workers", "0", "--groups", "0", "--report", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    assert {one["key"]: one["n"] for one in report["measures"]}["clip_fid@noto"] == 5
    assert any("The groups have 5 pictures at least and 5 at most" in note for note in report["warnings"])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*given, "--by", "colour"])
    assert "or a key of the .json" in capsys.readouterr().err
