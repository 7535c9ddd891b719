"""The options of evaluation.fid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evaluation.cli import command, outputs
from evaluation.networks import PRECISIONS, RESIZES, SPELLINGS, WEIGHTS_VARIABLE
from evaluation.prompts.protocol import PROTOCOLS

PROG = "python -m evaluation.fid"
DESCRIPTION = "FID, KID, MIND, precision, recall, density, coverage and Inception score of a folder."
GROUPS = 20
HALF = "half"
SOURCES = "a folder, .zip, .tar, .parquet, a folder of such shards, hub:ID[:SPLIT], or ADM's .npz of pictures"
FORMS = ("pytorch-fid", "clean-fid", "adm")
Form = Literal["pytorch-fid", "clean-fid", "adm"]


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is measured, and how.

    Attributes:
        images: the pictures: see `pictures.sources`.
        reference: real pictures, an .npz of their statistics, or a name that such were saved by; None to save
            statistics only.
        reference_form: the program that wrote the reference's .npz, where the file does not say.
        by: "folder", a column, or of a sample of WebDataset an ending or a key of its .json: distances are told of each
            of its groups as well.
        save_stats: where the pictures' statistics and features are kept.
        stats_form: a program that can read what is kept; None for our own form, which has the features too.
        stats_name: by which later runs can name the statistics as their reference.
        hub_results: a .yaml for a model's card on the hub, of the dataset `hub_dataset` ("ID" or "ID:TASK").
        network: one or more of `networks.NETWORKS` as the command line spells them, each a pass of its own.
        inception_weights: a file, or "download"; None for what is found on this machine.
        resize: ways to a network's size, a pass each for every network that knows them; () for each one's first.
        precision: that Inception computes in; distances in bf16 have names of their own.
        size: the canonical form before that (short side, then centre crop), in pixels a side; None for as they are.
        protocol: fixes all of it as near to published tables as known.
        num: how many are measured, chosen by the seed; None for all.
        groups: of the jackknife, 0 for no interval.
        fdr: other real pictures, over whose own distance each Fréchet distance is told as well; "half" to hold out half
            of the reference.
        work: a folder that features are kept in while they are extracted: a killed run goes on with them, and several
            processes share it; None for a temporary one where there are several.
        ray: the address of a Ray cluster that extracts features, "" for the environment's or one of this machine; None
            for this process alone.
    """

    images: Path
    reference: Path | None = None
    reference_form: Form | None = None
    by: str | None = None
    save_stats: Path | None = None
    stats_form: Form | None = None
    stats_name: str | None = None
    hub_results: Path | None = None
    hub_dataset: str | None = None
    network: tuple[str, ...] = ("inception",)
    inception_weights: str | None = None
    resize: tuple[str, ...] = ()
    precision: str = "float32"
    size: int | None = None
    protocol: str | None = None
    num: int | None = None
    groups: int = GROUPS
    fdr: str | None = None
    work: Path | None = None
    ray: str | None = None
    seed: int = 0
    batch_size: int = 32
    workers: int | None = None
    device: str | None = None
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION)
    parser.add_argument("--images", type=Path, required=True, metavar="SOURCE", help=f"the pictures: {SOURCES}")
    words = "real pictures, alike, or an .npz of their statistics, or the --stats-name of some"
    parser.add_argument("--reference", type=Path, metavar="SOURCE", help=words)
    words = "the program that wrote the reference's .npz, where the file does not say"
    parser.add_argument("--reference-form", choices=FORMS, help=words)
    words = (
        "distances by group too: folder, for sub-folders, a column of the table or metadata file, or of WebDataset's "
    )
    words += "samples an ending, as cls, or a key of their .json"
    parser.add_argument("--by", metavar="COLUMN", help=words)
    words = "keep the pictures' statistics and features; older ones of that name are replaced"
    parser.add_argument("--save-stats", type=outputs.statistics_file, metavar="FILE.npz", help=words)
    words = f"one or more of {SPELLINGS}; default: inception"
    parser.add_argument("--stats-form", choices=FORMS, help="write them as this program reads them; default: ours")
    parser.add_argument("--stats-name", metavar="NAME", help="name them, so that --reference NAME finds them")
    parser.add_argument("--network", nargs="+", default=["inception"], metavar="NETWORK", help=words)
    parser.add_argument("--inception-weights", metavar="FILE", help=f'or "download"; default: ${WEIGHTS_VARIABLE}')
    words = "to Inception's 299 pixels (default: clean), or to an encoder's size (default: published)"
    parser.add_argument("--resize", nargs="+", default=[], choices=RESIZES, help=words)
    words = "that Inception computes in: bf16 is faster, deviates a little, and mixes with nothing in float32"
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help=words)
    words = "before that: short side to SIZE, centre crop; default: as they are"
    parser.add_argument("--size", type=command.positive, help=words)
    parser.add_argument("--protocol", choices=PROTOCOLS, help="fixes all of it as near to published tables as known")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    words = f"of the jackknife, 0 for none; default {GROUPS}"
    parser.add_argument("--groups", type=command.whole, default=GROUPS, help=words)
    words = 'each Fréchet distance also over that of these other real pictures; "half" holds out half of the reference'
    parser.add_argument("--fdr", metavar="FOLDER", help=words)
    words = "keep features there while they are extracted: the same command goes on after a kill; processes share it"
    parser.add_argument("--work", type=outputs.out_folder, metavar="DIR", help=words)
    command.add_ray(parser, "extract features")
    command.add_measuring(parser, seed="of --num, of subsets and of intervals")
    command.add_tracking(parser)
    command.add_reporting(parser)
    words = "also write the results as a model's card and .eval_results on the Hugging Face hub have them"
    parser.add_argument("--hub-results", type=outputs.yaml_file, metavar="FILE.yaml", help=words)
    parser.add_argument("--hub-dataset", metavar="ID[:TASK]", help="the dataset on the hub that they are of")
    return command.parsed(parser, Options, argv)
