"""The options of evaluation.fid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command
from evaluation.networks import RESIZES, SPELLINGS, WEIGHTS_VARIABLE
from evaluation.prompts.protocol import PROTOCOLS

PROG = "python -m evaluation.fid"
DESCRIPTION = "FID, KID, MIND, precision, recall, density, coverage and Inception score of a folder."
GROUPS = 20


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is measured, and how.

    Attributes:
        images: the folder of pictures.
        reference: a folder of real pictures, or an .npz of their statistics; None to save statistics only.
        save_stats: where the pictures' statistics and features are kept.
        network: one or more of `networks.NETWORKS` as the command line spells them, each a pass of its own.
        inception_weights: a file, or "download"; None for what is found on this machine.
        resize: ways to a network's size, a pass each for every network that knows them; () for each one's first.
        size: the canonical form before that (short side, then centre crop), in pixels a side; None for as they are.
        protocol: fixes all of it as near to published tables as known.
        num: how many are measured, chosen by the seed; None for all.
        groups: of the jackknife, 0 for no interval.
        fdr: other real pictures, over whose own distance each Fréchet distance is told as well; "half" to hold out half
            of the reference.
    """

    images: Path
    reference: Path | None = None
    save_stats: Path | None = None
    network: tuple[str, ...] = ("inception",)
    inception_weights: str | None = None
    resize: tuple[str, ...] = ()
    size: int | None = None
    protocol: str | None = None
    num: int | None = None
    groups: int = GROUPS
    fdr: str | None = None
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    device: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="the pictures to measure")
    parser.add_argument("--reference", type=Path, metavar="FOLDER_OR_NPZ", help="real pictures, or statistics of them")
    words = "keep the pictures' statistics and features; older ones of that name are replaced"
    parser.add_argument("--save-stats", type=command.statistics_file, metavar="FILE.npz", help=words)
    words = f"one or more of {SPELLINGS}; default: inception"
    parser.add_argument("--network", nargs="+", default=["inception"], metavar="NETWORK", help=words)
    parser.add_argument("--inception-weights", metavar="FILE", help=f'or "download"; default: ${WEIGHTS_VARIABLE}')
    words = "to Inception's 299 pixels (default: clean), or to an encoder's size (default: published)"
    parser.add_argument("--resize", nargs="+", default=[], choices=RESIZES, help=words)
    words = "before that: short side to SIZE, centre crop; default: as they are"
    parser.add_argument("--size", type=command.positive, help=words)
    parser.add_argument("--protocol", choices=PROTOCOLS, help="fixes all of it as near to published tables as known")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    words = f"of the jackknife, 0 for none; default {GROUPS}"
    parser.add_argument("--groups", type=command.whole, default=GROUPS, help=words)
    words = 'each Fréchet distance also over that of these other real pictures; "half" holds out half of the reference'
    parser.add_argument("--fdr", metavar="FOLDER", help=words)
    command.add_measuring(parser, seed="of --num, of subsets and of intervals")
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
