"""The options of evaluation.leaderboard."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command

PROG = "python -m evaluation.leaderboard"
SUFFIXES = (".html", ".md")
DESCRIPTION = """All results of a folder as one page, a table for each set of prompts.

    python -m evaluation.fid --images drawn/a --reference photos --report results/a-fid.json
    python -m evaluation.compare drawn/a drawn/b --out compared --report results/a-b.json
    python -m evaluation.leaderboard results --report leaderboard.html

Whatever .json reports and comparisons lie in the folder are taken, with its sub-folders; the newest counts where a
number was taken twice. Numbers stand in one column only if they were taken alike: network, weights, resizing and
reference.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is told: `results` is the folder of reports."""

    results: Path
    title: str = "Leaderboard"
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="FOLDER", help="of .json reports")
    parser.add_argument("--title", default=Options.title)
    command.add_reporting(parser, SUFFIXES, required=True)
    return command.parsed(parser, Options, argv)
