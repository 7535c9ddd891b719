"""SHA-256 of files: how a record names a checkpoint, a LoRA or the weights of a metric's network."""

import hashlib
from collections.abc import Mapping
from pathlib import Path


def of_file(file: Path) -> str:
    """Return the file's SHA-256, hexadecimal; it is never held in memory as a whole."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_files(hashes: Mapping[str, str]) -> str:
    """Return one hash of many files, given each one's by its relative path: SHA-256 over the lines "PATH HASH".

    The order counts: sort before.
    """
    return hashlib.sha256("".join(f"{path} {own}\n" for path, own in hashes.items()).encode()).hexdigest()
