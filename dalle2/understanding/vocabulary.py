"""What a checkpoint knows, beside its weights: concepts with their words in some thirty languages, and their meaning.

    python -m dalle2.understanding data/emoji CHECKPOINT      writes the files for a checkpoint that lacks them

``vocabulary.parquet`` has a row for each concept and language; ``vocabulary.safetensors`` what the sentence encoder
makes of the concepts, of their English tags, glosses and descriptions, in the directions that tell these apart best and
in eight bits a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dalle2 import atomic, hashes
from dalle2.sentence_encoder import SentenceEncoder
from dalle2.understanding.descriptions import read_descriptions

WORDS, VECTORS = "vocabulary.parquet", "vocabulary.safetensors"
GLOSSES = 6  # of a dictionary's words for a concept, the nearest, that help to say what it means
KEPT_GLOSSES = 3  # of these, the nearest, of which each keeps its own meaning
GLOSS_WEIGHT = 0.5  # beside the label and the label with tags
DESCRIPTION_WEIGHT = 1.0
DIRECTIONS = 256  # of the encoder's, which are kept
LEVELS = 127
TINY = 1e-12  # a length to divide by in the place of zero
_TAB = "\t"  # between words, none of which has one


@dataclass(frozen=True)
class Entry:
    """A concept.

    Attributes:
        code: its code points, such as "1f431". trained: whether the checkpoint was ever shown it.
        words: language -> its label there, then its tags.
    """

    code: str
    trained: bool
    words: Mapping[str, Sequence[str]]

    @property
    def label(self) -> str:
        """English."""
        return self.words["en"][0]

    @property
    def chinese(self) -> str:
        """Its simplified Chinese label; the English one where there is none."""
        return self.words.get("zh", self.words["en"])[0]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Concepts in their usual order, and what they mean.

    Attributes:
        meanings: (concepts, width) float32 of length one.
        tag_meanings: (tags, width) of the English tags, each once, in alphabetical order.
        gloss_meanings: (glosses, width) of a dictionary's words for concepts, and of our own descriptions, which
            `glossed` (glosses,) numbers.
        directions: (the encoder's width, width) by which `projected` brings a text's meaning to that of the others.
    """

    entries: tuple[Entry, ...]
    meanings: np.ndarray
    tag_meanings: np.ndarray
    gloss_meanings: np.ndarray
    glossed: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(
        cls, records: Iterable[Mapping[str, Any]], encoder: SentenceEncoder, held_out: Iterable[str] = ()
    ) -> "Vocabulary":
        """Of the rows of an emoji set.

        Args:
            held_out: codes of concepts that the checkpoint was never shown.
        """
        rows = {row["concept"]: row for row in records}
        rows = {code: rows[code] for code in sorted(rows)}
        unseen = set(held_out)
        words = [
            {said["language"]: [said["label"], *said["tags"]] for said in row["captions"]} for row in rows.values()
        ]
        entries = tuple(Entry(code, code not in unseen, said) for code, said in zip(rows, words, strict=True))
        labels = [entry.label for entry in entries]
        tagged = [f"{entry.label}: {', '.join(entry.words['en'][1:])}" for entry in entries]
        meanings = encoder.embed(labels) + encoder.embed(tagged)
        glosses = [(row.get("paraphrases") or [])[:GLOSSES] for row in rows.values()]
        described = [read_descriptions().get(label, ()) for label in labels]
        said, glossed = _embed_each(glosses, encoder)
        descriptions, about = _embed_each(described, encoder)
        meanings += GLOSS_WEIGHT * _means(said, glossed, len(entries))
        meanings += DESCRIPTION_WEIGHT * _means(descriptions, about, len(entries))
        rank = np.array([rank for of in glosses for rank in range(len(of))], dtype=int)
        kept = rank < KEPT_GLOSSES
        parts = [_unit(meanings), encoder.embed(_tags(entries)), np.concatenate([said[kept], descriptions])]
        directions = _principal_directions(np.concatenate(parts))
        return cls(
            entries,
            *(_unit(part @ directions) for part in parts),
            np.concatenate([glossed[kept], about]),
            directions,
        )

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary | None":
        """Read a checkpoint's own, None when it has none; ValueError when its files are damaged or do not match."""
        if not (folder / WORDS).is_file():
            return None
        try:
            with pyarrow.parquet.ParquetFile(folder / WORDS) as words:  # read_table would import pandas
                entries = _entries(words.read().to_pydict())
            with safe_open(folder / VECTORS, framework="numpy") as file:
                if (file.metadata() or {}).get("words") != hashes.of_file(folder / WORDS):
                    raise ValueError("its vectors are of other words")
                names = ("concepts", "tags", "glosses")
                meanings, tags, glosses = (_unit(file.get_tensor(name).astype(np.float32)) for name in names)
                glossed, directions = file.get_tensor("glossed"), file.get_tensor("directions").astype(np.float32)
            if (len(meanings), len(tags), len(glosses)) != (len(entries), len(_tags(entries)), len(glossed)):
                raise ValueError("it has not one vector for each of its words")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ValueError(
                f"The vocabulary in {folder} is damaged ({error}): write it again with python -m dalle2.understanding, "
                f"or remove {WORDS}."
            ) from error
        return cls(entries, meanings, tags, glosses, glossed, directions)

    def write(self, folder: Path) -> None:
        """Into a checkpoint's folder; each file appears whole or not at all."""
        rows = [
            (e.code, e.trained, language, _TAB.join(said)) for e in self.entries for language, said in e.words.items()
        ]
        table = pyarrow.table([*map(list, zip(*rows, strict=True))], names=["concept", "trained", "language", "words"])
        parts = {"concepts": self.meanings, "tags": self.tag_meanings, "glosses": self.gloss_meanings}
        tensors = {name: _rounded(rows) for name, rows in parts.items()} | {"glossed": self.glossed}
        tensors["directions"] = self.directions.astype(np.float16)
        with atomic.file(folder / WORDS) as words, atomic.file(folder / VECTORS) as vectors:
            pyarrow.parquet.write_table(table, words, compression="zstd", compression_level=19)
            save_file(tensors, vectors, {"words": hashes.of_file(words)})
            vectors.chmod(words.stat().st_mode)  # it is written for the owner's eyes only

    def extended(self, names: Sequence[str]) -> "Vocabulary":
        """Return the same with further concepts, which are known by their names alone: near to nothing in meaning."""
        entries = tuple(Entry(f"taught {name}", True, {"en": (name,)}) for name in names)
        rows = np.zeros((len(names), self.meanings.shape[1]), self.meanings.dtype)
        return replace(self, entries=(*self.entries, *entries), meanings=np.concatenate([self.meanings, rows]))

    def projected(self, vectors: np.ndarray) -> np.ndarray:
        """Return what the encoder makes of texts (texts, the encoder's width) as (texts, width) of length one."""
        return _unit(vectors @ self.directions)

    @cached_property
    def tags(self) -> dict[str, int]:
        """English tag -> its row of `tag_meanings`."""
        return {tag: row for row, tag in enumerate(_tags(self.entries))}


def _entries(table: Mapping[str, Sequence[Any]]) -> tuple[Entry, ...]:
    words: dict[str, dict[str, Sequence[str]]] = {}
    for code, language, said in zip(table["concept"], table["language"], table["words"], strict=True):
        words.setdefault(code, {})[language] = said.split(_TAB)
    trained = dict(zip(table["concept"], table["trained"], strict=True))
    if lacking := [code for code, said in words.items() if "en" not in said]:
        raise ValueError(f"the concept {lacking[0]} has no English words")
    return tuple(Entry(code, trained[code], said) for code, said in words.items())


def _tags(entries: Iterable[Entry]) -> list[str]:
    return sorted({tag for entry in entries for tag in entry.words["en"][1:]})


def _embed_each(texts: Sequence[Sequence[str]], encoder: SentenceEncoder) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of all texts, and the numbers of the rows of `texts` that they belong to."""
    numbers = np.array([number for number, of in enumerate(texts) for _ in of], dtype=np.int16)
    return encoder.embed([text for of in texts for text in of]), numbers


def _means(vectors: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """(count, width) mean of the vectors of each number; zeros where there are none."""
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, numbers, vectors)
    return sums / np.maximum(np.bincount(numbers, minlength=count), 1)[:, None]


def _principal_directions(vectors: np.ndarray) -> np.ndarray:
    """(width, `DIRECTIONS` or fewer) orthonormal columns that keep as much as possible of the vectors' lengths."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return directions[:, ::-1][:, :DIRECTIONS]


def _unit(rows: np.ndarray) -> np.ndarray:
    """Bring to length one; zeros, of what is known by name alone, stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def _rounded(rows: np.ndarray) -> np.ndarray:
    """In eight bits, each row by its own scale, which the length of one brings back."""
    return np.round(rows / np.maximum(np.abs(rows).max(1, keepdims=True), TINY) * LEVELS).astype(np.int8)
