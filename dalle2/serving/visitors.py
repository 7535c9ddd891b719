"""What lies on the server for visitors, and whose it is: a file opens only in the browser that it was made for.

A browser gets a cookie with the page. Who calls the API without one is nobody in particular, and such a caller's
files open for whoever has their addresses, which hold the hash of their content and cannot be guessed.
"""

import secrets
from collections.abc import Iterator, MutableSet
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import Any

COOKIE = "visitor"
NOBODY = ""

# For whom the server works now: the visitor's cookie, or NOBODY.
visitor: ContextVar[str] = ContextVar("visitor", default=NOBODY)


class Files(MutableSet):
    """Paths with the visitors whose they are: a set, so that a front can take out what it deletes from the disk.

    `add` notes the visitor for whom the server works now. Equal content has one path, and may be several visitors'.
    """

    def __init__(self) -> None:
        self._owners: dict[str, set[str]] = {}

    def add(self, value: str) -> None:
        self._owners.setdefault(value, set()).add(visitor.get())

    def update(self, values: Any) -> None:
        """Add each of the values."""
        for value in values:
            self.add(value)

    def discard(self, value: str) -> None:
        self._owners.pop(value, None)

    def opens(self, path: str, asking: str) -> bool:
        """Return whether this visitor may have the file."""
        owners = self._owners.get(path, ())
        return NOBODY in owners or (asking != NOBODY and asking in owners)

    def __contains__(self, value: object) -> bool:
        return value in self._owners

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._owners))  # others may add to it meanwhile

    def __len__(self) -> int:
        return len(self._owners)


def owner(cookies: str) -> str:
    """Return the visitor's cookie in the header's text, or NOBODY."""
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return NOBODY
    return found.value if found else NOBODY


def cookie(secure: bool) -> str:
    """Return the header's text that gives a browser its cookie. Over HTTPS it also counts in a frame, as on Spaces."""
    rest = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{COOKIE}={secrets.token_urlsafe(16)}; Path=/; Max-Age=31536000; HttpOnly; {rest}"
