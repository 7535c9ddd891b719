"""Files that appear whole or not at all, also where several processes write into one folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """A temporary file's path beside `path`, for the block to write; it becomes `path` when the block ends.

    Missing folders are made, and after an error nothing is left behind.

    Raises:
        FileExistsError: without `overwrite`, when `path` exists by the end of the block. No other process's file is
            replaced, whenever that is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if overwrite:
            partial.replace(path)
        else:
            _take(path, partial)
    finally:
        partial.unlink(missing_ok=True)


def _take(path: Path, partial: Path) -> None:
    """Give the file its name, which only one process can take."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links: an empty file reserves the name for a moment
        path.open("xb").close()
        partial.replace(path)
