"""The group of each picture of a folder, from the metadata file that lies in it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

METADATA = ("metadata.csv", "metadata.jsonl")
FILE_NAMES = ("file_name", "file", "filename", "image")


def grouped_by_metadata(folder: Path, names: Sequence[str], column: str) -> list[str] | None:
    """Return the value of a column for each of the pictures' names; None where no file of metadata has the column.

    ValueError for a picture that the file does not name.
    """
    for file in (folder / name for name in METADATA):
        if not file.is_file():
            continue
        rows = _rows(file)
        key = next((name for name in FILE_NAMES if rows and name in rows[0]), None)
        if key is None or column not in rows[0]:
            continue
        group = {str(row[key]): str(row.get(column)) for row in rows}
        if missing := [name for name in names if name not in group]:
            raise ValueError(f"{file} says nothing of {missing[0]} and {len(missing) - 1} more pictures.")
        return [group[name] for name in names]
    return None


def _rows(file: Path) -> list[dict]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines)) if file.suffix == ".csv" else [json.loads(line) for line in lines]
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error
