"""A folder of pictures: which files count, in what order, and what is left out."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from evaluation.pictures.manifest import is_whole, read_manifest

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".avif")
SUFFIXES += (".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
# What stands beside pictures and is none, so that nobody misses it.
COMPANIONS = (".txt", ".caption", ".json", ".jsonl", ".csv", ".tsv", ".parquet", ".npz", ".md", ".html", ".log")
COMPANIONS += (
    ".cls",
    ".yaml",
    ".yml",
    ".toml",
    ".xml",
    ".ini",
    ".db",
    ".safetensors",
    ".py",
    ".sh",
)


@dataclass(frozen=True)
class FolderContents:
    """What a folder holds.

    Attributes:
        pictures: those that are measured, sorted by path, so that the order is the same on every machine.
        left_out: the paths of what is not measured, by why; what is no picture by its name is not counted.
    """

    folder: Path
    pictures: tuple[Path, ...]
    left_out: Mapping[str, Sequence[str]]

    @property
    def notes(self) -> list[str]:
        """Return what is left out, as a sentence; none where nothing is."""
        if not self.left_out:
            return []
        kinds = [f"{why}: {len(names):,} (as {shown(names[0])})" for why, names in self.left_out.items()]
        return [f"Not measured of {shown(self.folder.name or self.folder)}: {'; '.join(kinds)}."]


def find_pictures(folder: str | Path) -> list[Path]:
    """Return the pictures in and below `folder`; ValueError when nothing is found. See `look_into`."""
    return list(look_into(folder).pictures)


def measured_pictures(folder: str | Path) -> FolderContents:
    """Find what a measuring command takes of a folder: where `generation` drew it those of its manifest, else all.

    ValueError when nothing is found, or a picture of the manifest is missing.
    """
    folder = Path(folder).expanduser()
    manifest = read_manifest(folder)
    if manifest is None:
        return look_into(folder)
    drawn = {row.file: folder / row.file for row in manifest.rows}
    if missing := [name for name, path in drawn.items() if not is_whole(path)]:
        raise ValueError(
            f"{folder} is not complete, {missing[0]} and {len(missing) - 1} more of {len(drawn):,} are missing: repeat "
            f"the command that drew it ({manifest.command})."
        )
    found = look_into(folder)
    strays = [name for path in found.pictures if (name := path.relative_to(folder).as_posix()) not in drawn]
    left_out = {**found.left_out, "pictures that its manifest does not name": strays} if strays else found.left_out
    return FolderContents(folder, tuple(drawn.values()), left_out)


def look_into(folder: str | Path) -> FolderContents:
    """List what is in and below `folder`. Links to folders are entered, each folder once, and never one around it.

    Hidden files and folders are left out, hence also files still being written. ValueError when nothing is found.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: give one that holds pictures.")
    found: dict[str, Path] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    for path in files_below(folder, left_out):
        name = path.relative_to(folder).as_posix()
        if why := _left_out(path):
            left_out[why].append(name)
        elif path.suffix.lower() in SUFFIXES:
            found[name] = path
    left_out = {why: sorted(names) for why, names in sorted(left_out.items())}
    result = FolderContents(folder, tuple(found[name] for name in sorted(found)), left_out)
    if not found:
        reasons = "".join(f" {note}" for note in result.notes)
        raise ValueError(f"{folder} holds no pictures: files ending in {', '.join(SUFFIXES)} are looked for.{reasons}")
    return result


def files_below(folder: Path, left_out: dict[str, list[str]]) -> Iterator[Path]:
    """Yield all files in and below `folder`: its own folders first, then those that links lead to, by their paths."""
    entered = {_identity(place) for place in (folder, *folder.resolve().parents)}
    waiting = [folder]
    while waiting:
        links = []
        for place, folders, files in os.walk(waiting.pop(0), onerror=_raise):
            here = sorted(Path(place, name) for name in folders)
            folders.clear()
            for path in here:
                name = path.relative_to(folder).as_posix()
                if path.name.startswith("."):
                    left_out["hidden folders"].append(name)
                elif path.is_symlink():
                    links.append(path)
                elif (own := _identity(path)) in entered:
                    left_out["folders met before"].append(name)
                else:
                    entered.add(own)
                    folders.append(path.name)
            yield from (Path(place, name) for name in files)
        for path in sorted(links):
            if (own := _identity(path)) in entered:
                left_out["folders met before"].append(path.relative_to(folder).as_posix())
            else:
                entered.add(own)
                waiting.append(path)


def _left_out(path: Path) -> str:
    """Why a file is not measured although somebody may miss it; "" for pictures that are, and for what is none."""
    if path.name.startswith("."):
        return why_left_out(path)
    if path.is_symlink() and not path.exists():
        return "links to nothing"
    if path.suffix.lower() in SUFFIXES:
        return "" if path.is_file() else "what is not a file"
    return why_left_out(path)


def is_picture(path: Path) -> bool:
    """Return whether a file is one that is measured, by its name and kind."""
    return path.suffix.lower() in SUFFIXES and not _left_out(path)


def why_left_out(name: PurePath) -> str:
    """Return why a file of this name is not measured although somebody may miss it, "" for others."""
    suffix = name.suffix.lower()
    if name.name.startswith("."):
        return "hidden files" if {part.lower() for part in name.suffixes} & set(SUFFIXES) else ""
    if suffix in (*SUFFIXES, *COMPANIONS):
        return ""
    return f"files ending in {shown(suffix)}" if suffix else "files without an ending"


def _identity(folder: Path) -> tuple[int, int]:
    entry = folder.stat()
    return entry.st_dev, entry.st_ino


def _raise(error: OSError) -> None:
    raise error


def shown(name: str | Path) -> str:
    """Return a name that every terminal and report can write: bytes that are no UTF-8 become question marks."""
    return os.fsencode(name).decode("utf-8", "replace")
