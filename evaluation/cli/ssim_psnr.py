"""The options of evaluation.ssim_psnr."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.cli import command

PROG = "python -m evaluation.ssim_psnr"
DESCRIPTION = """SSIM, PSNR and LPIPS of pairs that mean something.

    python -m evaluation.ssim_psnr --images A --reference B            two folders, paired by file name
    python -m evaluation.ssim_psnr --reference PHOTOS --checkpoint C   each decoded again from its own embedding
    … --mode inversion                                                 and from its own noise too (paper, section 3.1)
    … --mode inversion --at decoder                                    the same before the upsampler, at its size
    … --mode upsampler                                                 made as small as it takes them, and enlarged

Two folders of one manifest's prompts and seeds compare two checkpoints or settings. A picture drawn from a caption
beside the caption's photograph is no such pair. The anchors tell what the numbers are worth: the flat mean colour of
the very picture often beats a drawing.
"""
Mode = Literal["pairs", "reconstruction", "inversion", "upsampler"]
MODES: dict[Mode, str] = {
    "pairs": "two folders, paired by file name",
    "reconstruction": "each picture decoded again from its own image embedding",
    "inversion": "the same from its own noise as well, found by DDIM inversion",
    "upsampler": "each picture made as small as the upsampler takes it, and enlarged by it alone",
}


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is measured, and against what.

    Attributes:
        reference: the folder of what pictures should look like.
        images: the pictures to measure, in pairs; None where a checkpoint draws the reference again.
        mode: one of `MODES`; None for pairs where there are images, else reconstruction.
        checkpoint: what draws; None for the embedded checkpoint.
        size: in pairs, the canonical form (short side, then centre crop); None for pictures as they are.
        at: at the pictures' size, or at the decoder's.
        steps: of the inversion, both ways; None for the checkpoint's. `refinements`: of each inverted step.
        border: where SSIM's window stands: "inside" the picture only, as published and as scikit-image's map without 5
            pixels of border, or "reflected" there, as in torchmetrics.
        lpips_weights: torchvision's AlexNet or VGG16 state dict; None leaves LPIPS out.
        num: how many are measured, chosen by the seed; None for all.
    """

    reference: Path
    images: Path | None = None
    mode: Mode | None = None
    checkpoint: str | None = None
    size: int | None = None
    at: Literal["picture", "decoder"] = "picture"
    steps: int | None = None
    refinements: int = 1
    border: Literal["inside", "reflected"] = "inside"
    lpips_weights: Path | None = None
    num: int | None = None
    seed: int = 0
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="the pictures to measure; their names pair them")
    parser.add_argument("--reference", type=Path, required=True, metavar="FOLDER", help="what they should look like")
    parser.add_argument(
        "--mode", choices=tuple(MODES), help="; ".join(f"{name}: {text}" for name, text in MODES.items())
    )
    parser.add_argument("--checkpoint", help="what draws in the other modes; default: the embedded checkpoint")
    parser.add_argument(
        "--size", type=command.positive, help="in pairs: short side to SIZE, centre crop; default: as they are"
    )
    parser.add_argument(
        "--at", choices=("picture", "decoder"), default="picture", help="at whose size; default picture"
    )
    parser.add_argument("--steps", type=command.positive, help="of the inversion, both ways; default: the checkpoint's")
    parser.add_argument(
        "--refinements", type=command.whole, default=1, help="of each inverted step; 0 is plain; default 1"
    )
    words = (
        "where SSIM's window stands: inside the picture only (default), or reflected at its border as in torchmetrics"
    )
    parser.add_argument("--border", choices=("inside", "reflected"), default="inside", help=words)
    parser.add_argument("--lpips-weights", type=Path, metavar="FILE", help="torchvision's AlexNet or VGG16 state dict")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    seed = "of --num, of the first picture, of intervals"
    command.add_measuring(parser, seed, batch_size=None, workers=False)
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
