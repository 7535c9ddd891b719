"""The senses of WordNet 3.1, read from Princeton's dictionary files (their format: man wndb).

A line of ``data.noun`` is "offset field n count word id word id … count pointer offset pos source/target … | gloss";
those of verbs have numbers of sentence frames before the gloss, and adjectives may end with a mark such as "(p)".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TAXON = re.compile(r"(genus|family|order|class|phylum|suborder|superfamily|subfamily) ")
_REMARK = re.compile(r"\s*\([^()]*\)")
_POSITION = re.compile(r"\((a|p|ip)\)$")  # where an adjective may stand
_ANY = re.compile(r"^(any|either|one) of (various|several|numerous|many|two|a number of) ")
_OFFENCE = re.compile(
    r"\b(offensive|derogatory|disparag\w+|obscene|obscenity|slur|vulgar|insulting"
    r"|sexual\w*|intercourse|genital\w*|prostitut\w*|incest\w*|raped?)\b",
    re.I,
)
_QUOTED = re.compile(r"; \"([^\"]+)\"")
_KIN = ("@", "~")  # hypernym, hyponym
_INSTANCE = "@i"


@dataclass(frozen=True)
class Sense:
    """A synset: the words that share one meaning."""

    number: str  # its offset in the file, which names it
    field: int  # the lexicographers' field: 5 is animals, 6 artefacts, 13 food, …
    words: tuple[str, ...]
    gloss: str  # the first definition; further ones are left out
    kin: tuple[str, ...]  # the numbers of its hypernyms and hyponyms
    examples: tuple[str, ...] = ()  # sentences in which it is said

    @property
    def meaning(self) -> str:
        """Return the gloss without remarks in brackets, quotes of the lexicographers' kind and "any of several"."""
        plain = _REMARK.sub("", self.gloss).replace("`", "").strip(" :,'")
        return _ANY.sub("", plain)

    @property
    def offends(self) -> bool:
        """Return whether the lexicographers warn of the word, speak of such words, or of what is not for an emoji."""
        return any(_OFFENCE.search(text) for text in (self.gloss, *self.words, *self.examples))


def read_senses(text: str) -> Iterator[Sense]:
    """Yield the senses of a file such as ``data.noun`` in its order, but instances (Paris, Napoleon) and Latin taxa."""
    for line in text.splitlines():
        if line.startswith("  "):
            continue  # the licence
        head, _, gloss = line.partition(" | ")
        parts = head.split()
        pointers_at = 4 + 2 * int(parts[3], 16)
        words = tuple(_POSITION.sub("", word).replace("_", " ") for word in parts[4:pointers_at:2])
        pointers = parts[pointers_at + 1 :][: 4 * int(parts[pointers_at])]
        marks = list(zip(pointers[0::4], pointers[1::4], strict=True))
        if _TAXON.match(words[-1]) or any(mark == _INSTANCE for mark, _ in marks):
            continue
        kin = tuple(number for mark, number in marks if mark in _KIN)
        yield Sense(parts[0], int(parts[1]), words, gloss.partition(";")[0].strip(), kin, tuple(_QUOTED.findall(gloss)))


def read_licence(text: str) -> str:
    """Return the licence at the head of a dictionary file, whose lines are numbered there."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    return "\n".join(line.lstrip().partition(" ")[2].strip() for line in lines).strip()
