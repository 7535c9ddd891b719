"""python -m evaluation.vqa: pictures judged by a model that sees and answers, behind an endpoint.

Its options are those of `evaluation.cli.vqa`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.vqa import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Ask the questions that have no answer yet, and measure; ValueError says what is wrong or missing."""
    from evaluation.measuring.vqa import judge_folder  # numpy and Pillow, which --help need not wait for

    return judge_folder(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask, measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="vqa")


if __name__ == "__main__":
    main()
