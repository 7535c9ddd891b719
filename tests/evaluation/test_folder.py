"""A folder of pictures: what is found, in what order, and what the loader makes of every kind of file."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.pictures.image_folder import find_pictures, look_into, measured_pictures
from evaluation.pictures.loading import batches, canonical, open_file
from evaluation.pictures.manifest import Manifest, Row, write_manifest


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture))


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def test_what_is_found_and_in_what_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/2.jpg", "a/10.JPEG", "a.webp", ".hidden.png", ".cache/x.png", ".c.png.7.partial", "n.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert found == ["a.webp", "a/10.JPEG", "a/2.jpg", "b.PNG"]


def test_links_to_folders_are_entered_once(tmp_path: Path) -> None:
    real, store = tmp_path / "real", tmp_path / "store"
    for path in (real / "z" / "1.png", store / "2.png", store / "deep" / "3.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (real / "a").symlink_to(real / "z")  # met before under its own name
    (real / "class0").symlink_to(store)
    (real / "class1").symlink_to(store / "deep")
    (store / "round").symlink_to(real)
    (store / "up").symlink_to(tmp_path)
    found = look_into(real)
    names = [path.relative_to(real).as_posix() for path in found.pictures]
    assert names == ["class0/2.png", "class1/3.png", "z/1.png"]
    assert found.left_out == {"folders met before": ["a", "class0/deep", "class0/round", "class0/up"]}
    only = tmp_path / "only"
    only.mkdir()
    (only / "class0").symlink_to(store)
    assert len(find_pictures(only)) == 3


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    for name in (
        "a.png",
        "b.heic",
        "c.HEIC",
        "d",
        ".e.png",
        "._f.JPG",
        ".DS_Store",
        "metadata.csv",
        "g.txt",
        ".h/i.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "j.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "k").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "l.png")
    found = look_into(tmp_path)
    assert [path.name for path in found.pictures] == ["a.png"]
    assert found.left_out == {
        "files ending in .heic": ["b.heic", "c.HEIC"],
        "files without an ending": ["d"],
        "hidden files": ["._f.JPG", ".e.png"],
        "hidden folders": [".h"],
        "links to nothing": ["j.png", "k"],
        "what is not a file": ["l.png"],
    }
    (note,) = found.notes
    assert "files ending in .heic: 2 (as b.heic); " in note and "links to nothing: 2 (as j.png)" in note
    (tmp_path / "a.png").unlink()
    with pytest.raises(ValueError, match=r"holds no pictures: .* links to nothing: 2"):
        find_pictures(tmp_path)


def test_only_the_pictures_of_a_manifest_are_measured(tmp_path: Path) -> None:
    for name in ("0.png", "1.png", "sheet.png"):
        noise(8, 8).save(tmp_path / name)
    rows = tuple(Row(file=f"{i}.png", id=str(i), caption="a", seed=i) for i in range(2))
    numbers = {"pictures": 2, "seed": 0, "picture_size": 8, "batch_size": 1, "compiled": False, "threads": 1}
    words = dict.fromkeys(("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype"), "")
    write_manifest(
        Manifest(**numbers, **words, sampling={}, settings={}, versions={}, command="x", rows=rows), tmp_path
    )
    found = measured_pictures(tmp_path)
    assert [path.name for path in found.pictures] == ["0.png", "1.png"]
    assert found.left_out == {"pictures that its manifest does not name": ["sheet.png"]}
    (tmp_path / "0.png").unlink()
    with pytest.raises(ValueError, match=r"not complete, 0\.png and 0 more of 2 are missing"):
        measured_pictures(tmp_path)


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".ppm", ".JPE", ".jfif", ".avif"])
def test_formats_that_the_page_does_not_take_are_measured(tmp_path: Path, suffix: str) -> None:
    picture, file = noise(4, 3).resize((64, 48), Image.Resampling.BICUBIC), tmp_path / f"a{suffix}"
    picture.save(file, {".JPE": "JPEG", ".jfif": "JPEG"}.get(suffix), quality=100)
    levels = np.asarray(open_file(find_pictures(tmp_path)[0])).astype(int)
    lossless = suffix in (".tif", ".TIFF", ".ppm")
    assert np.abs(levels - np.asarray(picture)).mean() <= (0 if lossless else 3)


def test_tiff_stands_upright_and_keeps_its_levels(tmp_path: Path) -> None:
    exif, file, ramp = Image.Exif(), tmp_path / "a.tif", np.linspace(0, 65535, 600).reshape(20, 30)
    exif[0x0112] = 6
    noise(30, 20).save(file, exif=exif)
    assert (np.asarray(open_file(file)) == np.rot90(np.asarray(noise(30, 20)), -1)).all()
    for kind in (np.uint16, np.int32):
        Image.fromarray(ramp.astype(kind)).save(file)
        assert (np.asarray(open_file(file))[..., 0] == ramp.astype(kind) >> 8).all()
    for levels in ((ramp * 9).astype(np.int32), (ramp / 65535).astype(np.float32)):
        Image.fromarray(levels).save(file)
        with pytest.raises(ValueError, match="levels are numbers of no known range"):
            open_file(file)


def test_a_hidden_folder_itself_may_be_measured(tmp_path: Path) -> None:
    folder = tmp_path / ".pictures"
    folder.mkdir()
    noise(4, 4).save(folder / "a.png")
    assert find_pictures(folder) == [folder / "a.png"]


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        find_pictures(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no pictures"):
        find_pictures(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 31), (7, 7), (16, 16), (1, 50)])
def test_canonical_form(width: int, height: int) -> None:
    made = canonical(noise(width, height), 16)
    assert made.size == (16, 16)
    assert canonical(made, 16) is made and canonical(made, None) is made


def test_canonical_form_keeps_the_centre() -> None:
    picture = Image.new("RGB", (48, 16), "red")
    picture.paste("blue", (16, 0, 32, 16))
    assert set(canonical(picture, 16).get_flattened_data()) == {(0, 0, 255)}
    resized = noise(32, 64).resize((16, 32), Image.Resampling.BICUBIC).crop((0, 8, 16, 24))
    assert canonical(noise(32, 64), 16).tobytes() == resized.tobytes()


def test_every_kind_of_picture_comes_as_rgb(tmp_path: Path) -> None:
    kinds = {"a.png": "L", "b.jpg": "CMYK", "c.png": "RGBA", "d.png": "P", "e.png": "1", "f.webp": "RGB", "g.png": "LA"}
    for index, (name, mode) in enumerate(kinds.items()):
        noise(20 + index, 24, mode).save(tmp_path / name)
    Image.fromarray(np.full((20, 24), 40_000, dtype=np.uint16)).save(tmp_path / "h.png")
    (batch,) = batches(find_pictures(tmp_path), as_tensor, size=8, workers=0)
    assert batch.shape == (8, 8, 8, 3)
    assert (batch[7] == 40_000 >> 8).all()


def test_batches_are_the_same_with_workers(tmp_path: Path) -> None:
    for index in range(5):
        noise(8, 8, seed=index).save(tmp_path / f"{index}.png")
    paths = find_pictures(tmp_path)
    alone = list(batches(paths, as_tensor, batch_size=2, workers=0))
    assert [len(batch) for batch in alone] == [2, 2, 1]
    assert torch.equal(torch.cat(alone), torch.cat(list(batches(paths, as_tensor, batch_size=3, workers=2))))
    with pytest.raises(ValueError, match="at least one picture"):
        next(batches(paths, as_tensor, batch_size=0))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_opened_is_named(tmp_path: Path, workers: int) -> None:
    noise(8, 8).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png cannot be measured: .*damaged"):
        list(batches(find_pictures(tmp_path), as_tensor, workers=workers))
    (tmp_path / "b.png").write_text("words")
    with pytest.raises(ValueError, match=r"b\.png cannot be measured: This is not a picture"):
        list(batches(find_pictures(tmp_path), as_tensor, workers=workers))


def test_the_table_of_the_docs_says_what_is_taken(tmp_path: Path) -> None:
    """docs/evaluation.md: of fifteen files the thirteen that are pictures, hidden ones and arrays left out."""
    names = "a.PNG b.JPG c.webp d.jpeg sub/e.png f.bmp g.gif h.tiff i.JPEG j.jpg k.png l.avif m.jfif .hidden.png n.npy"
    (tmp_path / "sub").mkdir()
    for name in names.split():
        (tmp_path / name).touch()
    found = look_into(tmp_path)
    assert len(found.pictures) == 13
    assert found.notes == [
        f"Not measured of {tmp_path.name}: files ending in .npy: 1 (as n.npy); hidden files: 1 (as .hidden.png)."
    ]
