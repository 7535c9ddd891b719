"""python -m evaluation.understanding: how often a checkpoint takes a prompt for the right thing, and pretends.

    python -m evaluation.understanding emoji                     all thresholds, on the part of the list to choose on
    python -m evaluation.understanding emoji --part "held out" --threshold 0.63 --list

`understanding.tsv` is our own list of what people ask for (CC0). No line of `paraphrases.tsv` is among it.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console

from dalle2.sentence_encoder import SentenceEncoder
from dalle2.understanding.interpreter import GUESS, THRESHOLD, Interpreter
from dalle2.understanding.vocabulary import Vocabulary
from evaluation.networks.clip import CHECKPOINTS
from evaluation.reporting.report import print_table

LIST = Path(__file__).parent / "emoji" / "understanding.tsv"
PARTS = ("choose", "held out")
THRESHOLDS = tuple(np.arange(0.5, 0.805, 0.02).round(2))
COLUMNS = ("threshold", "right", "another", "only offered", "… the right one", "pretended")
STYLES = ("emojione", "fluent color", "fluent flat", "noto", "noto v1", "openmoji", "twemoji")


@dataclass(frozen=True)
class Asked:
    """A prompt and the labels that are right; none where the checkpoint cannot draw it."""

    prompt: str
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """Shares of the prompts that can be drawn (`right`, `another`, `offered`), and of those that cannot (`pretended`).

    `offered_right` is the share of what can be drawn where the right concept is among the offers only.
    `faults` are (prompt, what was drawn or offered).
    """

    threshold: float
    right: float
    another: float
    offered: float
    offered_right: float
    pretended: float
    faults: tuple[tuple[str, str], ...]

    def row(self) -> tuple[str, ...]:
        """For a table."""
        shares = (self.right, self.another, self.offered, self.offered_right, self.pretended)
        return (f"{self.threshold:.2f}", *(f"{share:.1%}" for share in shares))


def read_list(part: str, file: Path = LIST) -> list[Asked]:
    """The prompts of a part."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Asked(row["prompt"], tuple(filter(None, row["concepts"].split("|")))) for row in rows if row["part"] == part
        ]


def answer(interpreter: Interpreter, asked: Sequence[Asked]) -> Answered:
    """What becomes of the prompts."""
    right = another = offered = offered_right = pretended = 0
    faults = []
    for one in asked:
        found = interpreter.understand(one.prompt)
        drawn = found.concept.label if found.concept else ""
        if not one.concepts:
            pretended += bool(drawn)
            faults += [(one.prompt, drawn)] if drawn else []
            continue
        right += drawn in one.concepts
        another += bool(drawn) and drawn not in one.concepts
        offered += not drawn
        offered_right += not drawn and any(near.label in one.concepts for near in found.nearest)
        if drawn not in one.concepts:
            faults.append((one.prompt, drawn or "? " + ", ".join(near.label for near in found.nearest)))
    known = sum(bool(one.concepts) for one in asked)
    counts = (right, another, offered, offered_right)
    shares = (count / known for count in counts)
    return Answered(interpreter.threshold, *shares, pretended / (len(asked) - known), tuple(faults))


class _Remembering:
    """An encoder that embeds each text once."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.words = encoder.words
        self._embed = cache(lambda text: encoder.embed([text])[0])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """As the encoder does."""
        return np.stack([self._embed(text) for text in texts])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table; exits with 2 and one sentence when something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.understanding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="a folder with a vocabulary; default: emoji")
    parser.add_argument("--part", choices=PARTS, default=PARTS[0], help="of the list; default: choose")
    parser.add_argument("--threshold", type=float, action="append", help=f"one, or several; {THRESHOLD} is used")
    parser.add_argument("--guess", type=float, default=GUESS, help="of descriptions; default: %(default)s")
    parser.add_argument("--list", action="store_true", help="what went wrong at the last threshold")
    options = parser.parse_args(arguments)
    folder = CHECKPOINTS / options.checkpoint
    folder = folder if folder.is_dir() else Path(options.checkpoint).expanduser()
    try:
        vocabulary, encoder = Vocabulary.read(folder), SentenceEncoder.installed()
        if vocabulary is None or encoder is None:
            raise ValueError(f"{folder} has no vocabulary, or the sentence encoder is not installed.")
    except ValueError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    encoder, asked = _Remembering(encoder), read_list(options.part)
    answered = []
    for threshold in options.threshold or THRESHOLDS:
        answered.append(answer(Interpreter(vocabulary, STYLES, lambda: encoder, threshold, options.guess), asked))
    known = sum(bool(one.concepts) for one in asked)
    title = f"{options.part}: {known} prompts that can be drawn, {len(asked) - known} that cannot"
    print_table(Console(), title, COLUMNS, [one.row() for one in answered])
    if options.list:
        for prompt, said in answered[-1].faults:
            print(f"{prompt}\t{said}")


if __name__ == "__main__":
    sys.exit(main())
