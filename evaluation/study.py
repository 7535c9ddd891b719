"""python -m evaluation.study: drawn folders -> fixed pairs for people to judge on a page.

Its options are those of `evaluation.cli.study`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command
from evaluation.cli.study import PROG, Options, parse

if TYPE_CHECKING:
    from dalle2.judgements.study import Study


def run(options: Options) -> "Study":
    """Write the study with its pictures; ValueError says what is wrong or missing."""
    from evaluation.comparing.study import make  # pictures, which --help need not wait for

    return make(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the study and say how to ask; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG):
        from evaluation.reporting import terminal  # as above

        study = run(options)
        summary = f"{options.out}: {len(study.pairs):,} pairs, {len(study.checks):,} checks. Ask them with"
        words = f"{summary} python app.py --study {options.out}"
        terminal.tell(lambda console: console.print(words, markup=False, highlight=False, soft_wrap=True))


if __name__ == "__main__":
    main()
