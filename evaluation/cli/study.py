"""The options of evaluation.study."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.cli import command, outputs

PROG = "python -m evaluation.study"
QUESTIONS = ("caption match", "photorealism")
CHECKS = 4
CONSENT = (
    "Your answers are kept with a random number instead of your name, with how long each took, and nothing else about "
    "you. They are used to compare programs that draw, and may be published. Taking part is voluntary: you may stop at "
    "any time, and take back all you answered."
)
DESCRIPTION = """Fixed pairs of drawn pictures, for people to judge.

    python -m evaluation.study drawn/a drawn/b --num 100 --per-rater 40 --out study
    python app.py --study study           asks whoever opens the page; the same again goes on
    python -m evaluation.votes study      win rates, ranking, agreement, and what predicts the answers

Every two of the folders, drawn from the same prompts and seeds, make a pair for each prompt.
"""


@dataclass(frozen=True)
class Options(command.CommandOptions):
    """What is to be judged, and how.

    Attributes:
        folders: two or more that generation drew from the same prompts and seeds.
        out: the study's folder, which must be new: a study that was asked once stays as it is.
        num: prompts, chosen by the seed; None for all.
        question: some of `QUESTIONS`.
        checks: attention checks; per_rater, raters: see `dalle2.judgements.study.Study`.
        title, words, consent, completion: what people read.
        ties: whether "no difference" is an answer.
    """

    folders: tuple[Path, ...]
    out: Path
    num: int | None = None
    question: tuple[str, ...] = QUESTIONS[:1]
    checks: int = CHECKS
    per_rater: int | None = None
    raters: int | None = None
    title: str = "Which picture is better?"
    words: str = "You will see two pictures at a time. Choose the better one; there is no right answer to know."
    consent: str = CONSENT
    completion: str = ""
    ties: bool = True
    seed: int = 0


def parse(argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; exits with 2 and one sentence for one that cannot be."""
    parser = command.Parser(prog=PROG, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="what generation drew")
    parser.add_argument("--out", type=outputs.out_folder, required=True, metavar="DIR", help="of the study; a new one")
    parser.add_argument("--num", type=command.positive, metavar="N", help="how many prompts; default: all")
    words = f"what is asked of each pair; default: {QUESTIONS[0]}"
    parser.add_argument("--question", nargs="+", choices=QUESTIONS, default=list(QUESTIONS[:1]), help=words)
    words = f"pairs with a known answer, which tell who does not look; default {CHECKS}"
    parser.add_argument("--checks", type=command.whole, default=CHECKS, metavar="N", help=words)
    parser.add_argument("--per-rater", type=command.positive, metavar="N", help="pairs of each rater; default: all")
    parser.add_argument("--raters", type=command.positive, metavar="N", help="how many may take part; default: any")
    parser.add_argument("--title", default=Options.title)
    parser.add_argument("--words", default=Options.words, help="what raters read before they begin")
    parser.add_argument("--consent", default=CONSENT, help="what raters agree to; default: see study.json")
    parser.add_argument("--completion", default="", help="what they are told at the end, such as a code")
    words = 'leave out the answer "no difference"'
    parser.add_argument("--no-ties", dest="ties", action="store_false", help=words)
    parser.add_argument("--seed", type=command.whole, default=0, help="of --num, and of checks; default 0")
    return command.parsed(parser, Options, argv)
