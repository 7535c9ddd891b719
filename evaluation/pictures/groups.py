"""The group of each picture of a place: its folder, or what the place's metadata, or the picture's own, says of it.

Metadata lies in a file for all, as `datasets` has it for folders, or beside each picture, as WebDataset has it: the
files of one name, up to its first dot, are a sample.
"""

import csv
import io
import json
import posixpath
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

FOLDER = "folder"
METADATA = ("metadata.csv", "metadata.jsonl")
FILE_NAMES = ("file_name", "file", "filename", "image")

Read = Callable[[str], bytes | None]  # what a file of the place holds, by its name inside; None where there is none


def first_folders(names: Sequence[str]) -> list[str] | None:
    """Return the first folder in which the pictures of these names differ; None where one lies in none.

    Some programs of Windows write backslashes into a zip.
    """
    parts = [PurePosixPath(name.replace("\\", "/")).parts for name in names]
    if any(len(one) < 2 for one in parts):
        return None
    depth = next((i for i in range(min(map(len, parts)) - 1) if len({one[i] for one in parts}) > 1), 0)
    return [one[depth] for one in parts]


def grouped(place: object, names: Sequence[str], by: str, read: Read) -> list[str] | None:
    """Return the group of each of the pictures of these names inside of a place; None where nothing says it.

    It is the column `by` of a file of metadata, else what the file of the sample with the ending `by` holds (as "cls"),
    else the value of the key `by` in the sample's .json.

    Raises:
        ValueError: something is said of other pictures and not of one, or cannot be read.
    """
    found = _by_metadata(place, names, by, read)
    return _by_samples(place, names, by, read) if found is None else found


def sample_of(name: str) -> tuple[str, str]:
    """Return the sample that a file is of, by its path up to the first dot of its name, and the ending after it."""
    folder, slash, file = name.rpartition("/")
    key, _, ending = file.partition(".")
    return f"{folder}{slash}{key}", ending


def _by_metadata(place: object, names: Sequence[str], column: str, read: Read) -> list[str] | None:
    """Look for the file of metadata at the top of the place, and in the folders that hold all of it."""
    pictures = [PurePosixPath(name) for name in names]
    common = PurePosixPath(posixpath.commonpath([str(picture.parent) for picture in pictures])) if pictures else None
    for folder in [] if common is None else [*reversed(common.parents), common]:
        for file in (folder / name for name in METADATA):
            if (data := read(str(file))) is None:
                continue
            rows = _rows(f"{place}/{file}", data, file.suffix)
            key = next((name for name in FILE_NAMES if rows and name in rows[0]), None)
            if key is None or not any(column in row for row in rows):
                continue
            group = {folder / str(row[key]): str(row[column]) for row in rows if key in row and column in row}
            return _of_all(place, names, [group.get(picture) for picture in pictures], file.name)
    return None


def _by_samples(place: object, names: Sequence[str], by: str, read: Read) -> list[str] | None:
    """Look beside each picture, for a name that ends where its last dot is, then where its first one is."""
    found = []
    for name in names:
        stems = dict.fromkeys((posixpath.splitext(name)[0], sample_of(name)[0]))
        values = (_of_sample(place, posixpath.normpath(stem), by, read) for stem in stems)
        found.append(next((value for value in values if value is not None), None))
    return _of_all(place, names, found, by) if any(value is not None for value in found) else None


def _of_sample(place: object, stem: str, by: str, read: Read) -> str | None:
    data = None if by == "json" else read(f"{stem}.{by}")
    if data is not None:
        return _text(f"{place}/{stem}.{by}", data).strip()
    data = read(f"{stem}.json")
    if data is None:
        return None
    try:
        said = json.loads(_text(f"{place}/{stem}.json", data))
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}/{stem}.json cannot be read: {error}.") from error
    value = said.get(by) if isinstance(said, dict) else None
    return None if value is None else str(value)


def _of_all(place: object, names: Sequence[str], groups: Sequence[str | None], what: str) -> list[str]:
    """Return the groups; ValueError where one is missing."""
    missing = [name for name, group in zip(names, groups, strict=True) if group is None]
    if missing:
        raise ValueError(
            f"{what} of {place} says nothing of {missing[0]} and {len(missing) - 1} more of {len(names):,} pictures."
        )
    return [group for group in groups if group is not None]


def _rows(file: str, data: bytes, suffix: str) -> list[dict]:
    text = _text(file, data)
    try:
        if suffix == ".csv":
            return list(csv.DictReader(io.StringIO(text, newline="")))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error


def _text(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error
