"""python -m evaluation.leaderboard: a folder of results as one page that sorts by any column.

Its options are those of `evaluation.cli.leaderboard`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.leaderboard import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.measuring.leaderboard import Leaderboard


def run(options: Options) -> "Leaderboard":
    """Read the results; ValueError where there are none."""
    from evaluation.measuring.leaderboard import read  # pydantic, which --help need not wait for

    return read(options.results, options.title)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the results and write the page; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.measuring import leaderboard_page  # as above

        found = run(options)
        for path in options.report:
            leaderboard_page.write(found, path)
        for note in found.notes:
            print(f"Note: {note}", file=sys.stderr)


if __name__ == "__main__":
    main()
