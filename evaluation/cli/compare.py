"""The options of evaluation.compare."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs
from evaluation.networks import SPELLINGS
from evaluation.prompts import KINDS, SAMPLINGS, Sampling
from evaluation.reporting.trackers import TRACKERS

PROG = "python -m evaluation.compare"
SUFFIXES = (".html", ".md", ".json", ".csv")
DESCRIPTION = """The same prompts and seeds for all, and what of the difference is chance.

    python -m evaluation.compare emoji "emoji --steps 10,4,2" --prompts emoji --num 200 --out compared
    python -m evaluation.compare drawn/a drawn/b --reference photos --votes votes.csv --out compared

A contestant is a checkpoint with generation's own options, or a folder that generation drew. `--out` then holds the
pictures and comparison.html, .md, .json and .csv; the same command resumes after an interruption.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is compared, and with what; only the contestants and `out` must be named.

    Attributes:
        contestants: each a checkpoint, a checkpoint with options of generation, or a folder that generation drew.
        out: the folder of pictures and reports.
        prompts: their source, where anything is drawn; `num`, `sampling` and `sampling_seed` choose among them.
        seed: of picture 0, and of all resampling.
        clip: what judges captions; None for the embedded judge.
        network: what distances are taken with; None for Inception where its weights are, else the judge.
        reference: real pictures or statistics of them; None for those that the prompts name.
        size: the canonical form before distances, in pixels a side; None for pictures as they are.
        guidance_sweep: guidance scales at which those are drawn too whose own is open; steps_sweep: numbers of steps.
        fail_if: conditions under which a contestant is worse than the first; see `comparing.conditions`.
    """

    contestants: tuple[str, ...]
    out: Path
    prompts: str | None = None
    num: int | None = None
    sampling: Sampling = "captions"
    sampling_seed: int = 0
    seed: int = 0
    batch_size: int = 8
    workers: int | None = None
    device: str | None = None
    one_at_a_time: bool = False
    clip: str | None = None
    network: str | None = None
    inception_weights: str | None = None
    reference: Path | None = None
    size: int | None = None
    guidance_sweep: tuple[str, ...] = ()
    steps_sweep: tuple[str, ...] = ()
    votes: Path | None = None
    log_with: str | None = None
    fail_if: tuple[str, ...] = ()
    report: tuple[Path, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Return the reports that are always written."""
        return [self.out / f"comparison{suffix}" for suffix in SUFFIXES]

    @property
    def written(self) -> list[Path]:
        return [*self.files, *super().written]


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contestants", nargs="+", metavar="CONTESTANT", help='as emoji, "emoji --steps 10,4,2", FOLDER')
    add_measuring(parser)
    parser.add_argument(
        "--one-at-a-time", action="store_true", help="draw one after another: less memory, but times do not compare"
    )
    parser.add_argument(
        "--guidance-sweep",
        nargs="+",
        default=[],
        type=command.guidance,
        metavar="G",
        help="draw also at these, each as 4 or 4,8 (--guidance)",
    )
    words = "draw also with so many steps, each as 10 or 10,4,2 (--steps)"
    parser.add_argument("--steps-sweep", nargs="+", default=[], type=command.steps, metavar="N", help=words)
    parser.add_argument("--votes", type=Path, metavar="FILE.csv", help="human votes: question, a, b, winner")
    words = f"hand the measures to a tracker as well, a step a contestant: {', '.join(TRACKERS)}"
    parser.add_argument("--log-with", type=command.tracker, metavar="TRACKER", help=words)
    words = 'exit with 1 where one is worse than the first: "fid worse than 2 %% at p < 0.01" (repeatable)'
    parser.add_argument("--fail-if", action="append", default=[], metavar="CONDITION", help=words)
    command.add_reporting(parser, SUFFIXES)
    return command.parsed(parser, Options, argv)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add what is drawn and how it is measured, as all commands have it that compare what they draw."""
    parser.add_argument("--prompts", metavar="SOURCE", help=f"for what is drawn: {KINDS}")
    parser.add_argument("--num", type=int, metavar="N", help="how many prompts; default: all")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="see evaluation.generation")
    parser.add_argument("--sampling-seed", type=int, default=0, metavar="S", help="which N prompts; default 0")
    words = "output directory; an interrupted run resumes there, older reports are replaced"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    command.add_measuring(parser, "of picture 0, and of all resampling", batch_size=8)
    parser.add_argument("--clip", metavar="CLIP", help="what judges captions: folder, hub id, judge; default: judge")
    parser.add_argument("--network", help=f"what distances are taken with: {SPELLINGS}")
    parser.add_argument("--inception-weights", metavar="FILE", help="see evaluation.fid")
    parser.add_argument("--reference", type=Path, metavar="FOLDER_OR_NPZ", help="real pictures; default: the prompts'")
    parser.add_argument(
        "--size", type=command.positive, help="before distances: short side to SIZE, centre crop; default: as they are"
    )
