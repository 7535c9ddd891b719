"""Pictures known by what is in them, whatever they are called and wherever they lie."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from evaluation.pictures.members import Readable


def contents_sha256(pictures: Iterable[Path | Readable]) -> str:
    """Return a SHA-256 over those of the pictures' files, in the order of these: names and order do not count."""
    own = sorted(hashlib.sha256(picture.read_bytes()).digest() for picture in pictures)
    return hashlib.sha256(b"".join(own)).hexdigest()
