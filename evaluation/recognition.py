"""python -m evaluation.recognition: which concepts of a checkpoint's vocabulary come out well, and which do not.

    python -m evaluation.recognition emoji --out recognition.jsonl            a picture of each, then writes the result
    python -m evaluation.recognition emoji --out recognition.jsonl --num 8    a handful, to try it; writes no result

Each concept is drawn by its label, without a style and in the checkpoint's first one, from each seed, with default
settings. A picture's score is the probability that a judge finds its own label before 99 others that are drawn by
chance. `--out` holds a line for each concept that is done: the same command resumes an interrupted run. The result,
recognition.json, is written into the checkpoint's folder; the command line and the page then say beforehand of which
concepts pictures rarely come out well.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dalle2 import atomic
from evaluation.cli import command
from evaluation.networks.embedded import checkpoint_folder

if TYPE_CHECKING:
    from dalle2.understanding.recognition import Recognition

PROG = "python -m evaluation.recognition"


@dataclass(frozen=True)
class Options:
    """What is measured; `num` None is all concepts, `clip` None the embedded judge."""

    folder: Path
    out: Path
    seeds: tuple[int, ...] = (0,)
    num: int | None = None
    clip: str | None = None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = command.Parser(prog=PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="a folder with a vocabulary; default: emoji")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a line for each concept; resumed")
    parser.add_argument("--seeds", type=command.whole, nargs="+", default=[0], metavar="N", help="default: 0")
    parser.add_argument("--num", type=command.positive, metavar="N", help="the first N concepts only; default: all")
    parser.add_argument("--clip", help="the judge: folder or hub id; default: the embedded emoji-judge")
    found = parser.parse_args(arguments)
    return Options(checkpoint_folder(found.checkpoint), found.out, tuple(found.seeds), found.num, found.clip)


def run(options: Options) -> tuple["Recognition", bool]:
    """Measure -> what was found, and whether it is of all concepts; then it is written beside the weights.

    ValueError says what is wrong with the options.
    """
    atomic.check_suffix(options.out, ".jsonl")
    atomic.check_writable(options.out.parent)
    from evaluation.drawing.recognition import measure  # torch, which --help need not wait for
    from evaluation.networks.clip import Clip

    found, whole = measure(options.folder, Clip(options.clip), options.out, options.seeds, options.num)
    if whole:
        found.write(options.folder)
    return found, whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, judge, write; exits with 2 and one sentence when something is wrong."""
    options = parse(arguments)
    with command.sentences(PROG, resumes=True):
        from evaluation.drawing.recognition import summary_line  # as above

        found, whole = run(options)
        print(summary_line(found))
        if whole:
            print(f"Written into {options.folder}.")


if __name__ == "__main__":
    main()
