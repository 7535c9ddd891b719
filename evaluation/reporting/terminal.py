"""What a command prints: after all files are written, in one piece, whatever the terminal's encoding."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

PLAINER = str.maketrans({"…": "...", "↑": "^", "↓": "v", "–": "-", "−": "-", "±": "+-", "×": "x", "“": '"', "”": '"'})


def deliver(writes: Iterable[Callable[[], object]], show: Callable[[Console], None]) -> None:
    """Write everything, then print it; the first fault of a file is raised after both."""
    failed = []
    for write in writes:
        try:
            write()
        except (OSError, ValueError) as error:
            failed.append(error)
    tell(show)
    if failed:
        raise failed[0]


def tell(show: Callable[[Console], None]) -> None:
    """Print what `show` prints, whatever the terminal's encoding is.

    All of it in one piece, so that `| head` and its like have it before they close. Where nobody reads the output at
    all it goes to the terminal by way of stderr.
    """
    page = _Page(getattr(sys.stdout, "encoding", None) or "utf-8")
    there = Console()
    show(Console(file=page, force_terminal=there.is_terminal, width=there.width))
    text = page.getvalue()
    try:
        sys.stdout.write(_encodable(text, sys.stdout.encoding))
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):  # a closed pipe, a full disk, a file that is closed, none at all
        with contextlib.suppress(OSError, ValueError):
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # what Python flushes at its end
        sys.stderr.write(_encodable(text, sys.stderr.encoding))


class _Page(io.StringIO):
    """Text that waits to be printed; the encoding tells rich whether it may draw frames."""

    encoding = "utf-8"

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.encoding = encoding


def _encodable(text: str, encoding: str | None) -> str:
    """Return the text as the encoding can hold it: our own signs by plainer ones, names spelt out."""
    encoding = encoding or "utf-8"
    try:
        "".join(map(chr, PLAINER)).encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAINER)
    return text.encode(encoding, "backslashreplace").decode(encoding)
