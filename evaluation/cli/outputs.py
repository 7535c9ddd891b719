"""Where a command writes: each file and folder is looked at when its option is read, and nobody else's is replaced."""

import argparse
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from dalle2 import atomic

REPORTS = (".json", ".csv", ".md", ".html")
# What a table of ours begins with; the other formats have provenance.
TABLES = ("key,label", "kind,key", "name,value", "kind,name")  # the last two of older versions


class Refused(argparse.ArgumentTypeError, ValueError):
    """What an option cannot be, in a sentence; argparse shows such a one as it is."""


def report_file(text: str, suffixes: Sequence[str] = REPORTS) -> Path:
    """Return the path if a report can be written there: a known suffix, a folder that takes it, nobody else's file."""
    path = Path(text).expanduser()
    if path.suffix.lower() not in suffixes:
        raise Refused(f"A report is written as {', '.join(suffixes)}: give {path.name!r} one of these endings.")
    return _writable(path, _is_report, "not a report of ours")


def statistics_file(text: str) -> Path:
    """Return the path if statistics can be saved there."""
    path = Path(text).expanduser()
    if path.suffix != ".npz":
        raise Refused(f"Statistics are saved as .npz: let {path.name!r} end so.")
    return _writable(path, _is_statistics, "not statistics of ours")


def answers_file(text: str) -> Path:
    """Return the path if answers can be kept there, or are kept there already."""
    path = Path(text).expanduser()
    if path.suffix != ".jsonl":
        raise Refused(f"Answers are kept as .jsonl: let {path.name!r} end so.")
    return _writable(path, lambda there: '"picture_sha256"' in there.read_text(errors="replace"), "not answers of ours")


def map_file(text: str) -> Path:
    """Return the path if a JSON file of picture paths can be written there."""
    path = Path(text).expanduser()
    if path.suffix != ".json":
        raise Refused(f"The map is written as .json: let {path.name!r} end so.")
    return _writable(path, _is_map, "not a map of ours")


def yaml_file(text: str) -> Path:
    """Return the path if results for the hub can be written there."""
    path = Path(text).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise Refused(f"Results for the hub are written as .yaml: let {path.name!r} end so.")
    return _writable(path, lambda there: "model-index" in there.read_text(errors="replace"), "not results of ours")


def out_folder(text: str) -> Path:
    """Return a folder to write into, there or not yet."""
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise Refused(f"{path} is a file: name a folder.")
    _require_folder(path)
    try:
        atomic.check_folder(path)
    except ValueError as error:
        raise Refused(str(error)) from error
    return path


def keep(outputs: Iterable[Path], inputs: Iterable[object]) -> None:
    """Raise ValueError when a command would write over what it reads; `inputs` that are no files are passed over."""
    there = [path for path in outputs if path.exists()]
    for source in (file for given in inputs if there for file in _files(given)):
        for path in there:
            if path.samefile(source):
                raise ValueError(f"{path} is what this command reads, and would be written over: name another file.")


def _files(given: object) -> list[Path]:
    """Return the files that an option may mean: as a path, as one with a part ("FILE#NAME"), after a kind ("coco:")."""
    text = str(given or "")
    found = []
    for name in dict.fromkeys((text, text.partition("#")[0], text.partition(":")[2])):
        with contextlib.suppress(OSError, ValueError):  # what is no path at all, as a sentence
            if name and (path := Path(name).expanduser()).is_file():
                found.append(path)
    return found


def _writable(path: Path, ours: Callable[[Path], bool], other: str) -> Path:
    if path.is_dir():
        raise Refused(f"{path} is a folder: name a file in it.")
    _require_folder(path.parent)
    if path.exists() and path.stat().st_size and not ours(path):
        raise Refused(f"{path} is there already and is {other}: name another file.")
    return path


def _require_folder(folder: Path) -> None:
    """Check that files can be written into the folder, or into one that is made there."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise Refused(f"{there} is a file, so there can be nothing in it: name another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f"Nothing can be written into {there}: its permissions do not allow it.")


def _is_report(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith(TABLES) if path.suffix.lower() == ".csv" else "provenance" in text.lower()


def _is_map(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and all(isinstance(one, str) and one.endswith(".png") for one in found.values())


def _is_statistics(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as file:
            return "space" in file.files
    except (OSError, ValueError):
        return False
