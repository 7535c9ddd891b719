"""The options of evaluation.votes."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command

PROG = "python -m evaluation.votes"
LEAST_CHECKS = 0.75
DESCRIPTION = """What people said of pairs of pictures: win rates, a ranking, agreement, and what predicts the answers.

    python -m evaluation.votes study --clip judge --report votes.html
    python -m evaluation.votes votes.csv            what `python -m demo.votes … --out votes.csv` exported
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """Whose answers are counted, and what is held against them.

    Attributes:
        votes: a study's folder, or the page's votes as CSV (question, a, b, winner).
        clip: CLIPs whose scores are asked how well they predict the answers; a study's pictures are needed for it.
        comparison: comparison.json of the same contestants, whose measures are asked the same of the ranking.
        least_checks: the share of checks that a rater must have right to count.
    """

    votes: Path
    clip: tuple[str, ...] = ()
    comparison: Path | None = None
    least_checks: float = LEAST_CHECKS
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("votes", type=Path, metavar="STUDY_OR_CSV", help="a study's folder, or the page's votes")
    words = "how well these CLIPs' scores predict the answers: folder, hub id, judge (one or more)"
    parser.add_argument("--clip", nargs="+", default=[], metavar="CLIP", help=words)
    words = "comparison.json of the same contestants: how well its measures predict the ranking"
    parser.add_argument("--comparison", type=Path, metavar="FILE.json", help=words)
    words = f"leave out raters with a smaller share of checks right; default {LEAST_CHECKS}"
    parser.add_argument("--least-checks", type=command.share, default=LEAST_CHECKS, metavar="SHARE", help=words)
    command.add_measuring(parser, "of intervals")
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
