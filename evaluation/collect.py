"""python -m evaluation.collect: reports and drawn folders, in the order given, as one page.

Its options are those of `evaluation.cli.collect`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.collect import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.measuring.collection import Collection


def run(options: Options) -> "Collection":
    """Read the parts; ValueError for one that cannot be collected."""
    from evaluation.measuring.collection import collect  # torch, which --help need not wait for

    return collect(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the parts and write the page; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.measuring.collection import write  # as above

        found = run(options)
        for path in options.report:
            write(found, path)


if __name__ == "__main__":
    main()
