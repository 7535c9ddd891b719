"""The options of evaluation.bisect."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, compare

PROG = "python -m evaluation.bisect"
SUFFIXES = compare.SUFFIXES
DESCRIPTION = """Which checkpoint of a training run is the first that is worse, and how measures went with its steps.

    python -m evaluation.bisect runs/a/step-* --prompts emoji --num 200 --out bisected --fail-if "fid worse than 2 %"

Snapshots are checkpoints that were kept along a run, with options of generation if need be, or folders that generation
drew. They are put in order by the number in their names: that after "step", "iter" or "epoch", else the last one. The
first is taken as good; the last is measured, then always the one in the middle between good and worse, so that of 64
snapshots eight are drawn. `--every` measures them all.
Exits with 1 where one is worse; `--out` then holds the pictures and bisection.html, .md, .json and .csv, and the same
command resumes after an interruption.
"""


@dataclass(frozen=True)
class Options(compare.Options):
    """What is looked for in which snapshots; `contestants` are the snapshots, `fail_if` says what worse is.

    Attributes:
        every: whether all snapshots are measured, and not only those that bisection asks for.
    """

    every: bool = False

    @property
    def files(self) -> list[Path]:
        """Return the reports that are always written."""
        return [self.out / f"bisection{suffix}" for suffix in SUFFIXES]


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = "a checkpoint, a checkpoint with options, or a drawn folder; the oldest has the lowest number in its name"
    parser.add_argument("contestants", nargs="+", metavar="SNAPSHOT", help=words)
    compare.add_measuring(parser)
    words = 'what worse than the first is: "fid worse than 2 %% at p < 0.01" (repeatable)'
    parser.add_argument("--fail-if", action="append", required=True, metavar="CONDITION", help=words)
    parser.add_argument("--every", action="store_true", help="measure all snapshots, not only those that are asked for")
    command.add_tracking(parser)
    command.add_reporting(parser, SUFFIXES)
    return command.parsed(parser, Options, argv)
