"""python -m evaluation.fid: FID, KID, MIND, precision, recall, density, coverage and Inception score of a folder.

One pass of a network gives the features that all of them share. Statistics are saved and reused as .npz.

    accelerate launch --multi_gpu --num_processes 2 -m evaluation.fid …

Its options are those of `evaluation.cli.fid`.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.fid import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.reporting.report import Report


def run(options: Options, unsaved: list[OSError] | None = None) -> "Report":
    """Measure the distances of a folder to a reference; ValueError says what is wrong or missing.

    Statistics that the disk does not take are an OSError; it is kept in `unsaved`, where that is given, for what they
    would be measured for is still to come.
    """
    from evaluation.measuring.fid import measure_folders  # torch, which --help need not wait for

    return measure_folders(options, unsaved)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong.

    Of several processes, as `accelerate launch` starts them, one measures, and the others extract their share.
    """
    options = parse(arguments)
    with command.sentences(PROG, resumes=options.work is not None):
        from evaluation.measuring import processes  # as above
        from evaluation.measuring.fid import extract_share, save_statistics
        from evaluation.reporting import report

        if not processes.is_main():
            return extract_share(options)
        if options.reference is None:
            for note in save_statistics(options):
                print(f"Note: {note}", file=sys.stderr)
            return None
        unsaved: list[OSError] = []
        found = run(options, unsaved)
        more = _for_the_hub(options, found)
        report.deliver(found, options.report, more, log_with=options.log_with, project="fid")
        if unsaved:  # told last: the disk that is full for statistics may still take the report
            raise unsaved[0]


def _for_the_hub(options: Options, found: "Report") -> list[Callable[[], object]]:
    """Return what else is to be written of a report."""
    if options.hub_results is None or options.hub_dataset is None:
        return []
    from evaluation.reporting import hub_results  # as above

    return [partial(hub_results.write, found, options.hub_results, options.hub_dataset, options.images.name)]


if __name__ == "__main__":
    main()
