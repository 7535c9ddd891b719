"""The options of evaluation.collect."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command

PROG = "python -m evaluation.collect"
SUFFIXES = (".html", ".md", ".json")
DESCRIPTION = """Reports and drawn folders, in the order given, as one page.

    python -m evaluation.collect drawn fid.json clip_score.json --title "A and its numbers" --report page.html

A part is a report's .json, or a folder that generation drew: of this stand what a picture took, and some of the
pictures, at even steps through the prompts, so that nobody picked them.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is collected: `parts` are reports (.json) and drawn folders, `words` a paragraph under the title."""

    parts: tuple[Path, ...]
    title: str
    words: str = ""
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", type=Path, metavar="PART", help="a report's .json, or a drawn folder")
    parser.add_argument("--title", required=True)
    parser.add_argument("--words", default="", help="a paragraph under the title")
    command.add_reporting(parser, SUFFIXES, required=True)
    return command.parsed(parser, Options, argv)
