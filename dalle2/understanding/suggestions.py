"""What somebody who is still typing may mean: concepts whose words begin with what stands there."""

import re
from dataclasses import dataclass
from functools import cache

from dalle2.understanding.lookup import Lookup, is_unspaced
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import bare

SUGGESTED = 6
LEAST_LETTERS = 2  # in writing with blanks between words
_LAST_PART = re.compile(r"[^,，;；。]*$")


@dataclass(frozen=True)
class Suggestion:
    """A concept to go on with.

    Attributes:
        label: in the language that was asked for. prompt: the whole prompt with it.
        trained: whether the checkpoint was ever shown it.
    """

    label: str
    prompt: str
    trained: bool


class Suggestions:
    """A vocabulary's words, ready to be completed."""

    def __init__(self, vocabulary: Vocabulary, lookup: Lookup) -> None:
        self._entries, self._lookup = vocabulary.entries, lookup
        self._languages = {language for entry in self._entries for language in entry.words}
        self._words = cache(self._words_of)

    def of(self, prompt: str, language: str = "en") -> list[Suggestion]:
        """At most `SUGGESTED` concepts for what stands last in the prompt.

        `language` is a browser's, such as "de-AT"; English words are completed too, and labels are shown in English
        where the vocabulary does not have the language.
        """
        found = _LAST_PART.search(prompt)
        part = found.group() if found else ""
        wanted = bare(part)
        if len(wanted) < (1 if is_unspaced(wanted) else LEAST_LETTERS):
            return []
        known = self._known(language)
        found: dict[int, tuple] = {}
        for spoken in dict.fromkeys([known, "en"]):
            for number, words in enumerate(self._words(spoken)):
                rank = _rank(wanted, words)
                if rank is not None:
                    order = (rank, self._entries[number].code.count("-200d-"), len(words[0]), number)
                    found[number] = min(found.get(number, order), order)
        best = sorted(found, key=found.__getitem__)[:SUGGESTED]
        before = prompt[: len(prompt) - len(part.lstrip())]
        return [self._suggestion(number, known, before) for number in best]

    def _suggestion(self, number: int, language: str, before: str) -> Suggestion:
        entry = self._entries[number]
        label = entry.words.get(language, entry.words["en"])[0]
        # A label that two concepts share in this language would be taken for the other one.
        said = label if number in (self._lookup.exact(label), next(iter(self._lookup.labelled(label)), None)) else ""
        return Suggestion(label, before + (said or entry.label), entry.trained)

    def _known(self, language: str) -> str:
        """Return the vocabulary's own name of a browser's language."""
        language = language.lower()
        if language.startswith(("zh-tw", "zh-hk", "zh-hant")):
            language = "zh-hant"
        names = (language, language.partition("-")[0])
        return next((name for name in names if name in self._languages), "en")

    def _words_of(self, language: str) -> list[list[str]]:
        return [[bare(word) for word in entry.words.get(language, ())] for entry in self._entries]


def _rank(wanted: str, words: list[str]) -> int | None:
    """How well what is typed fits a concept's label and tags: 0 is best, None not at all."""
    if not words:
        return None
    label, *tags = words
    if label == wanted:
        return 0
    if label.startswith(wanted):
        return 1
    if f" {wanted}" in f" {label}" or (is_unspaced(wanted) and wanted in label):
        return 2
    return 3 if any(tag.startswith(wanted) for tag in tags) else None
