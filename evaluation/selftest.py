"""python -m evaluation.selftest: the measures of this machine against answers that are known, in half a minute.

Libraries change: a resize, a square root or a network that comes out otherwise is seen here before it is in a table.
Its options are those of `evaluation.cli.selftest`.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.selftest import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.measuring.selftest import Selftest


def run(options: Options) -> "Selftest":
    """Run every check; ValueError for weights that are named and are not there."""
    from evaluation.measuring.selftest import check_all  # torch, which --help need not wait for

    return check_all(options.inception_weights)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, write, print; exits with 1 where an answer differs, with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.measuring.selftest import as_report, show  # as above
        from evaluation.reporting import terminal
        from evaluation.reporting.report import write

        found = run(options)
        written = as_report(found)
        terminal.deliver([partial(write, written, file) for file in options.report], partial(show, found))
    if found.drifted:
        sys.exit(1)


if __name__ == "__main__":
    main()
