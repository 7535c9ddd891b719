"""A folder of pictures and captions, as people keep them, and what is wrong with it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dalle2.finetune.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty pictures without captions."""
    for number in range(20):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    return tmp_path


def captions(folder: Path) -> dict[str, str]:
    return {one.name: one.caption for one in Folder.read(folder).pictures if one.caption}


def test_captions_stand_in_text_files_or_in_a_table(folder: Path) -> None:
    (folder / "03.txt").write_text("\ufeffa  red\ncat\n")
    (folder / "04.txt").write_text(" \n")
    (folder / "metadata.jsonl").write_text('{"file_name": "05.png", "text": "a dog"}\n{"file_name": "06.png"}\n')
    assert captions(folder) == {"03.png": "a red cat", "05.png": "a dog"}
    (folder / "metadata.jsonl").unlink()
    (folder / "metadata.csv").write_text('file_name,caption\n05.png,"a dog, asleep"\n')
    assert captions(folder) == {"03.png": "a red cat", "05.png": "a dog, asleep"}
    (folder / "metadata.csv").write_text('file_name,caption\n05.png,"a dog,\nasleep"\n')
    assert captions(folder)["05.png"] == "a dog, asleep"
    (folder / "metadata.csv").unlink()
    (folder / "metadata.jsonl").write_text('{"file_name": "05.png", "text": "a\u2028dog"}\r\n\r\n')
    assert captions(folder)["05.png"] == "a dog"


def test_what_is_left_out_is_said(folder: Path) -> None:
    (folder / "00.png").write_bytes(b"torn")
    (folder / "stray.txt").write_text("nothing of that name")
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "gone.png", "text": "a cat"}))
    read = Folder.read(folder)
    notes = " ".join(read.notes)
    assert len(read.pictures) == 19
    for part in ("00.png (This is not a picture", "stray.txt is beside no picture", "gone.png", "19 pictures are few"):
        assert part in notes


def test_a_folder_without_enough_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no folder"):
        Folder.read(tmp_path / "nowhere")
    for file in sorted(folder.glob("*.png"))[1:]:
        file.write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"holds 1 picture that can be opened: give at least 8.* Left out, because"):
        Folder.read(folder)


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("metadata.jsonl", "{", "line 1 is not JSON"),
        ("metadata.jsonl", '{"text": "a cat"}', "line 1 names no picture"),
        ("metadata.csv", "text\na cat", "line 2 names no picture"),
        ("metadata.csv", "file_name,text\n01.png,a cat, asleep\n", "line 2 has more values than columns"),
        ("metadata.csv", 'file_name,text\n01.png,"a cat\n02.png,a dog\n', "line 3 is not CSV"),
        ("00.txt", b"\xff\xfe\xff", "is not UTF-8 text"),
        ("00.txt", "a\0b", "NUL"),
    ],
)
def test_a_damaged_caption_names_its_place(folder: Path, name: str, content: str | bytes, sentence: str) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=sentence):
        Folder.read(folder)


def test_two_tables_are_one_too_many(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text("")
    (folder / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(ValueError, match="remove one of them"):
        Folder.read(folder)
