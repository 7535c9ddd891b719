"""python -m evaluation.understanding: how often a checkpoint takes a prompt for the right thing, and pretends.

Its options are those of `evaluation.cli.understanding`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.understanding import PROG, Options, parse

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.emoji.understanding import Understanding


def run(options: Options) -> "Understanding":
    """Ask a checkpoint what people ask for; ValueError where it has no vocabulary."""
    from evaluation.emoji.understanding import ask  # numpy and the vocabulary, which --help need not wait for

    return ask(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table; exits with 2 and one sentence when something is missing."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.emoji.understanding import COLUMNS  # as above
        from evaluation.reporting import report, terminal

        found = run(options)

        def show(console: "Console") -> None:
            report.print_table(console, found.title, COLUMNS, [one.row() for one in found.answered])
            for prompt, said in found.answered[-1].faults if options.list else ():
                console.print(f"{prompt}\t{said}", markup=False, highlight=False, soft_wrap=True)

        terminal.tell(show)


if __name__ == "__main__":
    main()
