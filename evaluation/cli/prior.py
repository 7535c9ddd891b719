"""The options of evaluation.prior."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2.cli.arguments import add_arguments
from evaluation.cli import command
from evaluation.prompts import Sampling

PROG = "python -m evaluation.prior"
DESCRIPTION = """How near the priors' image embeddings come to those of the real pictures.

    python -m evaluation.prior --checkpoint C --prompts coco:COCO --num 500
    python -m evaluation.prior --prompts emoji:data/emoji/test-pictures --report priors.md

Every prior of the checkpoint, or the one that --prior names, one under another: whether the predicted embedding finds
its own picture among a hundred, the Fréchet distance to the true embeddings, the cosine to the true one, and the time.
Beside them stands what no prior at all would reach: the caption's own text embedding in its place (paper, section
5.1), and the picture of another prompt. All in the checkpoint's own space: no picture is drawn.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """Which prompts, and which priors of which checkpoint.

    Attributes:
        prompts: their source; `num`, `sampling`, `sampling_seed` and `protocol` choose among them.
        seed: of prompt 0; prompt i has seed + i.
        prior: the only kind that is measured; None for all that the checkpoint has.
        checkpoint: folder, hub id or id@revision, or PRIOR+DECODER; None for the embedded one. It and what
            follows are as dalle2 reads them from a command line.
    """

    prompts: str
    num: int | None = None
    sampling: Sampling = "captions"
    sampling_seed: int = 0
    protocol: str | None = None
    seed: int = 0
    batch_size: int = 32
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
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_prompts(parser)
    parser.add_argument("--seed", type=command.whole, default=0, help="of prompt 0; prompt i has SEED + i; default 0")
    parser.add_argument("--batch-size", type=command.positive, default=32, help="default 32")
    add_arguments(parser)
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
