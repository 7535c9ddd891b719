"""python -m evaluation.clip_score: how well pictures fit their captions, in the eyes of a CLIP.

Its options are those of `evaluation.cli.clip_score`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.clip_score import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Measure how well pictures fit their captions; ValueError says what is wrong or missing."""
    from evaluation.measuring.clip_score import score_folder  # torch, which --help need not wait for

    return score_folder(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="clip_score")


if __name__ == "__main__":
    main()
