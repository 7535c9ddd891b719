"""python -m evaluation.votes: what people said of pairs of pictures, and how well measures predict it.

Its options are those of `evaluation.cli.votes`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.votes import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Count the answers; ValueError says what is wrong or missing."""
    from evaluation.measuring.votes import count  # scipy, which --help need not wait for

    return count(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="votes")


if __name__ == "__main__":
    main()
