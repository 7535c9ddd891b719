"""Files with several pictures: found in every format, wherever they lie, and told beside the numbers."""

import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from dalle2 import images
from evaluation import clip_score, fid, ssim_psnr
from evaluation.pictures.several import HEAD, holds_several
from evaluation.pictures.sources import open_source
from evaluation.pictures.survey import survey

FORMATS = ("GIF", "PNG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else []))


def frame(seed: int, side: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def saved(kind: str, frames: int, side: int = 24, **options: object) -> bytes:
    file = io.BytesIO()
    first, *others = (frame(seed, side) for seed in range(frames))
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(file, kind, **more, **options)
    return file.getvalue()


def two_views(data: bytes) -> bytes:
    """A file of Pillow's, which says nothing of what its pictures are, as a camera with two lenses writes it."""
    first = data.index(struct.pack("<L", 0x030000), data.index(b"0100"))  # of two entries of 16 bytes
    changed = bytearray(data)
    for entry in (first, first + 16):
        changed[entry : entry + 4] = struct.pack("<L", 0x020002)
    return bytes(changed)


def given(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_several_pictures_are_seen_in_every_format(kind: str, tmp_path: Path) -> None:
    place = given(tmp_path, one=saved(kind, 1), two=saved(kind, 2))
    assert [holds_several(place / name) for name in ("one", "two")] == [False, True]
    large = {"compress_level": 0} if kind == "PNG" else {"lossless": True} if kind == "WEBP" else {}
    place = given(tmp_path, one=saved(kind, 1, 200, **large), two=saved(kind, 3, 200, **large))
    assert kind == "AVIF" or (place / "one").stat().st_size > HEAD // 2  # the second picture lies behind the beginning
    assert [holds_several(place / name) for name in ("one", "two")] == [False, True]


def test_a_photograph_with_a_map_beside_it_is_one_picture_and_two_views_are_two(tmp_path: Path) -> None:
    beside = saved("MPO", 2)
    place = given(tmp_path, beside_jpg=beside, views_jpg=two_views(beside), plain_jpg=saved("JPEG", 1))
    assert [holds_several(place / f"{name}.jpg") for name in ("plain", "beside", "views")] == [False, False, True]


def test_other_forms_of_tiff_and_gif(tmp_path: Path) -> None:
    big = given(tmp_path, one=saved("TIFF", 1, big_tiff=True), two=saved("TIFF", 2, big_tiff=True))
    assert [holds_several(big / name) for name in ("one", "two")] == [False, True]
    looped = saved("GIF", 1, comment=b"a, b; c!", loop=0)  # says that it repeats, and has one picture
    for number, data in enumerate((looped, looped[:-1], b"GIF89a", b"RIFF", b"II*\0", b"\x89PNG\r\n\x1a\n", b"")):
        (tmp_path / str(number)).write_bytes(data)
        assert not holds_several(tmp_path / str(number)), number


def test_they_are_counted_and_named_wherever_they_lie(tmp_path: Path) -> None:
    members = {"a.png": saved("PNG", 1), "b.gif": saved("GIF", 2), "c.gif": saved("GIF", 3), "d.webp": saved("WEBP", 2)}
    place = tmp_path / "mixed"
    place.mkdir()
    for name, data in members.items():
        (place / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "mixed.zip", "w") as zipped, tarfile.open(tmp_path / "mixed.tar", "w") as tarred:
        for name in members:
            zipped.write(place / name, name)
            tarred.add(place / name, name)
    for source in map(open_source, (place, tmp_path / "mixed.zip", tmp_path / "mixed.tar")):
        assert survey(source.name, source.pictures).notes == [
            "Only the first picture is measured of files that hold several, as animations do: 3 of "
            f"{source.name} (as b.gif)."
        ]
    assert survey("mixed", [place / "a.png"]).notes == []


def test_sizes_are_told_and_what_is_enlarged_is_named(tmp_path: Path) -> None:
    place = given(tmp_path / "a", a_png=saved("PNG", 1, 24), b_jpg=saved("JPEG", 1, 64), c_webp=saved("WEBP", 1, 32))
    found = survey("a", sorted(place.iterdir()), 32)
    assert found.size == "24×24 to 64×64" and found.sizes == ((24, 24), (64, 64))
    (note,) = found.notes
    assert note.startswith("1 of the 3 pictures of a (as a.png, 24×24) are smaller than --size and were enlarged to it")
    assert survey("a", sorted(place.iterdir()), 24).notes == [] and survey("a", []).size == "unknown"
    (place / "d.png").write_bytes(b"words")
    assert survey("a", sorted(place.iterdir())).count == 4


def test_reports_tell_of_them(tmp_path: Path, tiny_checkpoint: Path) -> None:
    for folder in ("a", "b"):
        for index in range(3):
            images.save(frame(index), tmp_path / folder / f"{index}.png")
    (tmp_path / "a" / "3.gif").write_bytes(saved("GIF", 2))
    images.save(frame(7), tmp_path / "b" / "3.png")
    (tmp_path / "list.csv").write_text("file_name,caption\n" + "".join(f"{i}.png,a cat {i}\n" for i in range(3)))
    with (tmp_path / "list.csv").open("a") as lines:
        lines.write("3.gif,a dog\n")
    told = "Only the first picture is measured of files that hold several, as animations do: 1 of a (as 3.gif)."
    file, common = (
        tmp_path / "report.json",
        ["--images", str(tmp_path / "a"), "--report", str(tmp_path / "report.json")],
    )
    against = ["--reference", str(tmp_path / "b")]
    for main, more in (
        (ssim_psnr.main, against),
        (fid.main, [*against, "--network", f"clip:{tiny_checkpoint}", "--workers", "0"]),
        (clip_score.main, ["--prompts", str(tmp_path / "list.csv"), "--clip", str(tiny_checkpoint), "--workers", "0"]),
    ):
        main([*common, *more, "--device", "cpu"])
        assert told in json.loads(file.read_text())["warnings"], main.__module__
