"""A folder of pictures and their captions, as people keep them: text files beside them, or a metadata file."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dalle2 import images
from dalle2.datasets.caption_columns import clean_caption

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif")
METADATA = ("metadata.jsonl", "metadata.csv")
COLUMNS = ("text", "caption", "prompt", "description")  # that a caption is looked for in
LEAST, FEW, MANY = 8, 20, 200  # pictures: refused below, warned below, more than are needed


@dataclass(frozen=True)
class Picture:
    """A picture, RGBA, with its file's name in the folder and its caption, "" where there is none."""

    name: str
    picture: Image.Image
    caption: str


@dataclass(frozen=True)
class Folder:
    """What a folder holds, and sentences on what was left out or is missing."""

    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> "Folder":
        """Read the pictures in a folder, in the order of their names; ValueError where they are too few."""
        if not folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
        captions, notes = _captions(folder)
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
        files = [file for file in files if not file.name.startswith(".")]
        found, broken = [], []
        for file in files:
            try:
                found.append(Picture(file.name, images.open_rgba(file), captions.pop(file.name, "")))
            except (ValueError, OSError) as error:
                captions.pop(file.name, None)
                broken.append(f"{file.name} ({str(error).rstrip('.')})")
        if broken:
            notes.append(f"Left out, because they cannot be opened: {_listed(broken)}.")
        if captions:
            notes.append(f"There are captions of pictures that are not in {folder}: {_listed(list(captions))}.")
        _check_enough(folder, found, notes)
        return cls(tuple(found), tuple(notes))


def _check_enough(folder: Path, found: list[Picture], notes: list[str]) -> None:
    if len(found) < LEAST:
        held = f"{len(found)} picture{'' if len(found) == 1 else 's'} that can be opened"
        reasons = " ".join(["", *notes]) if notes else ""
        raise ValueError(f"{folder} holds {held}: give at least {LEAST}, better {FEW} to {MANY}.{reasons}")
    if len(found) < FEW:
        notes.append(f"{len(found)} pictures are few: {FEW} to {MANY} teach more.")
    if len(found) > MANY:
        notes.append(f"{len(found)} pictures are more than are needed: each is seen less often than of {MANY}.")


def _captions(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return file name -> caption, and what is said of it; ValueError for a metadata file that is damaged."""
    tables = [folder / name for name in METADATA if (folder / name).is_file()]
    if len(tables) > 1:
        raise ValueError(f"{folder} holds {METADATA[0]} and {METADATA[1]}: remove one of them.")
    captions, notes = {}, []
    for table in tables:
        captions |= dict(_rows(table))
    for file in sorted(folder.glob("*.txt")):
        pictures = [one.name for one in folder.glob(f"{_escaped(file.stem)}.*") if one.suffix.lower() in ENDINGS]
        if not pictures:
            notes.append(f"{file.name} is beside no picture of its name, and is not read.")
            continue
        text = _text(file)
        if text.strip():
            captions |= dict.fromkeys(pictures, clean_caption(text, str(file)))
    return captions, notes


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    """Yield file name and caption of each row that has one."""
    text = _text(table)
    if table.suffix == ".csv":
        rows: Any = _cells(text, table)
    else:  # not by splitlines, which would cut captions at signs that JSON allows
        lines = enumerate(text.split("\n"), 1)
        rows = ((number, _parsed(line, table, number)) for number, line in lines if line.strip())
    for number, row in rows:
        where = f"{table}, line {number}"
        if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
            raise ValueError(f"{where} names no picture: it needs file_name, and the caption as {COLUMNS[0]}.")
        caption = next((row[column] for column in COLUMNS if row.get(column)), None)
        if caption is not None:
            yield row["file_name"], clean_caption(caption, where)


def _cells(text: str, table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and row; ValueError for a caption whose comma or quote would cut it, or swallow the rows below."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row:
                where = f"{table}, line {reader.line_num}"
                raise ValueError(f"{where} has more values than columns: put captions in quotes.")
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(
            f"{table}, line {reader.reader.line_num} is not CSV ({error}): put captions in quotes."
        ) from error


def _parsed(line: str, table: Path, number: int) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{table}, line {number} is not JSON: {error}.") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text: save it as such.") from error


def _escaped(stem: str) -> str:
    import glob

    return glob.escape(stem)


def _listed(names: list[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f", and {rest} more" if rest > 0 else "")
