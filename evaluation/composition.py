"""python -m evaluation.composition: whether scenes have the things, number, place and colour that were asked for.

Its options are those of `evaluation.cli.composition`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.composition import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Draw scenes and judge them; ValueError says what is wrong or missing."""
    from evaluation.emoji.composition import judge  # torch, which --help need not wait for

    return judge(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, judge, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="composition")


if __name__ == "__main__":
    main()
