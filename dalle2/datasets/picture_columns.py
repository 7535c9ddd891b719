"""What a picture column may hold: pictures as `datasets`, pandas, pyarrow and img2dataset write them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import fsspec
from PIL import Image

from dalle2 import images


def open_cell(cell: object, where: str, folder: Path) -> tuple[Image.Image, bytes]:
    """Return the RGBA picture in a cell of a picture column, opened as `images` opens any, and a digest of its content.

    A cell holds an encoded file, its path, a table of both (`bytes`, `path`), or an opened picture.

    Args:
        where: what to begin the sentence of a refusal with. folder: from where paths start that are not absolute.

    Raises:
        ValueError: it holds anything else, or what it holds is no whole picture.
    """
    if isinstance(cell, Image.Image):
        picture = images.to_rgba(cell)
        return picture, hashlib.sha256(picture.tobytes()).digest()
    name, data = described(cell), _data(cell)
    place = f"{where} ({name})" if name else where
    try:
        if data is None:
            data = _read(name, folder)
        return images.open_rgba(data), hashlib.sha256(data).digest()
    except (ValueError, OSError) as error:
        raise ValueError(f"{place}: {error}") from error


def described(cell: object) -> str:
    """Return the name of the file that a cell holds, "" where it is not known."""
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    return path if isinstance(path, str) else ""


def _data(cell: object) -> bytes | None:
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else None


def _read(name: str, folder: Path) -> bytes:
    if not name:
        raise ValueError("there is no picture, which would be an encoded file, its path, or both.")
    if "://" in name:  # in an archive or on a server, as a stream names it
        with fsspec.open(name) as file:
            return file.read()
    path = folder / Path(name).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no such file: paths start from {folder.absolute()}.")
    return path.read_bytes()


def fingerprint_of(digests: Sequence[bytes], words: Sequence[object]) -> str:
    """Return the SHA-256 over all pictures, as their files are, and what is said of them, in the source's order."""
    text = json.dumps(words, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(b"".join(digests) + text.encode()).hexdigest()
