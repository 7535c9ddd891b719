"""The options of evaluation.selftest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command

PROG = "python -m evaluation.selftest"
DESCRIPTION = "The measures of this machine against answers that are known. Exits with 1 where one differs."


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What the answers that are known to published weights need, and where the table is kept.

    Attributes:
        inception_weights: a file, or "download"; None for what is found on this machine.
        report: .json, .csv, .md or .html files.
    """

    inception_weights: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--inception-weights", metavar="FILE", help="see evaluation.fid")
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
