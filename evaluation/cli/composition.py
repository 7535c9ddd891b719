"""The options of evaluation.composition."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs

PROG = "python -m evaluation.composition"
NUM = 200
DESCRIPTION = """How often a scene has the things, the number, the place and the colour that were asked for.

    python -m evaluation.composition emoji --data data/emoji --out composed --report composition.html

A table like GenEval's that needs no detector and no network: the scenes are composed of the emoji set's pictures, and a
CLIP says which of several true compositions a drawn one is nearest to. Beside each share stand what chance gives, and
how often the CLIP is right about true compositions, which no checkpoint can be expected to exceed.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is drawn, and who judges it.

    Attributes:
        data: what dalle2.datasets.emoji built.
        out: the folder of prompts and pictures; an interrupted run resumes there.
        contestant: a checkpoint, with options of generation.
        num: scenes; half as many single things whose colour is asked for are drawn too.
        clip: folder, hub id, or "judge"; None for the embedded judge.
        seed: of picture 0, and of intervals.
    """

    data: Path
    out: Path
    contestant: str = "emoji"
    num: int = NUM
    clip: str | None = None
    seed: int = 0
    batch_size: int = 8
    workers: int | None = None
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = 'as emoji, "emoji --steps 4", runs/b; default: emoji'
    parser.add_argument("contestant", nargs="?", default="emoji", help=words)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what dalle2.datasets.emoji built")
    words = "output directory of prompts and pictures; an interrupted run resumes there"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--num", type=command.positive, default=NUM, metavar="N", help=f"scenes; default {NUM}")
    command.add_clip(parser)
    command.add_measuring(parser, "of picture 0, and of intervals", batch_size=8)
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
