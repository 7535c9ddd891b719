"""python -m evaluation.bisect: the first checkpoint of a training run that is worse, and how measures went with steps.

Its options are those of `evaluation.cli.bisect`.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluation.cli import command, outputs
from evaluation.cli.bisect import PROG, SUFFIXES, Options, parse

if TYPE_CHECKING:
    from evaluation.comparing.bisection import Bisection


def run(options: Options) -> "Bisection":
    """Draw and measure what bisection asks for; ValueError says what is wrong or missing."""
    from evaluation.comparing.bisection import bisect  # torch, which --help need not wait for

    return bisect(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, write; exits with 1 where a snapshot is worse, with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.comparing import bisection_page  # as above
        from evaluation.reporting import terminal

        files = [outputs.report_file(str(file), SUFFIXES) for file in options.files]
        found = run(options)
        writes = [partial(bisection_page.write, found, path) for path in [*files, *options.report]]
        terminal.deliver(writes, partial(bisection_page.show, found))
        if options.log_with:
            bisection_page.log(found, options.log_with, options.out)
    if found.worse is not None:
        sys.exit(1)


if __name__ == "__main__":
    main()
