"""Reference statistics by name: files of this machine, known by their SHA-256, in a list that its users keep.

The list is JSON, {name: {"file": …, "sha256": …, "form": …}}, at $EVALUATION_STATISTICS or in the user's own folder. No
entry comes with this project: a hash is only written of a file that was there.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from dalle2 import hashes
from evaluation.reporting.report import write_text

VARIABLE = "EVALUATION_STATISTICS"


class NamedStatistics(NamedTuple):
    """A file of statistics, and the program whose form it has; "" for ours."""

    file: Path
    sha256: str
    form: str = ""


def place() -> Path:
    """Return where the list lies."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".local" / "share" / "open-dalle2" / "statistics.json"


def find(name: str) -> NamedStatistics | None:
    """Return the statistics of this name, None where there are none; ValueError for a file that has changed since."""
    entry = _entries().get(name)
    if entry is None:
        return None
    try:
        named = NamedStatistics(Path(entry["file"]).expanduser(), entry["sha256"], entry.get("form", ""))
    except (KeyError, TypeError) as error:
        raise ValueError(f"The entry {name} in {place()} needs file and sha256.") from error
    if not named.file.is_file():
        raise ValueError(f"The statistics {name} should lie at {named.file} (so says {place()}), which is not there.")
    if (found := hashes.of_file(named.file)) != named.sha256:
        raise ValueError(
            f"The statistics {name} ({named.file}) are not those that were named: their SHA-256 is {found[:12]}…, not "
            f"{named.sha256[:12]}…. Name them anew if that is meant."
        )
    return named


def names() -> list[str]:
    """Return all names of the list."""
    return sorted(_entries())


def record(name: str, file: Path, form: str = "") -> Path:
    """Name a file of statistics, by the hash that it has now; the list's place. An older entry is replaced."""
    entries = _entries() | {name: {"file": str(file.absolute()), "sha256": hashes.of_file(file), "form": form}}
    place().parent.mkdir(parents=True, exist_ok=True)
    return write_text(place(), json.dumps(entries, indent=2, ensure_ascii=False) + "\n")


def _entries() -> dict[str, dict]:
    if not place().is_file():
        return {}
    try:
        found = json.loads(place().read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{place()}, the list of named statistics, is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{place()}, the list of named statistics, must be an object of names.")
    return found
