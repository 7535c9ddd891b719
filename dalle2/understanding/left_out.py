"""What of a prompt is not drawn: the words that its concept does not stand for, as phrases in their order."""

import re
from collections.abc import Collection, Sequence

from dalle2.understanding.descriptions import EMPTY, read_descriptions, stems_of
from dalle2.understanding.lookup import Lookup
from dalle2.understanding.meaning import Meaning
from dalle2.understanding.vocabulary import Entry
from dalle2.understanding.wording import COLOUR, bare

SAID = 0.5  # the least score by which a word alone still says what the concept is
LONGEST_NAME = 4  # words
TITLE = 3  # words, beyond which capitals everywhere are no names
MALE = {"man", "men", "guy", "guys", "gentleman", "dude", "boy", "boys", "male", "father", "dad", "grandfather", "king"}
FEMALE = {"woman", "women", "lady", "ladies", "girl", "girls", "female", "mother", "mom", "grandmother", "queen"}
# What joins a thing to what it does, and is no thing itself.
_JOINING = EMPTY | {
    *("say", "says", "saying", "show", "shows", "showing", "made", "called", "like", "stands", "being", "someone"),
    *("something", "thing", "his", "her", "very"),
}


def left_out(subject: str, reading: str) -> list[str]:
    """Return the phrases of the subject that a reading of it does without."""
    kept = set(bare(reading).split())
    return phrases(subject.split(), [not bare(word) or bare(word) in kept for word in subject.split()])


def phrases(words: Sequence[str], kept: Sequence[bool]) -> list[str]:
    """Return the runs of words that are not kept."""
    runs: list[list[str]] = [[]]
    for word, stays in zip(words, kept, strict=True):
        if stays:
            runs.append([])
        else:
            runs[-1].append(word)
    return [" ".join(run) for run in runs if run]


def unsaid(text: str, prompt: str, number: int, entry: Entry, lookup: Lookup, meaning: Meaning) -> list[str]:
    """Return the phrases of a text in a prompt that its concept, found by the meaning of the whole, does not stand for.

    Where the concept's name stands in the text ("Harry Potter and a dog"), it is that thing, and each other word is
    left out that does not say the same. Where it does not, the whole stands for it, and only names of one's own
    ("Paris") and the sex of a person, if it has none, are left out.
    """
    words = text.split()
    begins = prompt.lstrip().startswith(text)
    named = _naming(words, number, lookup)
    own = stems_of(" ".join([*entry.words["en"], *read_descriptions().get(entry.label, ())]))
    open_words = [
        place
        for place, word in enumerate(words)
        if bare(word) and bare(word) not in _JOINING and not stems_of(word) <= own and not COLOUR.fullmatch(word)
    ]
    if named:
        open_words = [place for place in open_words if place not in named]
        scores = meaning.scores([words[place] for place in open_words])[:, number] if open_words else []
        dropped = {place for place, score in zip(open_words, scores, strict=True) if score < SAID}
    else:
        dropped = {
            place for place in open_words if _is_name(words, place, begins) or _is_other_sex(words[place], entry)
        }
    between = [place not in dropped and bare(word) not in _JOINING for place, word in enumerate(words)]
    return [phrase for run in phrases(words, between) if (phrase := _without_joining(run))]


def _naming(words: Sequence[str], number: int, lookup: Lookup) -> Collection[int]:
    """Return the places of the longest run of words that names the concept; none where no run does."""
    for length in range(min(LONGEST_NAME, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            run = " ".join(words[start : start + length])
            if number in (lookup.exact(run), lookup.everyday(run)):
                return range(start, start + length)
    return ()


def names(text: str, number: int, lookup: Lookup) -> bool:
    """Whether the concept's name stands in the text."""
    return bool(_naming(text.split(), number, lookup))


def _is_name(words: Sequence[str], place: int, begins: bool) -> bool:
    """Whether the word is the name of somebody or some place, by its capital.

    A title's words have capitals too, and so has the first word of a sentence, which `begins` with the words.
    """
    word = words[place]
    if not word[0].isupper() or word.isupper() or (len(words) > TITLE and all(one[0].isupper() for one in words)):
        return False
    return place > 0 or not begins or (len(words) > 1 and words[1][0].isupper())


def _is_other_sex(word: str, entry: Entry) -> bool:
    sexes = [sex for sex in (MALE, FEMALE) if bare(word) in sex]
    said = {part for text in entry.words["en"] for part in re.findall(r"[a-z]+", text.lower())}
    return bool(sexes) and not sexes[0] & said


def _without_joining(phrase: str) -> str:
    words = phrase.split()
    while words and bare(words[0]) in _JOINING:
        words.pop(0)
    while words and bare(words[-1]) in _JOINING:
        words.pop()
    return " ".join(words)
