"""python -m evaluation.text_contribution: what each part of a checkpoint takes from the text, by leaving it out.

Its options are those of `evaluation.cli.text_contribution`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.text_contribution import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Draw the same prompts and seeds with less text, and compare; ValueError says what is wrong or missing."""
    from evaluation.measuring.text_contribution import measure  # torch, which --help need not wait for

    return measure(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, write, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="text_contribution")


if __name__ == "__main__":
    main()
