"""Words that a recogniser wrote without knowing the checkpoint's, put right by their sound: "no toes tile", noto style.

Only what the checkpoint does not understand is changed, and only into what sounds nearly like it. Limits were chosen by
benchmarks/speech-development.tsv.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dalle2.datasets.caption_words import in_style
from dalle2.speech import phrases
from dalle2.speech.dictionary import Pronunciations, dictionary, installed, pronounced
from dalle2.speech.phonemes import Sounds, numbers, spelt
from dalle2.understanding.interpreter import Interpreter
from dalle2.understanding.vocabulary import Vocabulary

LONGEST = 5  # words that may have been one expression
STYLE = 0.34  # the largest distance, for a phoneme, of what is taken for a style
THING, ALONE = 0.3, 0.15  # the same of a thing where a style is named too, and where none is
LEAST, LONG = 3, 6  # phonemes of a thing that is told by its sound, and from which on the whole distance is allowed
# Alone, or between two of these, no misheard thing stands.
SMALL = {word for text in (*phrases.BEGINNINGS, *phrases.ENDINGS) for word in text.split()} | {
    *("and", "on", "to", "is", "it", "for", "with", "my", "i", "he", "she", "we", "they", "this", "that", "there"),
    *("be", "at", "as", "or", "so", "what", "was", "were", "are", "not", "don't", "no", "yes", "then", "than", "them"),
    *("gonna", "always", "looks", "just", "right", "back", "out", "all", "one", "will", "do", "did", "had", "has"),
}


@dataclass(frozen=True)
class _Place:
    """Words from `begin` to before `end` that may be `text`; `gain` is the larger the more they sound like it."""

    gain: float
    begin: int
    end: int
    text: str


class Mending:
    """The sounds of what a checkpoint knows.

    Args:
        known: pronunciations. understood: whether the checkpoint would draw something for a text.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        styles: Sequence[str],
        known: Pronunciations,
        understood: Callable[[str], bool],
    ) -> None:
        self._known, self._understood = known, understood
        named = {in_style(" ".join(words)): words for words, _ in phrases.names(styles)}
        self._styles = self._sounds((text, (*words, "style")) for text, words in named.items())
        self._things = self._sounds((" ".join(words), words) for words, _ in phrases.things(vocabulary))

    @classmethod
    def of(cls, interpreter: Interpreter, styles: Sequence[str]) -> "Mending | None":
        """Return that of a checkpoint; None where no dictionary tells how words sound."""
        if not installed():
            return None
        return cls(interpreter.vocabulary, styles, dictionary(), lambda text: interpreter.understand(text).known)

    def mended(self, heard: str) -> str:
        """Return what was heard, with what sounds like a style or a thing of the checkpoint in place of it."""
        words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", heard.casefold().replace("’", "'"))
        if 2 * sum(bool(pronounced(word, self._known)) for word in words) < len(words):
            return heard  # another language, of which nothing here says how it sounds
        style = self._nearest(words, self._styles, STYLE)
        begin, end, named = (len(words), len(words), "") if style is None else (style.begin, style.end, style.text)
        before, after = words[:begin], words[end:]
        rest, same = [*before, *after], named == " ".join(words[begin:end])
        if rest and not self._understood(" ".join(rest)):
            thing = self._nearest(rest, self._things, THING if named else ALONE, LEAST if named else LONG)
            if thing is not None:
                whole = [*rest[: thing.begin], thing.text, *rest[thing.end :]]
                # What else was heard is nothing that can be drawn, and mostly misheard too.
                before = whole if self._understood(" ".join(whole)) else [thing.text]
                after, same = [], False
        return heard if same else " ".join([", ".join(filter(None, [" ".join(before), named])), *after])

    def _sounds(self, expressions: Iterable[tuple[str, Sequence[str]]]) -> Sounds:
        said: dict[str, list[str]] = {}
        for text, words in expressions:
            ways = [pronounced(word, self._known) for word in words]
            if all(ways):
                said.setdefault(text, [" ".join(way[0] for way in ways)])
        return Sounds(said)

    def _nearest(self, words: Sequence[str], sounds: Sounds, limit: float, least: int = 1) -> _Place | None:
        """Return which words sound most like one of the expressions; None where none is near."""
        best: _Place | None = None
        for begin, end in _spans(words):
            heard = [sound for word in words[begin:end] for sound in self._numbers(word)]
            if len(heard) < least:
                continue
            allowed = limit * np.minimum(1, (sounds.lengths + 1) / LONG)
            # Much that is alike counts more than little.
            gains = (allowed - sounds.distances(heard)) * sounds.lengths
            gains[sounds.lengths < least] = -1
            place = int(np.argmax(gains))
            if gains[place] >= 0 and (best is None or gains[place] > best.gain):
                best = _Place(float(gains[place]), begin, end, sounds.texts[place])
        return best

    def _numbers(self, word: str) -> list[int]:
        ways = pronounced(word, self._known)
        return numbers(ways[0] if ways else spelt(word))


def _spans(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    for begin in range(len(words)):
        for end in range(begin + 1, min(len(words), begin + LONGEST) + 1):
            if not (words[begin] in SMALL and words[end - 1] in SMALL):
                yield begin, end
