"""Files and folders that appear whole or not at all, also where several processes write into one folder.

All is written under a hidden name of its own (".NAME.1f2e3d4c.partial"), flushed to the disk, then renamed: an error, a
full disk, a kill or a power cut leaves the old one or the new one. Only a kill and a power cut leave the hidden name.
"""

import errno
import glob
import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

# What ends the name of a file rather than that of a folder: pictures, tables, texts, archives, weights.
FILES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".mp4"),
    *(".json", ".jsonl", ".csv", ".tsv", ".parquet", ".md", ".txt", ".html", ".pdf", ".zip", ".tar", ".gz"),
    *(".npz", ".npy", ".safetensors", ".ckpt", ".pt", ".pth", ".onnx", ".toml", ".yaml", ".yml", ".sqlite3"),
)


@contextmanager
def file(path: Path, overwrite: bool = True) -> Generator[Path]:
    """Yield a path beside `path` for the block to write a file to; it becomes `path` when the block ends.

    Missing folders are made, and after an error nothing is left behind.

    Raises:
        FileExistsError: without `overwrite`, when `path` exists by the end of the block. No other process's file is
            replaced, whenever that is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        yield partial
        _flush(partial)
        if overwrite:
            partial.replace(path)
        else:
            _take(path, partial)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Generator[Path]:
    """Yield a new folder beside `path` for the block to fill; it becomes `path` when the block ends.

    Missing parents are made, and after an error nothing is left behind.

    Raises:
        FileExistsError: when `path` is there by the end of the block and is not an empty folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        partial.mkdir()
        yield partial
        for written in partial.rglob("*"):
            if written.is_file():
                _flush(written)
        _rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_writable(folder: Path, option: str = "--out") -> None:
    """ValueError unless files can be written into the folder, which may be one to make; `option` is what names it."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ValueError(f"{there} is not a folder: name another place with {option}.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"Nothing can be written into {there}: name another folder with {option}.")


def check_folder(folder: Path, option: str = "--out") -> None:
    """As `check_writable`, and ValueError for a folder to make whose name is rather that of a file."""
    if folder.suffix.lower() in FILES and not folder.is_dir():
        raise ValueError(f"{folder} is named as a file, and {option} names a folder: leave out {folder.suffix}.")
    check_writable(folder, option)


def check_suffix(path: Path, suffix: str, option: str = "--out") -> None:
    """ValueError unless the file that is to be written is named as what it is."""
    if path.suffix.lower() != suffix:
        named = path.with_suffix(suffix).name if path.name else f"NAME{suffix}"
        raise ValueError(f"{option} writes {suffix}, not {path.suffix or repr(path.name)}: name it {named!r}.")


def partial_path(path: Path) -> Path:
    """Return a hidden name beside `path` that no other process or thread uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


def remove_partials(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left of `name` (or of any) in a folder, for a caller that alone writes it."""
    for partial in folder.glob(f".{'*' if name is None else glob.escape(name)}.*.partial"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the disk hold the contents before the name: otherwise a power cut leaves a whole name of an empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(path: Path, partial: Path) -> None:
    """Give the file its name, which only one process can take."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links: an empty file reserves the name for a moment
        path.open("xb").close()
        partial.replace(path)


def _rename(partial: Path, path: Path) -> None:
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise
