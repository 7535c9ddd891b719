"""API keys: a file of their hashes, who sends one, and how much each may ask for.

A line of the file is `NAME SHA256 REQUESTS_PER_MINUTE PICTURES_AT_A_TIME`, and `operator` at its end lets a key see
the counts; # begins a comment. A key is 32 random
bytes, so that a plain SHA-256 cannot be undone.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2 import atomic

PREFIX = "sk-"
PER_MINUTE, PICTURES = 60, 20
OPERATOR = "operator"
NAME = re.compile(r"[\w.@-]{1,64}")


@dataclass(frozen=True)
class Key:
    """Who has a key, its SHA-256 in hexadecimal, its limits, and whether it is an operator's, who sees the counts.

    The limits are requests a minute, and pictures at a time.
    """

    name: str
    sha256: str
    per_minute: int = PER_MINUTE
    pictures: int = PICTURES
    operator: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"A key's name has 1 to 64 letters, digits and . _ @ -, unlike {self.name!r}.")
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"The hash of the key {self.name} is not a SHA-256 in hexadecimal.")
        if self.per_minute < 1 or self.pictures < 1:
            raise ValueError(f"The limits of the key {self.name} must be 1 or more.")


class Keys:
    """The keys that open the API."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self.keys = tuple(keys)

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a file of keys; ValueError names the line that is wrong, OSError where there is no such file."""
        keys: dict[str, Key] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            operator = words[-1] == OPERATOR
            try:
                name, sha256, *limits = words[:-1] if operator else words
                keys[name] = Key(name, sha256, *map(int, limits), operator=operator)
            except (ValueError, TypeError) as error:
                wanted = f"NAME SHA256 REQUESTS_PER_MINUTE PICTURES_AT_A_TIME [{OPERATOR}]"
                raise ValueError(f"Line {number} of {path} is not {wanted}: {error}") from error
        return cls(tuple(keys.values()))

    async def find(self, given: str) -> Key | None:
        """Return whose key this is, in a time that does not depend on how much of one it resembles."""
        sha256, found = hashed(given), None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, sha256):
                found = key
        return found


def make(
    path: Path, name: str, per_minute: int = PER_MINUTE, pictures: int = PICTURES, *, operator: bool = False
) -> str:
    """Return a new key, and add its hash to the file, which only its owner can read; ValueError for a name taken."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if old and any(key.name == name for key in Keys.read(path).keys):
        raise ValueError(f"{path} has a key called {name} already: choose another name, or remove its line.")
    given, key = fresh(name, per_minute, pictures, operator)
    line = f"{key.name} {key.sha256} {key.per_minute} {key.pictures}{f' {OPERATOR}' if operator else ''}\n"
    with atomic.file(path) as partial:
        partial.touch(mode=0o600)
        partial.write_text(old + ("" if old.endswith("\n") or not old else "\n") + line, encoding="utf-8")
    return given


def fresh(name: str, per_minute: int, pictures: int, operator: bool) -> tuple[str, Key]:
    """Return a new key as it is given away, and as it is kept."""
    given = PREFIX + secrets.token_urlsafe(32)
    return given, Key(name, hashed(given), per_minute, pictures, operator)


def hashed(given: str) -> str:
    """Return what is kept of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
