"""`python -m dalle2 "a cat face, twemoji style" -o cat.png`: from the command line to PNG files.

The networks' libraries take seconds to import: that happens once it is clear that something will be drawn.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from dalle2.cli import parsers

LONGEST = 60  # characters of a prompt that are repeated


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what the arguments ask for.

    The exit code is 0, or 1 after an error, which is told in one sentence, or 130 when stopped.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a letter must not lose a file's name
    if arguments[:1] in (["serve"], ["new-key"]):
        from dalle2 import serve

        return (serve.main if arguments[0] == "serve" else serve.new_key)(arguments[1:])
    if arguments[:1] == ["reports"]:
        from dalle2 import reports

        return reports.main(arguments[1:])
    code = 0
    lines = []
    try:
        options = parsers.parse(arguments)
        print(_beginning(options), file=sys.stderr, flush=True)
        for line in _drawn(options):
            lines.append(line)
    except (ValueError, OSError) as error:
        print(f"dalle2: {_sentence(error)}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("dalle2: stopped.", file=sys.stderr)
        code = 130
    return _tell(lines) or code


def _drawn(options: argparse.Namespace) -> Iterable[object]:
    from dalle2.cli import quick

    if (planned := quick.plan(options)) is not None:
        return quick.run(options, planned)
    from dalle2.cli import drawing

    return drawing.run(options)


def _beginning(options: argparse.Namespace) -> str:
    """Return what happens first, told while the libraries are imported."""
    if options.task is None and options.source is not None:
        return f"Reading {options.source} …"
    source = getattr(options, "captioner", None) or options.checkpoint or "emoji"
    if options.task is None and (options.audio or options.sound):
        said = f"{options.audio} says" if options.audio else f"is heard in {options.sound}"
        return f"Opening {source} to draw what {said} …"
    if options.task is None:
        return f'Opening {source} to draw "{_shortened(options.prompt)}" …'
    first, *others = options.contents
    if others or not isinstance(first, str | Path):
        subject = f"{len(options.contents)} contents"
    else:
        subject = f'"{_shortened(first)}"' if isinstance(first, str) else first
    return f"Opening {source} for {options.task} of {subject} …"


def _shortened(prompt: str) -> str:
    """Return the prompt on one line of a terminal, its end left out where it is longer."""
    line = " ".join(prompt.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST].rstrip()}…"


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def _tell(lines: Sequence[object]) -> int:
    """Print what was done, also what was before an error; 1 where nobody reads it any more."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
