"""Which picture belongs to which caption: every way in which a list and a folder can name the same things."""

import csv
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from evaluation.pictures.manifest import Manifest, Row, write_manifest
from evaluation.prompts.blocks import blocks_of
from evaluation.prompts.pairing import Pair, read_pairs

COUNT = 12


def folder_of(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name)
    return folder


def list_of(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([header, *rows])
    return file


def paired(images: Path, prompts: object, num: int | None = None) -> dict[str, str]:
    """Caption -> the path of its picture within the folder."""
    pairs = read_pairs(images, str(prompts), num, 0, "captions").pairs
    return {pair.caption: pair.picture.relative_to(images).as_posix() for pair in pairs}


def right(pattern: str = "{}.png") -> dict[str, str]:
    return {f"thing {i}": pattern.format(i) for i in range(1, COUNT + 1)}


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """1.png … 12.png."""
    return folder_of(tmp_path / "pictures", [f"{i}.png" for i in range(1, COUNT + 1)])


def test_a_stated_file_name_wins_over_the_row_s_number(numbered: Path, tmp_path: Path) -> None:
    rows = [(f"{i}.png", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(numbered, list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)) == right()


def test_a_stated_file_name_wins_over_an_id(numbered: Path, tmp_path: Path) -> None:
    rows = [(i % COUNT + 1, f"real/{i}.jpg", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(numbered, list_of(tmp_path / "list.csv", ("id", "file_name", "caption"), rows)) == right()


def test_coco_s_annotation_ids_are_no_pictures(numbered: Path, tmp_path: Path) -> None:
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(1, COUNT + 1)]
    annotations = [{"id": 2 * i, "image_id": i, "caption": f"thing {i}"} for i in range(1, COUNT + 1)]
    annotations += [{"id": 2 * i - 1, "image_id": i, "caption": f"a thing {i}"} for i in range(1, COUNT + 1)]
    file = tmp_path / "captions_own.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    assert paired(numbered, f"coco:{file}") == right() | {f"a {thing}": name for thing, name in right().items()}


def test_links_into_a_store_are_named_by_the_link(numbered: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for i in range(1, COUNT + 1):  # the store's names are those of other pictures
        (links / f"{i}.png").symlink_to(numbered / f"{i % COUNT + 1}.png")
    rows = [(i, f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(links, list_of(tmp_path / "ids.csv", ("id", "caption"), rows)) == right()
    rows = [(f"{i}.png", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(links, list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)) == right()


def test_padded_names_are_other_names_than_numbers(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "padded", [f"{i:04}.png" for i in range(1, COUNT + 1)])
    rows = [(f"{i:04}.png", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(images, list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)) == right("{:04}.png")
    with pytest.raises(ValueError, match="no picture for any of the 12 prompts"):
        rows = [(i, f"thing {i}") for i in range(1, COUNT + 1)]
        paired(images, list_of(tmp_path / "ids.csv", ("id", "caption"), rows))


def test_ids_name_files_where_the_list_states_no_pictures(numbered: Path, tmp_path: Path) -> None:
    rows = [(i, f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(numbered, list_of(tmp_path / "list.csv", ("id", "caption"), rows)) == right()
    rows = [(i, f"photo-{i}.jpg", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(numbered, list_of(tmp_path / "list.csv", ("id", "file_name", "caption"), rows)) == right()


def test_row_numbers_name_no_files(numbered: Path, tmp_path: Path) -> None:
    text = tmp_path / "prompts.txt"
    text.write_text("".join(f"thing {i}\n" for i in range(1, COUNT + 1)))
    several = tmp_path / "several.jsonl"
    several.write_text("".join(json.dumps({"captions": [f"thing {i}"]}) + "\n" for i in range(1, COUNT + 1)))
    for prompts in (text, several):
        with pytest.raises(ValueError, match="ids are only their places in the list"):
            paired(folder_of(numbered, ["0.png"]), prompts)


def test_whole_paths_tell_pictures_of_one_name_apart(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "pictures", ["a/1.png", "b/1.png", "1.png"])
    rows = [("b/1.jpg", "in b"), ("1.jpg", "in none"), ("a/1.jpg", "in a")]
    file = list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)
    assert paired(images, file) == {"in b": "b/1.png", "in none": "1.png", "in a": "a/1.png"}
    (images / "1.png").unlink()
    with pytest.raises(ValueError, match=r"a/1\.png and b/1\.png in .* may both be the picture of the prompt '1'"):
        paired(images, file)
    (images / "a/1.png").unlink()
    with pytest.raises(ValueError, match=r"has no picture 'a/1\.jpg'"):
        paired(images, list_of(tmp_path / "list.csv", ("file_name", "caption"), [rows[0], rows[2]]))


def test_a_path_may_begin_further_up(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "val2014", ["x.png", "y.png"])
    rows = [("val2014/x.jpg", "ex"), ("val2014/y.jpg", "why")]
    file = list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)
    assert paired(images, file) == {"ex": "x.png", "why": "y.png"}
    assert paired(tmp_path, file) == {"ex": "val2014/x.png", "why": "val2014/y.png"}


def test_two_files_of_one_stem_are_refused_unless_one_is_stated_whole(numbered: Path, tmp_path: Path) -> None:
    folder_of(numbered, ["3.jpg"])
    rows = [(f"{i}.png", f"thing {i}") for i in range(1, COUNT + 1)]
    assert paired(numbered, list_of(tmp_path / "list.csv", ("file_name", "caption"), rows)) == right()
    rows = [(i, f"thing {i}") for i in range(1, COUNT + 1)]
    with pytest.raises(ValueError, match=r"3\.jpg and 3\.png in .* may both be"):
        paired(numbered, list_of(tmp_path / "ids.csv", ("id", "caption"), rows))


def test_one_file_is_not_two_pictures(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "pictures", ["1.png"])
    file = list_of(tmp_path / "list.csv", ("file_name", "caption"), [("1.jpg", "a"), ("1.webp", "b")])
    with pytest.raises(ValueError, match=r"would be the picture '1\.jpg' and '1\.webp' at once"):
        paired(images, file)


def test_a_missing_picture_is_not_replaced_by_that_of_an_id(numbered: Path, tmp_path: Path) -> None:
    (numbered / "7.png").unlink()
    rows = [(i % COUNT + 1, f"{i}.png", f"thing {i}") for i in range(1, COUNT + 1)]
    with pytest.raises(ValueError, match=r"has no picture '7\.png' for the prompt '8'"):
        paired(numbered, list_of(tmp_path / "list.csv", ("id", "file_name", "caption"), rows))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_pair_whichever_way_they_are_written(tmp_path: Path, forms: tuple[str, str]) -> None:
    ours, theirs = (unicodedata.normalize(form, "café") for form in forms)
    images = folder_of(tmp_path / "pictures", [f"{ours}.png"])
    file = list_of(tmp_path / "list.csv", ("file_name", "caption"), [(f"{theirs}.jpg", "coffee")])
    assert paired(images, file) == {"coffee": f"{ours}.png"}


def drawn(folder: Path, prompts: Sequence[tuple[str, str]]) -> Path:
    """What generation leaves: 000000.png is of the first prompt, and the manifest says so."""
    folder_of(folder, [f"{i:06}.png" for i in range(len(prompts))])
    rows = [Row(file=f"{i:06}.png", id=id, caption=text, seed=i) for i, (id, text) in enumerate(prompts)]
    numbers = {"pictures": len(rows), "seed": 0, "picture_size": 4, "batch_size": 1, "compiled": False, "threads": 1}
    words = dict.fromkeys(("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype"), "")
    write_manifest(
        Manifest(**numbers, **words, sampling={}, settings={}, versions={}, command="x", rows=tuple(rows)), folder
    )
    return folder


def test_a_manifest_may_number_its_prompts(tmp_path: Path) -> None:
    text = tmp_path / "prompts.txt"
    text.write_text("a cat\na dog\na house\n")
    images = drawn(tmp_path / "drawn", [("2", "a house"), ("0", "a cat"), ("1", "a dog"), ("1", "a dog")])
    pairs = read_pairs(images, str(text), None, 0, "captions").pairs
    assert [(pair.caption, pair.picture.name) for pair in pairs] == [
        ("a cat", "000001.png"),
        ("a dog", "000002.png"),
        ("a dog", "000003.png"),
        ("a house", "000000.png"),
    ]
    text.write_text("another cat\na dog\na house\n")
    with pytest.raises(ValueError, match="only their places in the list"):
        paired(images, text)


def test_other_captions_of_the_same_ids_are_paired_by_the_manifest(tmp_path: Path) -> None:
    images = drawn(tmp_path / "drawn", [("b", "一只狗"), ("a", "一只猫")])
    file = list_of(tmp_path / "english.csv", ("id", "caption"), [("a", "a cat"), ("b", "a dog")])
    assert paired(images, file) == {"a cat": "000001.png", "a dog": "000000.png"}
    rows = [("a", "000000.png", "a cat"), ("b", "000001.png", "a dog")]
    with pytest.raises(ValueError, match="disagree about which picture is whose"):
        paired(images, list_of(tmp_path / "list.csv", ("id", "file_name", "caption"), rows))


def test_an_unfinished_generation_is_refused(tmp_path: Path) -> None:
    images = drawn(tmp_path / "drawn", [("a", "a cat"), ("b", "a dog")])
    (images / "000001.png").unlink()
    with pytest.raises(ValueError, match=r"not complete, 000001\.png and 0 more of 2 are missing"):
        read_pairs(images, None, None, 0, "captions")
    file = list_of(tmp_path / "list.csv", ("id", "caption"), [("a", "a cat"), ("b", "a dog")])
    with pytest.raises(ValueError, match=r"not complete, 000001\.png is missing"):
        paired(images, file)


def test_what_has_no_prompt_is_told(numbered: Path, tmp_path: Path) -> None:
    (numbered / "13.heic").touch()
    file = list_of(tmp_path / "list.csv", ("id", "caption"), [(i, f"thing {i}") for i in range(1, COUNT - 1)])
    notes = read_pairs(numbered, str(file), None, 0, "captions").notes
    assert notes == (
        "Not measured of pictures: files ending in .heic: 1 (as 13.heic).",
        "Not measured of pictures: pictures without a prompt: 2 (as 11.png).",
    )
    assert len(read_pairs(numbered, str(file), 3, 0, "captions").notes) == 1  # a sample leaves the rest out by wish


def test_a_picture_that_is_its_own_reference_has_no_ceiling(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "pictures", ["1.png", "2.png"])
    file = list_of(images / "metadata.csv", ("file_name", "caption"), [("1.png", "a"), ("2.png", "b")])
    assert [pair.reference for pair in read_pairs(images, str(file), None, 0, "captions").pairs] == [None, None]
    other = folder_of(tmp_path / "drawn", ["1.png", "2.png"])
    pairs = read_pairs(other, str(file), None, 0, "captions").pairs
    assert [(pair.picture, pair.reference) for pair in pairs] == [(other / n, images / n) for n in ("1.png", "2.png")]
    (tmp_path / "way").symlink_to(images)
    assert [p.reference for p in read_pairs(tmp_path / "way", str(file), None, 0, "captions").pairs] == [None, None]


def test_what_shares_a_picture_a_caption_or_a_reference_hangs_together(tmp_path: Path) -> None:
    a, b, c, d, real, copy = (tmp_path / f"{name}.png" for name in ("a", "b", "c", "d", "real", "copy"))
    for number, file in enumerate((a, b, c, d, real)):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(file)
    copy.write_bytes(a.read_bytes())
    pairs = [Pair(a, "one"), Pair(b, "two"), Pair(a, "three"), Pair(c, "four", real), Pair(b, "four")]
    found = blocks_of([*pairs, Pair(d, "five"), Pair(copy, "six")])
    assert found is not None and found.tolist() == [0, 1, 0, 1, 1, 2, 0]
    assert blocks_of(pairs[:2]) is None
