"""What a word on the command line may be, checked before anything heavy is imported."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from dalle2.settings import check_prompt

PICTURE = re.compile(r".+\.(png|jpe?g|webp|gif|bmp|avif|tiff?)", re.IGNORECASE | re.DOTALL)
WEIGHTED = re.compile(r"(?P<content>.+)=(?P<weight>[-+0-9.eE]+)", re.DOTALL)


def whole(text: str) -> int:
    """Return a whole number, as argparse's `type` does."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}.") from None


def numbers(kind: type) -> Callable[[str], list]:
    """Return the `type`, for argparse, of numbers with commas between them."""

    def read(text: str) -> list:
        try:
            return [kind(value) for value in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"takes numbers with commas between them, not {text!r}.") from None

    return read


def picture(name: str) -> Path:
    """Return the file of this name; ValueError unless there is one."""
    path = Path(name).expanduser()
    if path.is_dir():
        raise ValueError(f"{name} is a folder: name one picture.")
    if not path.exists():
        raise ValueError(f"There is no picture {name!r}.")
    return path


def content(text: str) -> str | Path:
    """Return a picture, where the text is the name of a file, or else a prompt; ValueError for neither."""
    if Path(text).expanduser().is_file() or PICTURE.fullmatch(text):
        return picture(text)
    return check_prompt(text)


def part(text: str) -> tuple[str | Path, float]:
    """Read "cat.png=0.7" as the picture and its weight, which is 1 where none is named."""
    if not (match := WEIGHTED.fullmatch(text)):
        named, equals, _ = text.rpartition("=")
        if equals and PICTURE.fullmatch(named):
            raise ValueError(f"The weight in {text!r} is not a number.")
        return content(text), 1.0
    try:
        weight = float(match["weight"])
    except ValueError as error:
        raise ValueError(f"The weight in {text!r} is not a number.") from error
    return content(match["content"]), weight
