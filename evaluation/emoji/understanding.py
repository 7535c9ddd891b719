"""What becomes of prompts that people ask for: the work of `evaluation.understanding`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dalle2.sentence_encoder import SentenceEncoder
from dalle2.understanding.interpreter import GUESS, Interpreter
from dalle2.understanding.vocabulary import Vocabulary
from evaluation.cli.understanding import Options
from evaluation.networks.embedded import checkpoint_folder

LIST = Path(__file__).with_suffix(".tsv")
THRESHOLDS = tuple(np.arange(0.5, 0.805, 0.02).round(2))
COLUMNS = ("threshold", "right", "another", "only offered", "… the right one", "pretended")
STYLES = ("emojione", "fluent color", "fluent flat", "noto", "noto v1", "openmoji", "twemoji")


@dataclass(frozen=True)
class LabelledPrompt:
    """A prompt and the labels that are right; none where the checkpoint cannot draw it."""

    prompt: str
    concepts: tuple[str, ...]


@dataclass(frozen=True)
class AnswerShares:
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
        """Return a row of a table."""
        shares = (self.right, self.another, self.offered, self.offered_right, self.pretended)
        return (f"{self.threshold:.2f}", *(f"{share:.1%}" for share in shares))


def read_list(part: str, file: Path = LIST) -> list[LabelledPrompt]:
    """Return the prompts of a part."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            LabelledPrompt(row["prompt"], tuple(filter(None, row["concepts"].split("|"))))
            for row in rows
            if row["part"] == part
        ]


def answer(interpreter: Interpreter, asked: Sequence[LabelledPrompt]) -> AnswerShares:
    """Return how the checkpoint understands the prompts."""
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
    return AnswerShares(interpreter.threshold, *shares, pretended / (len(asked) - known), tuple(faults))


@dataclass(frozen=True)
class Understanding:
    """The answers at each threshold, over so many prompts that can be drawn and so many that cannot."""

    part: str
    answered: tuple[AnswerShares, ...]
    known: int
    unknown: int

    @property
    def title(self) -> str:
        """Return what a table of them is called."""
        return f"{self.part}: {self.known} prompts that can be drawn, {self.unknown} that cannot"


def ask(options: Options) -> Understanding:
    """Ask a checkpoint the prompts of a part; ValueError where it has no vocabulary."""
    folder = checkpoint_folder(options.checkpoint)
    vocabulary, encoder = Vocabulary.read(folder), SentenceEncoder.installed()
    if vocabulary is None or encoder is None:
        raise ValueError(f"{folder} has no vocabulary, or the sentence encoder is not installed.")
    remembering, asked = _Remembering(encoder), read_list(options.part)
    guess = GUESS if options.guess is None else options.guess
    answered = [
        answer(Interpreter(vocabulary, STYLES, lambda: remembering, threshold, guess), asked)  # ty: ignore[invalid-argument-type]  (as good as one)
        for threshold in options.threshold or THRESHOLDS
    ]
    known = sum(bool(one.concepts) for one in asked)
    return Understanding(options.part, tuple(answered), known, len(asked) - known)


class _Remembering:
    """An encoder that embeds each text once."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.words = encoder.words
        self._embed = cache(lambda text: encoder.embed([text])[0])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts as the encoder does."""
        return np.stack([self._embed(text) for text in texts])
