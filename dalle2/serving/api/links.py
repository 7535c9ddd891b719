"""Addresses at which pictures lie for a while: nobody can guess one, and it ends by itself."""

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

SECONDS = 3600.0  # as OpenAI's
MOST_BYTES = 256_000_000  # of all pictures together, above which the oldest go earlier


class File(NamedTuple):
    """A picture's file, until when it lies here, and its MIME type."""

    content: bytes
    kind: str
    until: float


class Links:
    """The pictures of late, in memory. It is used in the event loop's thread only."""

    def __init__(
        self,
        seconds: float = SECONDS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._most, self._clock = seconds, most_bytes, clock
        self._files: dict[str, File] = {}
        self._bytes = 0

    async def put(self, content: bytes, kind: str) -> str:
        """Keep a file, and return the name that opens it."""
        self._expire()
        name = new_name(kind)
        self._files[name] = File(content, kind, self._clock() + self._seconds)
        self._bytes += len(content)
        while self._bytes > self._most and len(self._files) > 1:
            self._drop(next(iter(self._files)))
        return name

    async def get(self, name: str) -> File | None:
        """Return the file, or None where there is none of this name any more."""
        self._expire()
        return self._files.get(name)

    def _expire(self) -> None:
        now = self._clock()
        for name in [name for name, file in self._files.items() if file.until <= now]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._bytes -= len(self._files.pop(name).content)


def new_name(kind: str) -> str:
    """Return a name for a file of this MIME type that nobody can guess."""
    return f"{secrets.token_urlsafe(24)}.{kind.partition('/')[2]}"
