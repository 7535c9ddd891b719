"""The options of evaluation.vqa."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs
from evaluation.prompts import SAMPLINGS, Sampling

PROG = "python -m evaluation.vqa"
KEY_VARIABLE = "OPENAI_API_KEY"
PARALLEL, SECONDS = 4, 60.0
DESCRIPTION = f"""Pictures judged by a model that sees and answers, behind any OpenAI-compatible endpoint.

    vllm serve MODEL &      or any other server of /v1/chat/completions
    python -m evaluation.vqa --images drawn --vqa-url http://localhost:8000/v1 --vqa-model MODEL --answers vqa.jsonl
    … --questions geneval2_data.jsonl      GenEval 2's own questions of each prompt (vqa_list), scored as Soft-TIFA

Without --questions one is asked of each picture: whether it shows its caption (as VQAScore does). Answers are kept in
--answers, so the same command goes on after a timeout and asks nothing twice. Pictures that the endpoint refuses, or
says nothing about, are left out, counted and named. The endpoint's key, if it wants one, is taken from ${KEY_VARIABLE}.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is asked of which pictures, and whom.

    Attributes:
        images: the folder of pictures.
        vqa_url: the endpoint's address up to /v1; vqa_model: the model's name there.
        answers: a .jsonl file in which answers are kept, and found again.
        prompts: the source of the captions; None for the folder's manifest. `sampling` is of this source.
        questions: a .jsonl or .json list with `prompt` and `vqa_list`, as GenEval 2 has it; None for one of our own.
        parallel: questions that are asked at a time; timeout: seconds for each answer.
        num: how many pictures, chosen by the seed; None for all.
    """

    images: Path
    vqa_url: str
    vqa_model: str
    answers: Path
    prompts: str | None = None
    sampling: Sampling = "captions"
    questions: Path | None = None
    parallel: int = PARALLEL
    timeout: float = SECONDS
    num: int | None = None
    seed: int = 0
    log_with: str | None = None
    report: tuple[Path, ...] = ()


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="the pictures to judge")
    words = "the endpoint, as http://localhost:8000/v1"
    parser.add_argument("--vqa-url", type=command.address, required=True, metavar="URL", help=words)
    parser.add_argument("--vqa-model", required=True, metavar="NAME", help="the model's name at the endpoint")
    words = "keep the answers there, and ask only for those that are missing"
    parser.add_argument("--answers", type=outputs.answers_file, required=True, metavar="FILE.jsonl", help=words)
    parser.add_argument("--prompts", metavar="SOURCE", help="their captions; default: those of the folder's manifest")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="of --prompts")
    words = "a list with prompt and vqa_list, as GenEval 2 has it; default: whether it shows its caption"
    parser.add_argument("--questions", type=Path, metavar="FILE", help=words)
    words = f"questions asked at a time; default {PARALLEL}"
    parser.add_argument("--parallel", type=command.positive, default=PARALLEL, metavar="N", help=words)
    words = f"seconds to wait for an answer; default {SECONDS:g}"
    parser.add_argument("--timeout", type=command.seconds, default=SECONDS, metavar="SECONDS", help=words)
    parser.add_argument("--num", type=int, help="judge so many, chosen by the seed; default: all")
    parser.add_argument(
        "--seed", type=command.whole, default=0, help="of --num, the order of questions, and intervals; default 0"
    )
    command.add_tracking(parser)
    command.add_reporting(parser)
    return command.parsed(parser, Options, argv)
