"""How words sound, in the phonemes of CMU's dictionary, and how much one sound is like another."""

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N"),
    *("NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH"),
)
PHONEMES = (*VOWELS, *CONSONANTS)
# What is misheard as each other most: how far apart they count, of 1 for any other two.
NEAR = {
    0.2: "AA-AO AH-IH AH-UH AH-ER ER-AO IH-IY UH-UW S-Z SH-ZH TH-DH",
    0.4: (
        "AH-AA AH-EH AH-AE AH-OW AE-EH EH-IH EH-EY AA-AE AA-AW AO-OW AO-UH AO-OY AW-OW UH-OW EY-IY Y-IY W-UW P-B "
        " T-D K-G F-V CH-JH M-N N-NG F-TH V-DH V-B V-W L-W R-W L-R S-SH Z-ZH JH-ZH CH-SH D-DH T-CH D-JH S-TH P-F T-TH"
    ),
    0.6: "P-T T-K P-K B-D D-G B-G M-NG G-NG B-M D-N L-N AY-AA AY-EY T-S HH-F",
}
OF_VOWELS = 0.6  # any other two
UNLIKE = 1.2  # a vowel and a consonant
MISSED = {"HH": 0.4, "AH": 0.5, "IH": 0.6, "R": 0.6, "T": 0.7, "D": 0.7, "N": 0.8, "Y": 0.6, "W": 0.8, "ER": 0.7}
# Letters as they mostly sound, the longest first: for words that no dictionary has.
LETTERS = {
    **{"tch": "CH", "sch": "S K", "igh": "AY", "eau": "OW", "tion": "SH AH N", "sion": "ZH AH N", "ough": "OW"},
    **{"sh": "SH", "ch": "CH", "th": "TH", "ph": "F", "ck": "K", "qu": "K W", "ng": "NG", "wh": "W", "kn": "N"},
    **{"oo": "UW", "ee": "IY", "ea": "IY", "ai": "EY", "ay": "EY", "oa": "OW", "ow": "OW", "ou": "AW", "oi": "OY"},
    **{"oy": "OY", "au": "AO", "aw": "AO", "ie": "IY", "ei": "EY", "ey": "IY", "ue": "UW", "ew": "UW"},
    **{"ar": "AA R", "er": "ER", "ir": "ER", "or": "AO R", "ur": "ER", "ce": "S", "ge": "JH", "le": "AH L", "x": "K S"},
    **{"a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH"},
    **{"k": "K", "l": "L", "m": "M", "n": "N", "o": "OW", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T"},
    **{"u": "AH", "v": "V", "w": "W", "y": "IY", "z": "Z"},
}
_LETTERS = re.compile("|".join(sorted(LETTERS, key=len, reverse=True)))


def spelt(word: str) -> str:
    """Return how a word that no dictionary has is said, by its letters: roughly."""
    plain = re.sub(r"(.)\1", r"\1", word.casefold())
    plain = plain[:-1] if re.search(r"[^aeiou]e$", plain) and len(plain) > 3 else plain
    return " ".join(LETTERS[part] for part in _LETTERS.findall(plain))


def _apart() -> np.ndarray:
    """(phonemes, phonemes) how far apart they are, 0 for the same."""
    found = 1 - np.eye(len(PHONEMES))
    many = len(VOWELS)
    found[:many, :many] *= OF_VOWELS
    found[:many, many:] = found[many:, :many] = UNLIKE
    place = {phoneme: number for number, phoneme in enumerate(PHONEMES)}
    for cost, pairs in NEAR.items():
        for one, other in (pair.split("-") for pair in pairs.split()):
            found[place[one], place[other]] = found[place[other], place[one]] = cost
    return found


APART = _apart()
LOST = np.array([MISSED.get(phoneme, 1.0) for phoneme in PHONEMES])


def numbers(phonemes: str) -> list[int]:
    """Return the places of phonemes, with blanks between them, in `PHONEMES`."""
    return [PHONEMES.index(phoneme) for phoneme in phonemes.split()]


class Sounds:
    """Expressions and the ways to say them, which can all be compared with what was heard.

    Args:
        expressions: each with its ways, in phonemes.
    """

    def __init__(self, expressions: Mapping[str, Sequence[str]]) -> None:
        pairs = [(text, numbers(way)) for text, ways in expressions.items() for way in ways]
        pairs = [(text, way) for text, way in pairs if way]
        self.texts = [text for text, _ in pairs]
        self.lengths = np.array([len(way) for _, way in pairs])
        table = list(itertools.zip_longest(*(way for _, way in pairs), fillvalue=0))
        self._table = np.array(table).T  # (ways, the longest)

    def distances(self, heard: Sequence[int]) -> np.ndarray:
        """(ways,) what must be put in, taken out or changed, by how much it is like, for a phoneme of each way."""
        ways, longest = self._table.shape
        lost = LOST[self._table]
        row = np.concatenate([np.zeros((ways, 1)), lost.cumsum(1)], 1)
        for sound in heard:
            changed = row[:, :-1] + APART[sound][self._table]
            kept = row + LOST[sound]
            row = kept.copy()
            for column in range(longest):
                row[:, column + 1] = np.minimum(
                    np.minimum(kept[:, column + 1], changed[:, column]), row[:, column] + lost[:, column]
                )
        return row[np.arange(ways), self.lengths] / self.lengths
