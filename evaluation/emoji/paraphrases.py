"""Everyday words for emoji that no training caption holds: `paraphrases.tsv`, our own list (CC0).

None is a label or a tag of its concept in any language, and none has the English label in it: that is checked here,
against the data set that is scored.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from evaluation.emoji.emoji_set import Pair

PARAPHRASES = Path(__file__).with_suffix(".tsv")


def read_paraphrases(pairs: Iterable[Pair], file: Path = PARAPHRASES) -> dict[str, str]:
    """Concept -> paraphrase, of the concepts among `pairs`; ValueError names the first that is none."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))
    words = {pair.concept: pair for pair in pairs}
    found = {}
    for row in rows:
        concept, text = row["concept"], row["paraphrase"]
        if concept not in words:
            continue
        if known := known_as(text, words[concept]):
            raise ValueError(
                f"{file.name}: {text!r} is not a paraphrase of {row['label']!r}: {known!r} is in its words."
            )
        found[concept] = text
    return found


def known_as(text: str, pair: Pair) -> str:
    """Return the label or tag of the pair's concept that the text is, or its English label inside it; "" if none."""
    said = _bare(text)
    for words in pair.words.values():
        for known in (words["label"], *words["tags"]):
            if _bare(known) == said:
                return known
    return pair.label if f" {_bare(pair.label)} " in f" {said} " else ""


def _bare(text: str) -> str:
    """In small letters, without articles and punctuation."""
    return " ".join(word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the"))
