"""python -m evaluation.prior: how near the priors' image embeddings come to those of the real pictures.

Its options are those of `evaluation.cli.prior`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.prior import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Measure how near priors come to the embeddings of real pictures; ValueError says what is wrong or missing."""
    from evaluation.measuring.prior import measure_priors  # torch, which --help need not wait for

    return measure_priors(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="prior")


if __name__ == "__main__":
    main()
