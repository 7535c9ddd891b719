"""The options of evaluation.merge."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs

PROG = "python -m evaluation.merge"
DESCRIPTION = """Statistics of several parts of a set as those of the whole.

    python -m evaluation.fid --images part1 --save-stats 1.npz
    python -m evaluation.fid --images part2 --save-stats 2.npz
    python -m evaluation.merge 1.npz 2.npz --save-stats all.npz
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """Which statistics are merged: of different pictures, taken alike."""

    parts: tuple[Path, ...]
    save_stats: Path


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", type=Path, metavar="FILE.npz", help="what --save-stats wrote")
    words = "of all of them; an older one is replaced"
    parser.add_argument("--save-stats", type=outputs.statistics_file, required=True, metavar="FILE.npz", help=words)
    return command.parsed(parser, Options, argv)
