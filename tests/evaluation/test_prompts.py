"""Prompt sets: every kind of source, cleaned captions, samples by a fixed seed, errors of one sentence."""

import csv
import hashlib
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from evaluation.cli.generation import parse
from evaluation.pictures.manifest import Manifest, Row, write_manifest
from evaluation.prompts import Sampling
from evaluation.prompts.prompt_sets import PromptSet, read_chosen, read_prompts

SHARED = Path(__file__).parents[3] / "shared"
needs_coco = pytest.mark.skipif(not (SHARED / "coco-mini").is_dir(), reason="../shared/coco-mini is not here")
needs_lists = pytest.mark.skipif(not (SHARED / "coco-captions").is_dir(), reason="../shared/coco-captions is not here")


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def coco_table(pictures: int = 4, captions: int = 5) -> dict[str, object]:
    """Captions in an order that is not that of their ids, with blanks and line breaks."""
    images = [{"id": 10 + i, "file_name": f"COCO_val2014_{10 + i:012}.jpg"} for i in range(pictures)]
    annotations = [
        {"id": 100 * i + j, "image_id": 10 + i, "caption": f" Picture {i},\n\tcaption  {j}. "}
        for j in reversed(range(captions))
        for i in range(pictures)
    ]
    return {"images": images, "annotations": annotations}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO folder of four pictures with five captions each."""
    folder, table = tmp_path / "coco", coco_table()
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "captions_val2014.json").write_text(json.dumps(table))
    for image in table["images"]:
        picture(folder / "val2014" / image["file_name"])
    return folder


def lot(seed: int, sampling: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {sampling} {name}".encode()).digest()


def test_a_coco_folder(coco: Path) -> None:
    found = read_prompts(f"coco:{coco}")
    assert found.name == "coco val2014" and len(found.prompts) == 20
    first = found.prompts[0]
    assert (first.id, first.caption) == ("0", "Picture 0, caption 0.")
    assert first.reference == coco / "val2014" / "COCO_val2014_000000000010.jpg"
    assert [prompt.id for prompt in found.prompts] == [str(100 * i + j) for i in range(4) for j in range(5)]
    lines = "".join(json.dumps([prompt.id, prompt.caption]) + "\n" for prompt in found.prompts)
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_coco_2017_and_a_caption_file_alone(coco: Path) -> None:
    file = coco / "annotations" / "captions_val2017.json"
    (coco / "annotations" / "captions_val2014.json").rename(file)
    with_folder, with_file = read_prompts(f"coco:{coco}"), read_prompts(f"coco:{file}")
    assert with_folder.name == "coco val2017" and with_folder == with_file
    assert all(prompt.reference is None for prompt in with_file.prompts)  # val2017/ is not there


def test_both_meanings_of_n_captions(coco: Path) -> None:
    source = f"coco:{coco}"
    captions = read_prompts(source, 7, seed=3)
    ids = sorted((str(100 * i + j) for i in range(4) for j in range(5)), key=lambda id: lot(3, "captions", id))
    assert [prompt.id for prompt in captions.prompts] == ids[:7]
    pictures = read_prompts(source, 4, seed=3, sampling="pictures")
    assert len({prompt.picture for prompt in pictures.prompts}) == 4
    for prompt in pictures.prompts:
        same = [id for id in ids if int(id) // 100 == int(prompt.id) // 100]
        assert prompt.id == same[0]
    assert captions.sampling["of"] == "captions" and "twice" in captions.sampling["meaning"]
    assert pictures.sampling["of"] == "pictures" and "each of N pictures" in pictures.sampling["meaning"]
    assert len(read_prompts(source, sampling="pictures").prompts) == 4


@pytest.mark.parametrize("sampling", ["captions", "pictures"])
def test_a_smaller_sample_begins_a_larger_one(coco: Path, sampling: Sampling) -> None:
    larger = read_prompts(f"coco:{coco}", 4, 1, sampling)
    assert read_prompts(f"coco:{coco}", 2, 1, sampling).prompts == larger.prompts[:2]
    assert larger.sha256 == read_prompts(f"coco:{coco}", 4, 1, sampling).sha256
    assert larger.sha256 != read_prompts(f"coco:{coco}", 4, 2, sampling).sha256


def test_repeated_prompts(coco: Path) -> None:
    once = read_prompts(f"coco:{coco}", 3)
    twice = once.repeated(2)
    assert [prompt.id for prompt in twice.prompts] == [prompt.id for prompt in once.prompts for _ in range(2)]
    assert twice.sampling["pictures_per_prompt"] == 2 and once.repeated(1) is once
    with pytest.raises(ValueError, match="at least once"):
        once.repeated(0)


@needs_coco
def test_the_real_coco_folder() -> None:
    captions = read_prompts(f"coco:{SHARED / 'coco-mini'}")
    assert captions.name == "coco val2017" and len(captions.prompts) == 395
    assert all(prompt.reference.is_file() for prompt in captions.prompts)
    assert len(read_prompts(f"coco:{SHARED / 'coco-mini'}", 79, sampling="pictures").prompts) == 79


@needs_lists
def test_the_published_30k_list() -> None:
    file = SHARED / "coco-captions" / "coco30k.csv"
    found = read_prompts(str(file))
    with file.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    assert [(prompt.id, prompt.picture) for prompt in found.prompts] == [(row[0], row[1]) for row in rows]
    assert all(prompt.caption == " ".join(row[2].split()) for prompt, row in zip(found.prompts, rows, strict=True))
    assert sum(prompt.caption != row[2] for prompt, row in zip(found.prompts, rows, strict=True)) == 683
    with pytest.raises(ValueError, match="22,320 pictures to draw from, not 30,000"):
        read_prompts(str(file), 30_000, sampling="pictures")
    by_protocol = chosen("--prompts", str(file), "--protocol", "coco30k-256")
    assert set(by_protocol.prompts) == set(found.prompts) and by_protocol.sampling["protocol"] == "coco30k-256"


@needs_lists
def test_all_captions_of_2017() -> None:
    found = read_prompts(f"coco:{SHARED / 'coco-captions' / 'captions_val2017.json'}")
    assert len(found.prompts) == 25_014
    assert not any("  " in prompt.caption or "\n" in prompt.caption for prompt in found.prompts)


def test_karpathys_split(tmp_path: Path) -> None:
    images = [
        {
            "filepath": "val2014",
            "filename": f"{split}.jpg",
            "split": split,
            "sentences": [{"raw": f"{split}  {i}", "sentid": 10 * number + i} for i in range(2)],
        }
        for number, split in enumerate(("test", "val"))
    ]
    file = tmp_path / "dataset_coco.json"
    file.write_text(json.dumps({"images": images}))
    picture(tmp_path / "val2014" / "test.jpg")
    found = read_prompts(f"karpathy:{file}")
    assert found.name == "karpathy test"
    assert [(p.id, p.caption, p.reference.name) for p in found.prompts] == [
        ("0", "test 0", "test.jpg"),
        ("1", "test 1", "test.jpg"),
    ]
    assert read_prompts(f"karpathy:{file}:val").prompts[0].reference is None
    with pytest.raises(ValueError, match="no captions of the split 'restval'"):
        read_prompts(f"karpathy:{file}:restval")


ROWS = [{"id": "a", "caption": 'One, "two"\nthree', "reference": "one.png"}]
ROWS += [{"id": "b", "caption": "四  五", "reference": "sub/two.png"}]


def write_list(rows: list[dict], file: Path) -> Path:
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    else:
        with file.open("w", newline="", encoding="utf-8-sig") as lines:  # as spreadsheets write it
            writer = csv.DictWriter(lines, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return file


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_lists_with_and_without_pictures(tmp_path: Path, suffix: str) -> None:
    file = write_list(ROWS, tmp_path / f"list{suffix}")
    found = read_prompts(str(file)).prompts
    assert [(prompt.id, prompt.caption) for prompt in found] == [("a", 'One, "two" three'), ("b", "四 五")]
    assert [prompt.reference for prompt in found] == [None, None]
    picture(tmp_path / "one.png")
    with pytest.raises(
        ValueError, match=r"1 of the 2 described pictures .* the first is .*two\.png, of the prompt 'b'"
    ):
        read_prompts(str(file))
    picture(tmp_path / "sub" / "two.png")
    assert [prompt.reference for prompt in read_prompts(str(file)).prompts] == [
        tmp_path / "one.png",
        tmp_path / "sub" / "two.png",
    ]


def test_columns_are_named_and_several_captions_a_row(tmp_path: Path) -> None:
    rows = [{"key": 7, "said": ["a", " b "], "image": "x"}, {"key": 8, "said": ["c"], "image": "y"}]
    file = write_list(rows, tmp_path / "list.jsonl")
    found = read_prompts(f"{file}#caption=said,id=key").prompts
    assert [(p.id, p.caption, p.picture) for p in found] == [("7-0", "a", "7"), ("7-1", "b", "7"), ("8-0", "c", "8")]
    named = read_prompts(f"{file}#caption=said,reference=image").prompts
    assert [(prompt.id, prompt.picture) for prompt in named] == [("0-0", "x"), ("0-1", "x"), ("1-0", "y")]
    with pytest.raises(ValueError, match="no column 'word': it has 'key', 'said', 'image'"):
        read_prompts(f"{file}#caption=word")
    with pytest.raises(ValueError, match="no column of captions"):
        read_prompts(str(file))


def test_a_set_of_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    folder.mkdir()
    rows = [{"imgid": 3, "sentences": {"raw": ["a  crow", "a rook"]}}, {"imgid": 4, "sentences": {"raw": ["a jay"]}}]
    write_list(rows, folder / "train.parquet")
    found = read_prompts(f"hub:{folder}:train#id=imgid")
    assert found.name == "hub birds train"
    assert [(prompt.id, prompt.caption) for prompt in found.prompts] == [
        ("3-0", "a crow"),
        ("3-1", "a rook"),
        ("4-0", "a jay"),
    ]
    for source, expected in [
        (f"hub:{folder}:test", "Bad split: test"),
        (f"hub:{folder}:train#caption=x", "no column 'x'"),
        (f"hub:{folder}/absent:train", "cannot read the split 'train'"),
    ]:
        with pytest.raises(ValueError, match=expected):
            read_prompts(source)


def test_the_emoji_test_split(tmp_path: Path) -> None:
    found = read_prompts("emoji")
    assert found.name == "emoji test split" and len(found.prompts) == 736
    assert found.prompts[0].caption == "keycap: #, twemoji style"
    assert all(prompt.reference is None for prompt in found.prompts)
    for prompt in found.prompts:
        (tmp_path / prompt.picture).touch()
    assert read_prompts(f"emoji:{tmp_path}").prompts[2].reference == tmp_path / "0032-20e3-noto-v1.png"
    with pytest.raises(ValueError, match="holds no picture of the emoji test split"):
        read_prompts(f"emoji:{tmp_path / 'absent'}")


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "b.PNG")
    picture(tmp_path / "sub" / "a.png")
    (tmp_path / "b.txt").write_text("a bee\n")
    with pytest.raises(ValueError, match=r"a\.png has no caption: write it into a\.txt"):
        read_prompts(str(tmp_path))
    (tmp_path / "sub" / "a.txt").write_text("an ant")
    (tmp_path / "c.heic").touch()
    assert read_prompts(str(tmp_path)).notes[0].endswith("files ending in .heic: 1 (as c.heic).")
    found = read_prompts(str(tmp_path)).prompts
    assert [(p.id, p.caption, p.reference) for p in found] == [
        ("b.PNG", "a bee", tmp_path / "b.PNG"),
        ("sub/a.png", "an ant", tmp_path / "sub" / "a.png"),
    ]
    rows = [{"file_name": "b.PNG", "caption": "a wasp"}, {"file_name": "sub/a.png", "caption": "a fly"}]
    write_list(rows, tmp_path / "metadata.jsonl")
    assert [(p.caption, p.reference) for p in read_prompts(str(tmp_path)).prompts] == [
        ("a wasp", tmp_path / "b.PNG"),
        ("a fly", tmp_path / "sub" / "a.png"),
    ]


def test_a_drawn_folder_gives_its_prompts_again(tmp_path: Path) -> None:
    real = tmp_path / "real.jpg"
    picture(real)
    rows = [Row(file="000000.png", id="x", caption="a", seed=0, reference=str(real))]
    rows += [Row(file="000001.png", id="x", caption="a", seed=1, reference=str(real))]
    rows += [Row(file="000002.png", id="y", caption="b", seed=2)]
    numbers = {"pictures": 3, "seed": 0, "picture_size": 8, "batch_size": 1, "compiled": False, "threads": 1}
    words = dict.fromkeys(("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype"), "")
    manifest = Manifest(**numbers, **words, sampling={}, settings={}, versions={}, command="", rows=tuple(rows))
    write_manifest(manifest, tmp_path)
    found = read_prompts(str(tmp_path)).prompts
    assert [(prompt.id, prompt.caption) for prompt in found] == [("x", "a"), ("y", "b")]
    assert [prompt.reference for prompt in found] == [real, None]
    real.unlink()
    moved = read_prompts(str(tmp_path))
    assert [prompt.reference for prompt in moved.prompts] == [None, None]
    assert moved.notes[0].startswith(f"None of the 1 described pictures can be found, the first is {real}")


def test_only_the_sampled_pictures_of_coco_are_needed(coco: Path) -> None:
    source, pictures = f"coco:{coco}", sorted((coco / "val2014").iterdir())
    sampled = read_prompts(source, 2, sampling="pictures")
    others = {path.name for path in pictures} - {prompt.picture for prompt in sampled.prompts}
    for name in others:
        (coco / "val2014" / name).unlink()
    again = read_prompts(source, 2, sampling="pictures")
    assert again == sampled and all(prompt.reference.is_file() for prompt in again.prompts)
    with pytest.raises(ValueError, match="2 of the 4 described pictures cannot be found"):
        read_prompts(source)


def test_names_with_accents_are_found_whichever_way_they_are_written(tmp_path: Path) -> None:
    picture(tmp_path / "cafe\u0301.png")  # as a Mac writes it
    file = write_list([{"caption": "a", "file_name": "caf\u00e9.png"}], tmp_path / "list.csv")
    assert read_prompts(str(file)).prompts[0].reference == tmp_path / "cafe\u0301.png"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.pop("annotations"), "no COCO caption file"),
        (lambda table: table["annotations"][0].pop("caption"), "no COCO caption file"),
        (lambda table: table["annotations"][0].update(image_id=1), r"1 captions .* pictures that it does not list"),
        (lambda table: table["images"][0].update(id=table["images"][1]["id"]), "two pictures have one id"),
        (lambda table: table["annotations"][0].update(caption=" \n"), "has no caption"),
        (lambda table: table["annotations"][0].update(caption=None), "has no caption"),
        (lambda table: table["annotations"][0].update(id=table["annotations"][1]["id"]), "two prompts with the id"),
        (lambda table: table["annotations"].clear(), "has no prompts"),
        (
            lambda table: table["images"][0].update(file_name="absent.jpg"),
            "1 of the 4 described pictures cannot be found",
        ),
    ],
)
def test_a_malformed_caption_file(coco: Path, change: object, expected: str) -> None:
    table = coco_table()
    change(table)
    (coco / "annotations" / "captions_val2014.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=expected):
        read_prompts(f"coco:{coco}")


def test_an_incomplete_coco_folder(coco: Path, tmp_path: Path) -> None:
    file = coco / "annotations" / "captions_val2014.json"
    file.with_name("captions_val2017.json").write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="holds two caption files: choose one"):
        read_prompts(f"coco:{coco}")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="not JSON, perhaps because a download broke off"):
        read_prompts(f"coco:{file}")
    with pytest.raises(ValueError, match="holds neither annotations"):
        read_prompts(f"coco:{tmp_path}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ('{"caption": "a"}\n{"caption"', "line 2 is not JSON"),
        ("[1]", "line 1 is not a table"),
        ('{"caption": 3}', "list.jsonl, line 1 has no caption, but 3"),
        ('{"id": "a", "caption": "x"}\n{"caption": "y"}', "list.jsonl, line 2 has no id"),
        ('{"id": "a", "caption": "x"}\n{"id": "a", "caption": "y"}', "two prompts with the id 'a'"),
    ],
)
def test_a_malformed_list(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_prompts(str(file))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nowhere", "no prompts at 'nowhere': give coco:FOLDER"),
        ("coco:nowhere", "neither a COCO folder nor a caption file"),
        ("karpathy:nowhere.json", "no file nowhere.json"),
        ("emoji#caption=x", "Columns are named for lists"),
        ("list.csv#colour=x", "after # come id="),
    ],
)
def test_unknown_sources(source: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=expected):
        read_prompts(source)


def test_numbers_that_cannot_be_drawn(coco: Path) -> None:
    for num, expected in [(0, "--num must be 1 or more"), (21, "20 captions to draw from, not 21")]:
        with pytest.raises(ValueError, match=expected):
            read_prompts(f"coco:{coco}", num)
    assert len(read_prompts(f"coco:{coco}", 1).prompts) == 1
    with pytest.raises(ValueError, match="4 pictures to draw from, not 5"):
        read_prompts(f"coco:{coco}", 5, sampling="pictures")


def test_captions_of_unknown_pictures_cannot_be_one_a_picture(tmp_path: Path) -> None:
    file = write_list([{"caption": "a"}, {"caption": "b"}], tmp_path / "list.csv")
    with pytest.raises(ValueError, match="does not say which picture the prompt '0' describes"):
        read_prompts(str(file), sampling="pictures")


def chosen(*arguments: str) -> PromptSet:
    """The prompts that a command line asks for."""
    options = parse([*arguments, "--out", "anywhere"])
    return read_chosen(options.prompts, options.num, options.sampling_seed, options.sampling, options.protocol)


def test_a_protocol_fixes_the_sample(coco: Path) -> None:
    for other in (["--num", "100"], ["--sampling-seed", "1"]):
        with pytest.raises(ValueError, match="coco30k-256 fixes 30,000 prompts of seed 0"):
            chosen("--prompts", f"coco:{coco}", "--protocol", "coco30k-256", *other)
    with pytest.raises(ValueError, match="20 captions to draw from, not 30,000"):
        chosen("--prompts", f"coco:{coco}", "--protocol", "coco30k-256")
