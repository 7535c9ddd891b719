"""python -m evaluation.ssim_psnr: SSIM, PSNR and LPIPS of pairs that mean something.

Its options are those of `evaluation.cli.ssim_psnr`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.ssim_psnr import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options) -> "Report":
    """Measure pictures against what they should be; ValueError says what is wrong or missing."""
    from evaluation.measuring.ssim_psnr import measure_pairs  # torch, which --help need not wait for

    return measure_pairs(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.reporting import report  # as above

        report.deliver(run(options), options.report, log_with=options.log_with, project="ssim_psnr")


if __name__ == "__main__":
    main()
