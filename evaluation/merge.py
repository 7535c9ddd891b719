"""python -m evaluation.merge: statistics of several parts of a set as those of the whole.

Its options are those of `evaluation.cli.merge`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.merge import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.metrics.statistics import Statistics


def run(options: Options) -> "Statistics":
    """Return the statistics of all parts together.

    ValueError for parts that were not taken alike, and for pictures that would count twice.
    """
    from evaluation.measuring.merging import merged  # torch, which --help need not wait for

    found, notes = merged(options.parts)
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Merge and save; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        found = run(options)
        found.save(options.save_stats)
        print(f"{options.save_stats}: {found.moments.n:,} pictures of {len(options.parts)} files.")


if __name__ == "__main__":
    main()
