"""The options of evaluation.text_diff."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dalle2.settings import INVERSION_STEPS
from dalle2.settings import STRENGTHS as WAYS
from evaluation.cli import command, outputs

PROG = "python -m evaluation.text_diff"
STYLE = "fluent color"
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
DESCRIPTION = """Whether a text diff changes the style of a real picture, and leaves its concept.

    python -m evaluation.text_diff emoji --data data/emoji --num 100 --out diffs
    python -m evaluation.text_diff emoji --data data/emoji --way slerp --strengths 0.3,0.4,0.5 --out turned

Real test pictures of other styles are moved from "LABEL, STYLE style" toward "LABEL, fluent color style" (paper,
section 3.3), by either way of a text diff. For each strength the judge says in how many the new style is recognised,
and in how many the concept is still found among 100. `--out` then holds text_diff.json, text_diff.md, sheet.png (real
picture, then the strengths) and the pictures; the same command resumes after an interruption.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is moved, where to, and who judges.

    Attributes:
        data: what dalle2.datasets.emoji built.
        out: the folder of pictures and tables; an interrupted run resumes there.
        checkpoint: name, folder or hub id.
        num: how many real test pictures, chosen by the seed.
        style: what they are moved toward.
        way: one of `dalle2.settings.STRENGTHS`.
        strengths: of the diff, each from 0 to 1, ascending.
        steps: of the decoder, there and back; None for `INVERSION_STEPS`.
        clip: folder, hub id, or "judge"; None for the embedded judge.
    """

    data: Path
    out: Path
    checkpoint: str = "emoji"
    num: int = 100
    style: str = STYLE
    way: Literal["prior", "slerp"] = "prior"
    strengths: tuple[float, ...] = STRENGTHS
    steps: int | None = None
    clip: str | None = None
    seed: int = 0
    workers: int | None = None
    device: str | None = None
    dtype: str = "float32"


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="name, folder or hub id; default: emoji")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what dalle2.datasets.emoji built")
    words = "output directory of pictures and tables; an interrupted run resumes there"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--num", type=int, default=100, metavar="N", help="real test pictures; default 100")
    parser.add_argument("--style", default=STYLE, help=f"what they are moved toward; default: {STYLE}")
    parser.add_argument("--way", choices=WAYS, default="prior", help="prior, or slerp, the paper's; default: prior")
    default = ",".join(f"{strength:g}" for strength in STRENGTHS)
    words = f"from 0 to 1, with commas; default {default}"
    parser.add_argument("--strengths", type=_strengths, default=STRENGTHS, help=words)
    words = f"of the decoder, there and back; default {INVERSION_STEPS}"
    parser.add_argument("--steps", type=command.positive, help=words)
    command.add_measuring(parser, "of the choice, of picture 0, of intervals", batch_size=None)
    command.add_clip(parser)
    parser.add_argument("--dtype", default="float32", help="what the networks compute in; default float32")
    return command.parsed(parser, Options, argv)


def _strengths(text: str) -> tuple[float, ...]:
    try:
        found = tuple(sorted({float(value) for value in text.split(",")}))
    except ValueError as error:
        raise command.Refused(f"--strengths takes numbers with commas between them, not {text!r}.") from error
    if not all(0 <= strength <= 1 for strength in found):
        raise command.Refused(f"--strengths takes numbers from 0 to 1, not {text!r}.")
    return found
