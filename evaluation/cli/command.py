"""What all commands of the ruler do alike: options checked as they are read, reports before print, one sentence.

A command is lost time when it fails at its end. So what an option names is looked at when the option is read; what
was computed is written before it is printed; and printing cannot fail.
"""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from rich.console import Console

REPORTS = (".json", ".csv", ".md", ".html")
WORKERS = "processes that open pictures; default: as many as cores, up to 8"
# What a table of ours begins with; the other formats have provenance.
TABLES = ("name,value", "kind,name,a,b")
PLAINER = str.maketrans({"…": "...", "↑": "^", "↓": "v", "–": "-", "−": "-", "±": "+-", "×": "x", "“": '"', "”": '"'})


class Refused(argparse.ArgumentTypeError, ValueError):
    """What an option cannot be, in a sentence; argparse shows such a one as it is."""


class Parser(argparse.ArgumentParser):
    """Argparse's, whose errors are one sentence on one line."""

    def parse_args(self, *given: object) -> argparse.Namespace:
        """As argparse's; a path that the system refuses even to look at, as one too long, is such an error too."""
        try:
            return super().parse_args(*given)
        except OSError as error:
            self.error(str(error))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def add_arguments(
    parser: argparse.ArgumentParser, seed: str, batch_size: int | None = 32, workers: bool = True
) -> None:
    """--seed ("of what" being told), --batch-size, --workers and --device, as all that measure have them."""
    parser.add_argument("--seed", type=whole, default=0, help=f"{seed}; default 0")
    if batch_size is not None:
        parser.add_argument("--batch-size", type=positive, default=batch_size, help=f"default {batch_size}")
    if workers:
        parser.add_argument("--workers", type=whole, help=WORKERS)
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")


def add_report(parser: argparse.ArgumentParser, suffixes: Sequence[str] = REPORTS, required: bool = False) -> None:
    """--report, as often as wanted."""
    words = f"{' '.join(suffixes)}; repeatable; an older report of that name is replaced"
    parser.add_argument(
        "--report",
        action="append",
        default=None if required else [],
        required=required,
        type=lambda text: report_file(text, suffixes),
        metavar="FILE",
        help=words,
    )


def whole(text: str) -> int:
    """A number that is 0 or more."""
    return _number(text, 0)


def positive(text: str) -> int:
    """A number that is 1 or more."""
    return _number(text, 1)


def guidance(text: str) -> str:
    """A guidance scale, or two of them: kept as it is, for the command line of generation."""
    try:
        values = [float(value) for value in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not np.isfinite(values).all():
        raise Refused(f"a scale is given as 4, or as 4,8 for prior and decoder, not as {text!r}.")
    return text


def device(text: str) -> str:
    """A device that torch has here."""
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        raise Refused(f"There is no device {text!r} here: use cpu, or cuda where there is one.") from error
    return text


def report_file(text: str, suffixes: Sequence[str] = REPORTS) -> Path:
    """Where a report can be written: a suffix that is known, a folder that takes it, nobody else's file."""
    path = Path(text).expanduser()
    if path.suffix.lower() not in suffixes:
        raise Refused(f"A report is written as {', '.join(suffixes)}: give {path.name!r} one of these endings.")
    return _writable(path, _is_report, "no report of ours")


def statistics_file(text: str) -> Path:
    """Where statistics can be saved."""
    path = Path(text).expanduser()
    if path.suffix != ".npz":
        raise Refused(f"Statistics are saved as .npz: let {path.name!r} end so.")
    return _writable(path, _is_statistics, "no statistics of ours")


def out_folder(text: str) -> Path:
    """A folder to write into, there or not yet."""
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise Refused(f"{path} is a file: name a folder.")
    _require_folder(path)
    return path


def keep(outputs: Iterable[Path], inputs: Iterable[object]) -> None:
    """ValueError when a command would write over what it reads; `inputs` that are no files are passed over."""
    for path in filter(Path.exists, outputs):
        for given in filter(None, inputs):
            source = Path(str(given).partition("#")[0]).expanduser()
            if source.exists() and path.samefile(source):
                raise ValueError(f"{path} is what this command reads, and would be written over: name another file.")


@contextlib.contextmanager
def sentences(prog: str, goes_on: bool = False) -> Iterator[None]:
    """End in one sentence: with 2 when something is wrong, with 130 when stopped (`goes_on`: may be taken up again)."""
    try:
        yield
    except (ValueError, OSError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{prog}: stopped{'; the same command goes on' if goes_on else ''}.", file=sys.stderr)
        sys.exit(130)


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
    """The text as the encoding can hold it: our own signs by plainer ones, names with their letters spelt out."""
    encoding = encoding or "utf-8"
    try:
        "".join(map(chr, PLAINER)).encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAINER)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _number(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise Refused(f"a whole number is needed, not {text!r}.") from error
    if value < least:
        raise Refused(f"it must be {least} or more, not {value}.")
    return value


def _writable(path: Path, ours: Callable[[Path], bool], other: str) -> Path:
    if path.is_dir():
        raise Refused(f"{path} is a folder: name a file in it.")
    _require_folder(path.parent)
    if path.exists() and path.stat().st_size and not ours(path):
        raise Refused(f"{path} is there already and is {other}: name another file.")
    return path


def _require_folder(folder: Path) -> None:
    """That files can be written into the folder, or into one that is made there."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise Refused(f"{there} is a file, so there can be nothing in it: name another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f"Nothing can be written into {there}: its permissions do not allow it.")


def _is_report(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return text.startswith(TABLES) if path.suffix.lower() == ".csv" else "provenance" in text.lower()


def _is_statistics(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as file:
            return "space" in file.files
    except (OSError, ValueError):
        return False
