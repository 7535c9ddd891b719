"""What of a prompt in another language than English is not drawn: colours, and words that its concept does not have."""

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from dalle2.datasets.caption_words import BACKGROUNDS, ENGLISH
from dalle2.understanding.left_out import phrases
from dalle2.understanding.lookup import FOREIGN, KATAKANA, SLIP, UNSPACED, Lookup, is_unspaced
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import bare

LITTLE = 4  # letters, at most, of a word that joins others, such as "mit", "con" and "avec"
OFTEN = 20  # concepts in whose labels such a word stands
SHAPES = ("circle", "square", "heart")  # of which there are concepts in many colours
STEM = 3  # letters, at least, in which two forms of a colour's name agree
ENDING = 3  # letters, at most, in which they differ
SIZES = frozenset("大小新旧舊老胖瘦高矮长長短")  # of Chinese and Japanese, which are words alone
# What asks for a picture where no blanks part words, and what joins or ends a phrase there.
_ASKING = re.compile("描いて|ください|下さい|お願いします|の絵|그려줘|그려주세요|그림|วาดรูป|วาด|รูปภาพ|รูป|ภาพ|请画|請畫")
_PARTICLES = "的之個个がはのにでとなた、。，！？"


class Foreign:
    """The words of a vocabulary's concepts in all languages but English."""

    def __init__(self, vocabulary: Vocabulary, lookup: Lookup) -> None:
        self._entries, self._lookup = vocabulary.entries, lookup

    def unsaid(self, text: str, number: int) -> tuple[list[str], list[str]]:
        """Return the colours, and the other phrases, of a text that are no words of the concept it is taken for."""
        words, own = (self._characters if is_unspaced(text) else self._words)(text, number)
        colours = {word: self._colour(word) for word, said in zip(words, own, strict=True) if not said}
        left = phrases(words, [said or bool(colours[word]) for word, said in zip(words, own, strict=True)])
        label = self._entries[number].label
        left = [self._without_little(phrase.split()) for phrase in left]
        return [word for word, colour in colours.items() if colour and colour not in label], [*filter(None, left)]

    def _words(self, text: str, number: int) -> tuple[list[str], list[bool]]:
        """Return the words between blanks, and which are the concept's own, if inflected."""
        own = {word for words in self._entries[number].words.values() for each in words for word in bare(each).split()}
        words = [word for word in FOREIGN.sub("", text).split() if bare(word)]
        return words, [bool(difflib.get_close_matches(bare(word), own, 1, SLIP)) for word in words]

    def _characters(self, text: str, number: int) -> tuple[list[str], list[bool]]:
        """Return the parts between the concept's own words, in writing without blanks."""
        said = _ASKING.sub(lambda found: " " * len(found.group()), bare(text))
        alike = said.translate(KATAKANA)  # which changes no place
        for form in self._lookup.spellings(number):
            for found in re.finditer(re.escape(form.translate(KATAKANA)), alike):
                said = f"{said[: found.start()]}{' ' * len(form)}{said[found.end() :]}"
        parts = (part.strip(_PARTICLES) for part in said.split())
        # One sign alone is a part of another word for the same, or says nothing.
        found = [part for part in parts if len(part) > 1 or part in SIZES or self._colour(part)]
        return found, [False] * len(found)

    def _without_little(self, words: list[str]) -> str:
        while words and bare(words[0]) in self._little:
            words.pop(0)
        while words and bare(words[-1]) in self._little:
            words.pop()
        return " ".join(words)

    @cached_property
    def _little(self) -> set[str]:
        """Words such as "mit", by what many labels of a language have in common."""
        found: set[str] = set()
        for language in self._languages - UNSPACED:
            labels = (entry.words[language][0] for entry in self._entries if language in entry.words)
            counts = Counter(word for label in labels for word in set(bare(label).split()))
            found |= {word for word, count in counts.items() if count >= OFTEN and len(word) <= LITTLE}
        return found

    def _colour(self, word: str) -> str:
        """Return the English name of the colour that a word is a form of, or in Japanese and the like has in it."""
        word = bare(word)
        for name, colour in self._colours.items():
            same = _common(name, word)
            if name == word or (same >= STEM and max(len(name), len(word)) - same <= ENDING):
                return colour
            if is_unspaced(name) and name in word:
                return colour
        return ""

    @cached_property
    def _colours(self) -> dict[str, str]:
        """What tells the label of "red circle" from those of other colours, in each language -> the English colour."""
        found: dict[str, str] = {}
        for shape in SHAPES:
            labelled = {f"{colour} {shape}": colour for colour in BACKGROUNDS}
            alike = {labelled[entry.label]: entry.words for entry in self._entries if entry.label in labelled}
            for language in self._languages:
                together = language in UNSPACED - {"ko"}
                labels = {colour: bare(words[language][0]) for colour, words in alike.items() if language in words}
                if not (together and shape == "heart"):  # "black heart" is put otherwise than the others there
                    found |= _differing(labels, together)
        return {word: colour for word, colour in found.items() if word not in self._little}

    @cached_property
    def _languages(self) -> set[str]:
        return {language for entry in self._entries for language in entry.words} - set(ENGLISH)


def _common(first: str, other: str) -> int:
    """Return with how many same letters both begin."""
    pairs = enumerate(zip(first, other, strict=False))
    return next((place for place, (one, two) in pairs if one != two), min(len(first), len(other)))


def _differing(labels: Mapping[str, str], together: bool) -> dict[str, str]:
    """Return what only one of the labels has -> its key: words, or with writing `together` what follows the same."""
    found: dict[str, str] = {}
    first, last = min(labels.values(), default=""), max(labels.values(), default="")
    begins = first[: _common(first, last)] if together else ""
    for key, label in labels.items():
        others = [other for other in labels.values() if other != label]
        parts = [label[len(begins) :]] if together else label.split()
        if together and not begins:  # the noun stands last, behind what joins it
            parts = ["".join(letter for letter in label if sum(letter in other for other in others) < 2)]
        found |= {part: key for part in parts if part and not any(part in other.split() for other in others)}
    return found
