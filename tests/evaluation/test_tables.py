"""Tables of every format: what is read rightly, and what is refused with its file and line."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from evaluation.prompts.prompt_sets import read_prompts
from evaluation.prompts.tables import read_table, read_text

PARTI = "Prompt\tCategory\tChallenge\tNote\n"
PARTI += 'a red heart, on a table\tArts\tBasic\t\n"G I G G L E" painted as graffiti\tArts\tWriting\tDALL-E\n'


def captions(file: Path, text: str | bytes) -> list[str]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [prompt.caption for prompt in read_prompts(str(file)).prompts]


@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'id,caption\n1,"café, a"\n2,猫\n'),
        ("a.tsv", "id\tcaption\n1\tcafé, a\n2\t猫\n"),
        ("a.jsonl", '{"id": 1, "caption": "café, a"}\n\n{"id": 2, "caption": "猫"}\n'),
        ("a.json", '[{"id": 1, "caption": "café, a"}, {"id": 2, "caption": "猫"}]'),
        ("b.json", '["café, a", "猫"]'),
        ("a.txt", "café, a\n\n猫\r\n"),
    ],
)
def test_every_format_with_and_without_a_byte_order_mark(tmp_path: Path, name: str, text: str, mark: str) -> None:
    assert captions(tmp_path / name, text.encode(mark)) == ["café, a", "猫"]


def test_a_mark_is_taken_from_a_caption_beside_its_picture_and_from_coco(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    (tmp_path / "1.txt").write_bytes("a red heart".encode("utf-8-sig"))
    assert read_prompts(str(tmp_path)).prompts[0].caption == "a red heart"
    table = {"images": [{"id": 0, "file_name": "0.jpg"}], "annotations": [{"id": 0, "image_id": 0, "caption": "a"}]}
    (tmp_path / "captions.json").write_bytes(json.dumps(table).encode("utf-8-sig"))
    (prompt,) = read_prompts(f"coco:{tmp_path / 'captions.json'}").prompts
    assert (prompt.id, prompt.picture, prompt.caption) == ("0", "0.jpg", "a")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,caption\n1,a red heart, on a table\n2,a cat\n", "line 2 has 3 values for 2 columns: a value wi"),
        ("a.csv", "id,caption,style\n1,a cat,noto\n2,a dog\n", "line 3 has 2 values for 3 columns"),
        ("a.csv", 'id,caption\n1,"a\ncat"\n2,"a dog\n3,a house\n', r"line 4 is not CSV \(unexpected end of data\)"),
        ("a.csv", 'id,caption\n1,"A cat" she said\n', "line 2 is not CSV"),
        ("a.csv", "id,caption,caption\n1,a,b\n", "two columns 'caption'"),
        ("a.csv", b"id,caption\n1,a\n2,caf\xe9\n", "line 3: the byte 0xe9 is not UTF-8"),
        ("a.csv", b"id,caption\n1,a\0b\n", "line 2 has a NUL byte"),
        ("a.tsv", "id\tcaption\n1\ta\tb\n", "line 2 has 3 values for 2 columns: a row is a line"),
        ("a.tsv", b"id\tcaption\n1\tcaf\xe9\n", "line 2: the byte 0xe9 is not UTF-8"),
        ("a.jsonl", '{"caption": "a"}\n{"caption": "a cat \\ud83d"}\n', "line 2 has half of a character"),
        ("a.jsonl", '{"caption": "a"}\n{"caption": "a\\u0000"}\n', "line 2 has a NUL byte"),
        ("a.jsonl", b'{"caption": "caf\xe9"}\n', "line 1: the byte 0xe9 is not UTF-8"),
        ("a.jsonl", '{"id": true, "caption": "a"}\n', "line 1: id is a text or a whole number, not True"),
        ("a.jsonl", '{"id": "\\ud83d", "caption": "a"}\n', "line 1: id '.ud83d' holds what no text has"),
        ("a.jsonl", '{"id": ' + "[" * 100_000, "line 1 is not JSON"),
        ("a.json", '["a cat", 7]', "entry 1 is neither a table"),
        ("a.json", '["a cat", "a \\ud83d"]', "entry 1 has half of a character"),
        ("a.json", '{"images": []}', "named coco:"),
        ("a.txt", b"a cat\ncaf\xe9\n", "line 2: the byte 0xe9 is not UTF-8"),
        ("a.txt", b"a cat\na d\0og\n", "line 2 has a NUL byte"),
        ("a.txt", "a cat\nb\ta dog\n", "line 2 is a row of a table"),
        ("a.txt", "image,caption\n1.jpg,a dog\n", "line 1 is a row of a table"),
        ("a.txt", "\n \n", "is empty"),
        ("a.parquet", b"PAR1", "is not a Parquet file"),
    ],
)
def test_what_is_malformed_is_refused_with_file_and_line(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        captions(tmp_path / name, text)
    assert name in str(refusal.value)


def test_a_latin_1_caption_beside_its_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    (tmp_path / "1.txt").write_bytes(b"a\nred caf\xe9")
    with pytest.raises(ValueError, match=r"1\.txt, line 2: the byte 0xe9 is not UTF-8"):
        read_prompts(str(tmp_path))


def test_a_parquet_row_names_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"caption": "a"}, {"caption": None}]), file)
    with pytest.raises(ValueError, match="row 1 has no caption, but None"):
        read_prompts(str(file))


def test_parti_prompts_and_their_quotes(tmp_path: Path) -> None:
    file = tmp_path / "PartiPrompts.tsv"
    expected = ["a red heart, on a table", '"G I G G L E" painted as graffiti']
    assert captions(file, PARTI) == expected
    assert [(prompt.id, prompt.numbered) for prompt in read_prompts(str(file)).prompts] == [("0", True), ("1", True)]


def test_a_spreadsheet_s_quotes_in_tsv(tmp_path: Path) -> None:
    assert captions(tmp_path / "a.TSV", 'caption\tn\n"A sign ""Hi"", red"\t1\n') == ['A sign "Hi", red']


def test_quoted_line_breaks_and_quotes_within_values_stay(tmp_path: Path) -> None:
    text = 'id,caption\n1,"a\ncat, ""black"""\n2,a 6" pizza\n\n'
    assert captions(tmp_path / "a.csv", text) == ['a cat, "black"', 'a 6" pizza']


def test_picture_0_is_a_picture(tmp_path: Path) -> None:
    rows = [{"id": f"c{i}", "image_id": i // 2, "caption": f"picture {i // 2}"} for i in range(4)]
    jsonl, parquet = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), parquet)
    for file in (jsonl, parquet):
        assert [prompt.picture for prompt in read_prompts(str(file)).prompts] == ["0", "0", "1", "1"]
        assert len(read_prompts(str(file), 2, sampling="pictures").prompts) == 2


def test_columns_that_only_later_rows_have(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"caption": "a"}\n{"caption": "b", "file_name": "2.png"}\n')
    assert [prompt.picture for prompt in read_prompts(str(file)).prompts] == ["", "2.png"]


def test_whole_numbers_that_a_table_made_floats_of(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    rows = [{"caption": "a", "image_id": 7.0}, {"caption": "b", "image_id": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    assert [prompt.picture for prompt in read_prompts(str(file)).prompts] == ["7", ""]


def test_two_metadata_files_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,caption\n1.png,a\n")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "1.png", "caption": "b"}\n')
    with pytest.raises(ValueError, match=r"holds metadata\.jsonl and metadata\.csv"):
        read_prompts(str(tmp_path))


def test_places_count_lines_and_not_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('caption\n"a\nb"\n\nc\n')
    assert [(where.rpartition(", ")[2], row["caption"]) for where, row in read_table(file)] == [
        ("line 2", "a\nb"),
        ("line 5", "c"),
    ]


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("\ufeffa\r\nb".encode())
    assert read_text(file) == "a\r\nb"
