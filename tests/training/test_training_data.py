"""Training on what others wrote: every kind of column is read rightly, or refused with row and reason."""

import io
import json
import struct
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.sources import load_pictures

COUNT = 6


def drawing(number: int) -> Image.Image:
    return Image.new("RGB", (20, 20), (40 * number, 90, 200))


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def parquet(folder: Path, pictures: list, captions: list) -> Path:
    """As pandas and pyarrow write it, without a word of `datasets`."""
    (folder / "data").mkdir(parents=True)
    table = pyarrow.table({"image": pictures, "caption": captions})
    pyarrow.parquet.write_table(table, folder / "data" / "train-00000.parquet")
    return folder


def folder_of(folder: Path, files: dict[str, bytes], rows: list[dict]) -> Path:
    """Pictures beside a metadata.jsonl."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def read(folder: Path, column: str = "caption", streaming: bool = False) -> PicturesInMemory:
    return load_pictures(str(folder), "train", 20, ("image", column), streaming)


CELLS = {
    "tables": lambda data, name: {"bytes": data, "path": name},
    "tables without paths": lambda data, name: {"bytes": data, "path": None},
    "bytes": lambda data, name: data,
    "paths": lambda data, name: name,
    "tables of paths": lambda data, name: {"bytes": None, "path": name},
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_pictures_of_other_writers_are_read(kind: str, streaming: bool, tmp_path: Path) -> None:
    files = [encoded(drawing(number)) for number in range(COUNT)]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(data)
    cells = [CELLS[kind](data, f"{number}.png") for number, data in enumerate(files)]
    source = parquet(tmp_path, cells, [f"thing {number}" for number in range(COUNT)])
    batch = read(source, streaming=streaming).batch(Randomness(0, "clip", 0, COUNT))
    reds = ((batch.pictures[:, 0, 5, 5] + 1) * 127.5).round().long().tolist()
    assert sorted(reds) == [40 * number for number in range(COUNT)]
    assert [f"thing {red // 40}" for red in reds] == batch.captions


def test_sixteen_bits_keep_their_levels(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16))
    source = folder_of(tmp_path / "deep", {"a.png": encoded(ramp)}, [{"file_name": "a.png", "caption": "a ramp"}])
    levels = read(source).rgba[0, 0].double()
    assert (levels.min(), levels.max()) == (0, 255)
    assert levels.mean() == pytest.approx(127.5, abs=0.5)


def test_a_turned_photograph_with_odd_exif_is_upright(tmp_path: Path) -> None:
    entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x011A, 10, 1, 38)
    odd = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<Iii", 0, -1, 0)
    picture = Image.new("RGB", (20, 20), "white")
    picture.paste("black", (0, 0, 20, 10))
    data = encoded(picture, "JPEG", exif=odd, quality=95)
    rgba = read(folder_of(tmp_path / "a", {"a.jpg": data}, [{"file_name": "a.jpg", "caption": "halves"}])).rgba[0, 0]
    assert rgba[:, :8].float().mean() > 240 > 15 > rgba[:, 12:].float().mean()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "cell",
    [
        {"raw": "thing 0", "tokens": ["thing", "0"], "sentid": 0, "imgid": 0},
        [{"raw": "thing 0", "sentid": 0}, {"raw": "thing  0", "sentid": 1}],
        {"raw": ["thing 0", "thing 0"], "sentid": [0, 1]},
        ["thing 0"],
        " thing 0\n",
    ],
    ids=str,
)
def test_nested_captions_are_read_as_evaluation_reads_them(cell: object, streaming: bool, tmp_path: Path) -> None:
    rows = [{"file_name": "0.png", "sentences": cell}]
    source = folder_of(tmp_path / "set", {"0.png": encoded(drawing(0))}, rows)
    batch = read(source, "sentences", streaming).batch(Randomness(0, "clip", 0, 1))
    assert batch.captions == ["thing 0"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("captions", [["a", None], ["a", ""], [["a"], []]], ids=str)
def test_a_row_without_a_caption_names_itself(captions: list, streaming: bool, tmp_path: Path) -> None:
    cells = [{"bytes": encoded(drawing(number)), "path": f"{number}.png"} for number in range(2)]
    source = parquet(tmp_path, cells, captions)
    place = r"\(1\.png\)" if streaming else "row 1"
    with pytest.raises(ValueError, match=rf"split 'train'(,)? {place} has .*: mend or remove it"):
        read(source, streaming=streaming).batch(Randomness(0, "clip", 0, 2))


def test_numbers_are_no_captions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 0 has no caption, but 7"):
        read(parquet(tmp_path, [encoded(drawing(0))], [7]))


BROKEN = {
    "torn": (encoded(drawing(1))[:60], "is damaged and cannot be read to its end"),
    "text": (b"hello", "This is not a picture"),
    "nothing": (None, "there is no picture, which would be an encoded file"),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_names_its_row(kind: str, streaming: bool, tmp_path: Path) -> None:
    data, said = BROKEN[kind]
    source = parquet(tmp_path, [encoded(drawing(0)), data], ["whole", "broken"])
    place = "the row of 'broken'" if streaming else "row 1"
    with pytest.raises(ValueError, match=f"split 'train', {place}: .*{said}"):
        read(source, streaming=streaming).batch(Randomness(0, "clip", 0, 2))


@pytest.mark.parametrize("streaming", [False, True])
def test_a_broken_file_is_named(streaming: bool, tmp_path: Path) -> None:
    files = {"a.png": encoded(drawing(0)), "b.png": encoded(drawing(1))[:60]}
    source = folder_of(tmp_path / "set", files, [{"file_name": name, "caption": "x"} for name in files])
    with pytest.raises(ValueError, match=r"b\.png\): The picture is damaged"):
        read(source, streaming=streaming).batch(Randomness(0, "clip", 0, 2))


def test_a_path_to_nowhere_says_where_paths_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"row 0 \(gone\.png\): there is no such file: paths start from {tmp_path}"):
        read(parquet(tmp_path, ["gone.png"], ["x"]))


def test_the_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    def made(name: str, kinds: str, captions: list[str]) -> str:
        cells = [CELLS[kinds](encoded(drawing(number)), f"{number}.png") for number in range(2)]
        return read(parquet(tmp_path / name, cells, captions)).fingerprint

    one = made("a", "tables", ["x", "y"])
    assert one and made("b", "bytes", ["x", "y"]) == one
    assert made("c", "bytes", ["x", "z"]) != one
    rows = [{"image": drawing(number), "caption": caption} for number, caption in enumerate("xy")]
    (tmp_path / "d" / "data").mkdir(parents=True)
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table.to_parquet(tmp_path / "d" / "data" / "train-00000.parquet")
    assert read(tmp_path / "d").fingerprint == one
