"""What a caption column may hold, for training and evaluation alike."""

import pytest

from dalle2.datasets.caption_columns import captions_of, clean_caption


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a  cat\n", ["a cat"]),
        (["a cat", " two\tcats "], ["a cat", "two cats"]),
        ({"raw": "a cat", "tokens": ["a", "cat"], "sentid": 0, "imgid": 0}, ["a cat"]),
        ({"raw": ["a cat", "a dog"], "tokens": [["a", "cat"], ["a", "dog"]]}, ["a cat", "a dog"]),
        ([{"raw": "a cat", "sentid": 0}, {"raw": "a dog", "sentid": 1}], ["a cat", "a dog"]),
        ("\ufeffa cat", ["a cat"]),
        ("a cat \U0001f600", ["a cat \U0001f600"]),
    ],
)
def test_every_shape_of_captions(cell: object, expected: list[str]) -> None:
    assert captions_of(cell, "row 3") == expected


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "no caption, but ''"),
        (" \ufeff ", "no caption"),
        (None, "no caption, but None"),
        (7, "no caption, but 7"),
        ([], "an empty list of captions"),
        (["a cat", None], "no caption, but None"),
        ({"raw": []}, "an empty list of captions"),
        ({"tokens": ["a"]}, "no caption, but {'tokens'"),
        ([{"tokens": ["a"]}], "no caption, but None"),
        ([["a cat"]], "no caption, but \\['a cat'\\]"),
        (b"a cat", "no caption, but b'a cat'"),
        ("a\0cat", "a NUL byte"),
        ("a cat \ud83d", "half of a character"),
    ],
)
def test_anything_else_is_refused_and_its_place_named(cell: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"^list.csv, line 4 has {said}"):
        captions_of(cell, "list.csv, line 4")


def test_nothing_else_of_a_caption_changes() -> None:
    assert clean_caption(" A “Cat”, 猫;  café! ", "x") == "A “Cat”, 猫; café!"
