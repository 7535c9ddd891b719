"""The options of evaluation.understanding."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.cli import command

PROG = "python -m evaluation.understanding"
PARTS = ("choose", "held out", "another author")
DESCRIPTION = """How often a checkpoint takes a prompt for the right thing, and pretends.

    python -m evaluation.understanding emoji                     all thresholds, on the part of the list to choose on
    python -m evaluation.understanding emoji --part "held out" --threshold 0.63 --list

`understanding.tsv` is our own list of what people ask for (CC0). No line of `paraphrases.tsv` is among it.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """Which part of the list is asked, of which checkpoint.

    Attributes:
        checkpoint: an embedded one by its name, or a folder with a vocabulary.
        threshold: one or several; () for all that are tried. `guess`: of descriptions; None for the one that is used.
        list: whether what went wrong at the last threshold is told too.
    """

    checkpoint: str = "emoji"
    part: Literal["choose", "held out", "another author"] = "choose"
    threshold: tuple[float, ...] = ()
    guess: float | None = None
    list: bool = False


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="a folder with a vocabulary; default: emoji")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0], help="of the list; default: choose")
    words = "one, or several (repeatable); default: a range of them"
    parser.add_argument("--threshold", type=float, action="append", default=[], help=words)
    parser.add_argument("--guess", type=float, help="of descriptions; default: the one that is used")
    parser.add_argument("--list", action="store_true", help="what went wrong at the last threshold")
    return command.parsed(parser, Options, argv)
