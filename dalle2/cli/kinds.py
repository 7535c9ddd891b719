"""What a word on the command line may be: for argparse's `type`, each checked before anything heavy is imported."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dalle2.settings import check_prompt

PICTURE = re.compile(r".+\.(png|jpe?g|webp|gif|bmp|avif|tiff?)", re.IGNORECASE | re.DOTALL)
WEIGHTED = re.compile(r"(?P<content>.+)=(?P<weight>[-+0-9.eE]+)", re.DOTALL)


def _told(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same, whose ValueError argparse passes on as it is."""

    def kind(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return kind


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {text!r}.") from None


def numbers(kind: type) -> Callable[[str], list]:
    """Numbers of this kind with commas between them."""

    def read(text: str) -> list:
        try:
            return [kind(value) for value in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(f"takes numbers with commas between them, not {text!r}.") from None

    return read


def find_picture(name: str) -> Path:
    """The file of this name; ValueError unless there is one."""
    path = Path(name).expanduser()
    if path.is_dir():
        raise ValueError(f"{name} is a folder: name one picture.")
    if not path.exists():
        raise ValueError(f"There is no picture {name}.")
    return path


def _name_picture(name: str) -> Path:
    find_picture(name)
    return Path(name)


def _find_folder(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_dir():
        raise ValueError(f"There is no folder {name}.")
    return path


def _content(text: str) -> str | Path:
    if Path(text).expanduser().is_file() or PICTURE.fullmatch(text):
        return find_picture(text)
    return check_prompt(text)


def _part(text: str) -> tuple[str | Path, float]:
    if not (match := WEIGHTED.fullmatch(text)):
        return _content(text), 1.0
    try:
        weight = float(match["weight"])
    except ValueError as error:
        raise ValueError(f"The weight in {text!r} is no number.") from error
    return _content(match["content"]), weight


picture = _told(find_picture)
picture_name = _told(_name_picture)  # as it was written
folder = _told(_find_folder)
prompt = _told(check_prompt)
content = _told(_content)  # a picture, where the text is the name of a file, or else a prompt
part = _told(_part)  # "cat.png=0.7": a content and its weight, which is 1 where none is named


class Words(argparse.Action):
    """A prompt whose words may have been written without quotes."""

    def __call__(self, _: argparse.ArgumentParser, options: argparse.Namespace, values: Any, *__: Any) -> None:
        try:
            setattr(options, self.dest, [check_prompt(" ".join(values))])
        except ValueError as error:
            raise argparse.ArgumentError(None, str(error)) from error


class Ends(argparse.Action):
    """Two contents or more."""

    def __call__(self, _: argparse.ArgumentParser, options: argparse.Namespace, values: Any, *__: Any) -> None:
        if len(values) < 2:
            raise argparse.ArgumentError(None, "An interpolation needs at least two ends, pictures or prompts.")
        setattr(options, self.dest, values)
