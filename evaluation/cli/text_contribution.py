"""The options of evaluation.text_contribution."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs
from evaluation.prompts import KINDS, SAMPLINGS, Sampling

PROG = "python -m evaluation.text_contribution"
DESCRIPTION = """What each part of a checkpoint takes from the text, by leaving it out.

    python -m evaluation.text_contribution emoji --prompts emoji --num 100 --out text

The same prompts and seeds are drawn with the text read by prior and decoder, by one of them, by neither, and with
another prompt in its place. How well they fit their captions is compared in pairs. The same command resumes.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is drawn, and by what it is judged.

    Attributes:
        prompts: their source; `num`, `sampling` and `sampling_seed` choose among them.
        out: the folder of pictures; an interrupted run resumes there.
        checkpoint: folder, hub id or id@revision.
        seed: of picture 0, and of other prompts and intervals; picture i has seed + i.
        draft: draw by the checkpoint's quick settings.
        clip: folder, hub id, or "judge"; None for the embedded judge.
    """

    prompts: str
    out: Path
    checkpoint: str = "emoji"
    num: int | None = None
    sampling: Sampling = "captions"
    sampling_seed: int = 0
    seed: int = 0
    draft: bool = False
    clip: str | None = None
    batch_size: int = 8
    workers: int | None = None
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="folder or hub id; default: the embedded one")
    parser.add_argument("--prompts", metavar="SOURCE", required=True, help=KINDS)
    parser.add_argument("--num", type=int, metavar="N", help="how many prompts; default: all")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="see evaluation.generation")
    parser.add_argument("--sampling-seed", type=int, default=0, metavar="S", help="which N prompts; default 0")
    words = "output directory; an interrupted run resumes there"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--draft", action="store_true", help="draw by the checkpoint's quick settings")
    command.add_clip(parser)
    command.add_measuring(parser, "of picture 0, of other prompts, of intervals", batch_size=8)
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
