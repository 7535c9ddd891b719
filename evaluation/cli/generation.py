"""The options of evaluation.generation."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2.cli.arguments import add_arguments
from evaluation.cli import command, outputs
from evaluation.prompts import Sampling

PROG = "evaluation.generation"
DESCRIPTION = "Draw a prompt set into a folder; resumable."
BATCH_SIZE = 8


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """Which prompts are drawn, with which checkpoint, into which folder.

    Attributes:
        prompts: their source; `num`, `sampling`, `sampling_seed` and `protocol` choose among them.
        out: the folder; an interrupted run resumes there.
        per_prompt: pictures of each prompt.
        seed: of picture 0; picture i has seed + i.
        map: a JSON file of {prompt: path of its picture}, as GenEval 2 takes it.
        turns: the name of a run in which several processes take turns; see `drawing.turns`.
        understand: draw what the checkpoint understands of each prompt.
        ray: the address of a Ray cluster that draws, "" for the environment's or one of this machine; None for this
            process alone.
        checkpoint: folder, hub id or id@revision, or PRIOR+DECODER; None for the embedded one. It and what
            follows are as dalle2 reads them from a command line.
    """

    prompts: str
    out: Path
    num: int | None = None
    sampling: Sampling = "captions"
    sampling_seed: int = 0
    protocol: str | None = None
    per_prompt: int = 1
    seed: int = 0
    batch_size: int = BATCH_SIZE
    map: Path | None = None
    turns: str | None = None
    understand: bool = False
    ray: str | None = None
    checkpoint: str | None = None
    loras: Sequence[str] = ()
    draft: bool = False
    quality: str | None = None
    steps: str | None = None
    guidance: str | None = None
    negative_prompt: str | None = None
    scheduler: str | None = None
    noise_level: str | None = None
    prior: str | None = None
    device: str | None = None
    dtype: str | None = None
    compile: bool = False
    engine: str | None = None
    allow_pickle: bool = False
    offload: bool | str | None = None
    tokenizer: str | None = None


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog="python -m evaluation.generation", description=DESCRIPTION)
    command.add_prompts(parser)
    parser.add_argument("--per-prompt", type=int, default=1, metavar="K", help="pictures of each prompt; default 1")
    words = "output directory; an interrupted run resumes there"
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--seed", type=int, default=0, help="of picture 0; picture i has SEED + i; default 0")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, metavar="B", help="default: %(default)s")
    words = "also write {prompt: path of its picture}, as GenEval 2 takes it; an older one is replaced"
    parser.add_argument("--map", type=outputs.map_file, metavar="FILE.json", help=words)
    parser.add_argument("--turns", help=argparse.SUPPRESS)  # drawing.turns says when to draw; the name of its run
    understand = "draw what the checkpoint understands of each prompt; the very words where that is nothing"
    parser.add_argument("--understand", action="store_true", help=understand)
    command.add_ray(parser, "draw batches")
    add_arguments(parser)
    return command.parsed(parser, Options, argv)
