"""Words looked up as they are: labels and tags in all languages, emoji characters, and words with a slip of the pen."""

import difflib
import re
from collections.abc import Callable, Collection, Container
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import CHINESE_COLOUR, bare

EVERYDAY = Path(__file__).with_name("everyday.tsv")
LONGEST_EMOJI = 12  # code points
LONGEST_WORD = 32  # characters, in writing without blanks
SLIP = 0.84  # the least likeness of a mistyped word
LEAST_LETTERS = 5  # of a word that is worth mending
AT_THE_NOUN = 3  # times as much as elsewhere
UNSPACED = {"zh", "zh-hant", "ja", "ko", "th"}
CHOSEN_COLOUR = 10  # times as much for a thing of the colour that is named
COVERED = 0.5  # the least share of the characters that a known word must cover, in writing without blanks
SKIN_TONES = {chr(point) for point in range(0x1F3FB, 0x1F400)}
INVISIBLE = {"\ufe0e", "\ufe0f"}  # what chooses between text and picture
JOINER = "\u200d"
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f\uac00-\ud7af]")
_THAI = re.compile(r"[\u0e00-\u0e7f]")
_INDIC = re.compile(r"[\u0900-\u09ff]")
KATAKANA = {point: point + 0x60 for point in range(0x3041, 0x3097)}  # in which most Japanese words stand
_FILLER = re.compile(r"[\s的之個个色]")
_CHINESE_COLOURS = re.compile("[红紅黄黃绿綠蓝藍紫黑白橙棕粉灰]")
_PICTURES = re.compile("[\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff\u00a9\u00ae\u2122\u20e3]")
_REGION = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
# By which a foreign phrase of several words is told from English.
FOREIGN = re.compile(
    r"^(?:ein|eine|einen|der|die|das|un|une|le|la|les|el|los|las|il|lo|gli|uma?|os?|een|het|de|ett?|en|egy|az|jeden|jedna)\s",
    re.I,
)


class Lookup:
    """A vocabulary's words, ready to be found. Concepts are given by their number."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._entries = vocabulary.entries
        self._codes = {entry.code: number for number, entry in enumerate(self._entries)}

    @cached_property
    def labels(self) -> dict[str, int]:
        """English labels as `bare` has them."""
        return {bare(entry.label): number for number, entry in reversed(list(enumerate(self._entries)))}

    @cached_property
    def tags(self) -> dict[str, list[int]]:
        """English tags."""
        found: dict[str, list[int]] = {}
        for number, entry in enumerate(self._entries):
            for tag in entry.words["en"][1:]:
                found.setdefault(bare(tag), []).append(number)
        return found

    @cached_property
    def _everyday(self) -> dict[str, int]:
        rows = [line.split("\t") for line in EVERYDAY.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
        return {bare(word): self.labels[bare(label)] for word, label in rows if bare(label) in self.labels}

    @cached_property
    def _unspaced(self) -> "_Words":
        """Of the languages that write without blanks, and of Korean, whose particles stick to its words."""
        words = self._words(lambda language: language in UNSPACED)
        for word, number in self._everyday.items():
            if is_unspaced(word):
                words.labels.setdefault(word, []).append(number)
        return words

    @cached_property
    def _spaced(self) -> "_Words":
        """Of all other languages but English."""
        return self._words(lambda language: language not in UNSPACED and language != "en")

    def exact(self, text: str) -> int | None:
        """Return the concept of which the text is the English label, also in the plural."""
        return next((self.labels[form] for form in _forms(bare(text)) if form in self.labels), None)

    def everyday(self, text: str) -> int | None:
        """Return the concept that an everyday word stands for, although no label has it: see everyday.tsv."""
        return next((self._everyday[form] for form in _forms(bare(text)) if form in self._everyday), None)

    def tagged(self, text: str) -> set[int]:
        """Return the concepts of which the text is an English tag."""
        return {number for form in _forms(bare(text)) for number in self.tags.get(form, ())}

    def emoji(self, text: str) -> tuple[list[int], str, str]:
        """Return the concepts of the emoji characters, in order; the text without them; and the unknown ones.

        Skin tones and variation selectors make no difference. Of a joined sequence that is not known the first part
        counts.
        """
        text = "".join(letter for letter in text if letter not in SKIN_TONES | INVISIBLE)
        found, rest, unknown, place = [], "", "", 0
        while place < len(text):
            length = next((n for n in range(LONGEST_EMOJI, 0, -1) if _code(text[place : place + n]) in self._codes), 0)
            if length and _PICTURES.search(text[place : place + length]):
                found.append(self._codes[_code(text[place : place + length])])
                place += length
                while text[place : place + 1] == JOINER:  # with what it is joined to
                    place += 2
            elif flag := _REGION.match(text, place):
                unknown, place = unknown + flag.group(), flag.end()
            else:
                picture = _PICTURES.match(text, place)
                rest, unknown = (rest + " ", unknown + text[place]) if picture else (rest + text[place], unknown)
                place += 1
        return found, rest, unknown

    def is_foreign(self, text: str) -> bool:
        """Whether the text is in another language than English by its letters, or by its first word."""
        return not text.isascii() or bool(FOREIGN.match(text))

    def labelled(self, text: str) -> list[int]:
        """Return the concepts of which the text is the label in another language than English, Chinese first."""
        words, wanted = self._unspaced if is_unspaced(text) else self._spaced, bare(text)
        found = self._plain_first(words.labels.get(wanted, ()))
        return sorted(found, key=lambda number: bare(self._entries[number].chinese) != wanted)

    def foreign(self, text: str) -> list[int]:
        """Return the concepts that a text in another language than English names, the likeliest first."""
        if is_unspaced(text):
            # The noun stands last, behind what is said of it.
            colourless = CHINESE_COLOUR.sub("", text)
            parts = dict.fromkeys([text, re.split("[的の]", text.rstrip("的の"))[-1], colourless])
            texts = [form for part in parts for form in (bare(part), bare(part).translate(KATAKANA))]
            return next(filter(None, (self._of_characters(_FILLER.sub("", text)) for text in texts)), [])
        wanted = bare(FOREIGN.sub("", text))
        if found := self.labelled(wanted):
            return found
        return self._of_words(wanted.split()) if self.is_foreign(text) else []

    def spellings(self, number: int) -> set[str]:
        """Return the concept's words in the languages that write without blanks, everyday words included."""
        words = self._entries[number].words
        found = {
            form
            for language in UNSPACED & words.keys()
            for one in words[language]
            for form in _spellings(one, language)
        }
        return found | {word for word, meant in self._everyday.items() if meant == number and is_unspaced(word)}

    def mended(self, text: str, known: Container[str]) -> str:
        """Return the text with mistyped words put right; `known` are further words that are none."""
        words = [self._mended(word, known) for word in bare(text).split()]
        return " ".join(words)

    def _mended(self, word: str, known: Container[str]) -> str:
        if len(word) < LEAST_LETTERS or not word.isascii() or not word.isalpha() or word in known:
            return word
        return next(iter(difflib.get_close_matches(word, self._single_words, 1, SLIP)), word)

    @cached_property
    def _single_words(self) -> list[str]:
        """Of labels and tags."""
        texts = [*self.labels, *self.tags]
        return sorted({word for text in texts for word in text.split() if len(word) >= LEAST_LETTERS})

    def _of_words(self, words: list[str]) -> list[int]:
        """By the longest run of words that is a label, or a tag; an inflected word counts as what it is nearest to.

        Of runs as long as each other the one counts that is said of the fewest concepts: a thing, rather than its
        colour. In Hindi and Bengali it is the last, as what is said of a noun stands before it.
        """
        for known in (self._spaced.labels, self._spaced.tags):
            for length in range(len(words), 0, -1):
                runs = (" ".join(words[start : start + length]) for start in range(len(words) - length + 1))
                # Two letters are an article or the like, but in scripts without capitals many a word.
                if found := [known[run] for run in runs if run in known and (len(run) > 2 or not run.islower())]:
                    return self._plain_first(found[-1] if _INDIC.search(words[0]) else min(found, key=len))
        for word in words:
            if len(word) >= LEAST_LETTERS and not word.isascii():
                for near in difflib.get_close_matches(word, self._spaced.labels, 1, SLIP):
                    return self._plain_first(self._spaced.labels[near])
        return []

    def _of_characters(self, text: str) -> list[int]:
        """By the known words in it: labels count twice as much as tags, and more where the noun stands.

        That is the end, in Thai the beginning.
        """
        first = bool(_THAI.search(text))
        points: dict[int, float] = {}
        covered = [False] * len(text)
        for start in range(len(text)):
            for end in range(min(len(text), start + LONGEST_WORD), start, -1):
                labels, tags = (known.get(text[start:end], ()) for known in self._unspaced)
                tags = tags if end - start > 1 else ()  # a sign alone is part of many words
                if not (labels or tags):
                    continue
                weight = (end - start) ** 1.5 * (AT_THE_NOUN if (start == 0 if first else end == len(text)) else 1)
                for number in {*labels, *tags}:
                    points[number] = points.get(number, 0) + weight * (2 if number in labels else 1)
                covered[start:end] = [True] * (end - start)
                break
        if not points or sum(covered) <= COVERED * len(text):
            return []
        colours = set(_CHINESE_COLOURS.findall(text))
        for number in points:
            said = set(_CHINESE_COLOURS.findall(self._entries[number].chinese))
            points[number] *= 0.5 if said - colours else CHOSEN_COLOUR if said else 1
        order = {number: place for place, number in enumerate(self._plain_first(points))}
        return sorted(points, key=lambda number: (-points[number], order[number]))

    def _words(self, wanted: Callable[[str], bool]) -> "_Words":
        words = _Words({}, {})
        for number, entry in enumerate(self._entries):
            for language, (label, *tags) in entry.words.items():
                if wanted(language):
                    for form in _spellings(label, language):
                        words.labels.setdefault(form, []).append(number)
                    for form in {form for tag in tags for form in _spellings(tag, language)}:
                        words.tags.setdefault(form, []).append(number)
        return words

    def _plain_first(self, numbers: Collection[int]) -> list[int]:
        """Each once; a plain concept before a joined one, such as a man or woman of it, and "house" before "houses"."""
        special = self._special(numbers)
        return sorted(set(numbers), key=lambda number: (_joined(self._entries[number].code), number in special, number))

    def _special(self, numbers: Collection[int]) -> set[int]:
        """Return those that say more than another of them: "houses" and "derelict house" beside "house"."""
        labels = {number: self._entries[number].label for number in numbers}
        plain = {label for label in labels.values() if " " not in label}
        forms = {
            number: {form for word in label.split() for form in (word, word.removesuffix("s"))} - {label}
            for number, label in labels.items()
        }
        return {number for number, of_label in forms.items() if of_label & plain}


class _Words(NamedTuple):
    """Words as `bare` has them, and the concepts of which they are said."""

    labels: dict[str, list[int]]
    tags: dict[str, list[int]]


def is_unspaced(text: str) -> bool:
    """Whether there is writing in it that sets no blanks between words, or Korean."""
    return bool(_UNSPACED.search(text))


def _spellings(text: str, language: str) -> set[str]:
    """Return the text as `bare` has it, and also without blanks where these do not part words."""
    found = bare(text)
    return {found, found.replace(" ", "")} if language in UNSPACED else {found}


def _joined(code: str) -> int:
    return code.count("-200d-")


def _code(text: str) -> str:
    return "-".join(f"{ord(letter):04x}" for letter in text)


def _forms(text: str) -> list[str]:
    """Return the text, and what it may be the plural of."""
    found = [text]
    for ending, single in (("ies", "y"), ("es", ""), ("s", "")):
        if text.endswith(ending) and len(text) > len(ending) + 1:
            found.append(text.removesuffix(ending) + single)
    return found
