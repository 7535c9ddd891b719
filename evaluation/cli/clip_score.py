"""The options of evaluation.clip_score."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.cli import command
from evaluation.prompts import SAMPLINGS, Sampling

PROG = "python -m evaluation.clip_score"
DESCRIPTION = """How well pictures fit their captions, in the eyes of a CLIP.

    python -m evaluation.clip_score --images drawn --clip openai/clip-vit-base-patch32
    python -m evaluation.clip_score --images drawn --clip PICKSCORE --clip-processor CLIP_H --preference pickscore
    python -m evaluation.clip_score --images val2017 --prompts coco:COCO --sampling pictures

The cosine of every picture and its caption, the caption's rank among a hundred, the same for the real pictures
(ceiling) and for captions of other pictures (floor).
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is measured, and with what.

    Attributes:
        images: the folder of pictures.
        prompts: the source of their captions; None for the folder's manifest. `sampling` is of this source.
        clip: folder, hub id, id@revision, or "judge"; None for the embedded judge.
        clip_processor: where its preparation of pictures and its tokenizer are, if not there.
        preference: what the score is called, where the CLIP was trained on what people prefer.
        checkpoint: what drew the pictures, to warn of its own CLIP; None for the manifest's.
        num: how many are measured, chosen by the seed; None for all.
    """

    images: Path
    prompts: str | None = None
    sampling: Sampling = "captions"
    clip: str | None = None
    clip_processor: str | None = None
    preference: Literal["pickscore", "hpsv2"] | None = None
    checkpoint: str | None = None
    num: int | None = None
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="the pictures to measure")
    parser.add_argument("--prompts", metavar="SOURCE", help="their captions; default: those of the folder's manifest")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="of --prompts")
    command.add_clip(parser)
    words = "folder or hub id of its preprocessor and tokenizer, where they are elsewhere, as PickScore's are"
    parser.add_argument("--clip-processor", metavar="SOURCE", help=words)
    words = "the CLIP is this preference model, and its score is called so"
    parser.add_argument("--preference", choices=("pickscore", "hpsv2"), help=words)
    parser.add_argument("--checkpoint", help="what drew the pictures, to warn of its own CLIP; default: the manifest's")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    command.add_measuring(parser, seed="of --num, of the other captions, of intervals")
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
