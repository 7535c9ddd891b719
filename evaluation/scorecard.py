"""python -m evaluation.scorecard: the quality table of a checkpoint that was trained on the emoji set.

Its options are those of `evaluation.cli.scorecard`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evaluation.cli import command, outputs
from evaluation.cli.scorecard import PROG, Options, parse

if TYPE_CHECKING:
    from evaluation.emoji.scores import Scorecard


def run(options: Options) -> "Scorecard":
    """Draw and score a checkpoint on the emoji set; ValueError says what is wrong or missing."""
    from evaluation.emoji.scorecard import score  # torch, which --help need not wait for

    return score(options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, write; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.emoji.scores import deliver  # as above

        files = [outputs.report_file(str(options.out / f"scorecard{suffix}")) for suffix in (".json", ".md")]
        card = run(options)
        deliver(card, f"Scorecard of {card.contestant}", *files)


if __name__ == "__main__":
    main()
