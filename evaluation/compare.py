"""python -m evaluation.compare A B [C …]: the same prompts and seeds for all, and what of the difference is chance.

Its options are those of `evaluation.cli.compare`.
"""

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from evaluation.cli import command, outputs
from evaluation.cli.compare import PROG, SUFFIXES, Options, parse

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.comparing.comparison import Comparison


def run(options: Options) -> "Comparison":
    """Draw what is not drawn yet, measure, compare; ValueError says what is wrong or missing."""
    from evaluation.comparing.measuring import compare  # torch, which --help need not wait for

    return compare(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, compare, write; exits with 1 where --fail-if says so, with 2 and one sentence when it is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.comparing import output  # as above
        from evaluation.comparing.conditions import Condition, failures
        from evaluation.reporting import terminal

        conditions = [Condition.read(text) for text in options.fail_if]
        files = [outputs.report_file(str(file), SUFFIXES) for file in options.files]
        result = run(options)

        def tell(console: "Console") -> None:
            output.show(result, console)
            console.print(str(files[0]), markup=False, highlight=False, soft_wrap=True)

        terminal.deliver([partial(output.write, result, path) for path in [*files, *options.report]], tell)
        if options.log_with:
            output.log(result, options.log_with, options.out)
        failed = failures(conditions, result)
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
