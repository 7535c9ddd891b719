"""python -m evaluation.text_diff: whether a text diff changes the style of a real picture, and leaves its concept.

Its options are those of `evaluation.cli.text_diff`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command, outputs
from evaluation.cli.text_diff import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.emoji.scores import Scorecard


def run(options: Options) -> "Scorecard":
    """Move real pictures by text diffs, and count what takes the style on; ValueError says what is wrong or missing."""
    from evaluation.emoji.text_diff import measure_text_diffs  # torch, which --help need not wait for

    return measure_text_diffs(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, write; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.emoji.scores import deliver  # as above

        files = [outputs.report_file(str(options.out / f"text_diff{suffix}")) for suffix in (".json", ".md")]
        card = run(options)
        deliver(card, card.contestant, *files)


if __name__ == "__main__":
    main()
