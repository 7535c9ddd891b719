"""The options of evaluation.scorecard."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs

PROG = "python -m evaluation.scorecard"
NUM = 736  # the whole test split
PARTS = (
    *("recognition", "style", "distance", "copies", "chinese", "paraphrases", "understanding", "backgrounds"),
    *("scenes", "colours", "upsampler", "speed"),
)
DESCRIPTION = """The quality table of a checkpoint that was trained on the emoji set.

    python -m evaluation.scorecard emoji --data data/emoji --out card --draft "emoji --steps 4,6,1"
    python -m evaluation.scorecard "emoji --prior linear" --data data/emoji --num 100 --only recognition --out quick

Each number over drawn pictures stands beside the same number over the real ones. `--out` then holds scorecard.json,
scorecard.md (to paste into a model card), grid.png, nearest.png and the pictures; the same command resumes after an
interruption.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is scored, and by what.

    Attributes:
        data: what dalle2.datasets.emoji built.
        out: the folder of pictures and tables; an interrupted run resumes there.
        contestant: a checkpoint, with options of generation.
        num: how many unseen pairs are drawn.
        only: some of `PARTS`; () for all.
        draft: a contestant that is timed as well.
        clip: folder, hub id, or "judge"; None for the embedded judge.
        seed: of picture 0, of other captions, of intervals.
    """

    data: Path
    out: Path
    contestant: str = "emoji"
    num: int = NUM
    only: tuple[str, ...] = ()
    draft: str | None = None
    clip: str | None = None
    seed: int = 0
    batch_size: int = 8
    workers: int | None = None
    device: str | None = None


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = 'as emoji, "emoji --steps 4", runs/b; default: emoji'
    parser.add_argument("contestant", nargs="?", default="emoji", help=words)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what dalle2.datasets.emoji built")
    words = "output directory of pictures and tables; an interrupted run resumes there"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--num", type=int, default=NUM, metavar="N", help=f"of unseen pairs; default {NUM}")
    parser.add_argument("--only", nargs="+", default=[], choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--draft", metavar="CONTESTANT", help="the speed of this one too")
    command.add_clip(parser)
    command.add_measuring(parser, "of picture 0, of other captions, of intervals", batch_size=8)
    return command.parsed(parser, Options, argv)
