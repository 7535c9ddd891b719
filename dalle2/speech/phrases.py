"""What people say to a checkpoint: its things, its looks, and the ways in which they ask."""

import re
from collections.abc import Iterator, Sequence

from dalle2.datasets.caption_words import STYLE_PHRASES, style_phrases
from dalle2.understanding.lookup import EVERYDAY
from dalle2.understanding.vocabulary import Vocabulary

Words = tuple[str, ...]
# How often each is said, in proportion. Tags and descriptions make so many words likely that all are heard worse.
OF_LABEL, OF_PERSON, OF_EVERYDAY = 1.0, 0.12, 1.6
LONG = 3  # words, from which on a label is said the less often the longer it is
OTHER_NAME = 0.3  # of a style, as often as its own
PEOPLE = {"man", "woman", "person", "men", "women", "people", "boy", "girl"}  # hundreds of labels begin so
# How a request begins, with its article or without, and what stands about it.
BEGINNINGS = (
    *("", "", "", "a", "a", "a", "an", "the", "draw", "draw a", "draw an", "draw me a", "please draw a", "paint a"),
    *(
        "a picture of",
        "a picture of a",
        "an image of a",
        "a drawing of",
        "a drawing of a",
        "an emoji of a",
        "show me a",
    ),
    *(
        "can you draw a",
        "could you draw a",
        "could you draw me a",
        "can you make a",
        "make a",
        "make me a",
        "give me a",
    ),
    *("i want a", "i would like a", "i'd like a", "let me see a", "i want to see a", "how about a", "create a"),
    *("please paint a", "can i have a", "um a", "uh a", "well a", "okay draw a", "some", "two", "my", "generate a"),
    *("i need a", "please show me a", "could i get a", "let's have a", "can i see a", "something like a"),
)
QUALITIES = (
    *("big", "small", "little", "tiny", "happy", "sad", "angry", "cute", "funny", "beautiful", "nice", "old", "young"),
    *("simple", "lovely", "huge", "smiling", "sleepy", "shiny", "fresh", "very", "really", "pretty", "round", "tall"),
)
ENDINGS = {"please": 0.03, "for me": 0.02, "thank you": 0.01, "you know": 0.01}  # and how likely behind a thing
FILLERS = ("um", "uh", "er", "hmm", "mm", "uhm")
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third"}
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def spoken(text: str) -> tuple[str, ...]:
    """Return a text as the words that are said for it: "11:30 on Tuesday" -> eleven thirty on tuesday."""
    words = []
    for word in _WORD.findall(text.casefold().replace("’", "'").replace("&", " and ")):
        words += [ORDINALS.get(word, NUMBERS[int(word)] if word.isdecimal() and int(word) <= 12 else word)]
    return tuple("thirty" if word == "30" else word for word in words)


def things(vocabulary: Vocabulary) -> Iterator[tuple[Words, float]]:
    """Yield what can be asked for by the words that are said for it, some more than once, and how often each is."""
    for entry in vocabulary.entries:
        if words := spoken(entry.label):
            often = OF_PERSON if len(words) > 1 and PEOPLE.intersection(words) else OF_LABEL
            yield words, often / (1 + max(0, len(words) - LONG) / 2)
    rows = EVERYDAY.read_text(encoding="utf-8").splitlines()
    everyday = [row.partition("\t")[0] for row in rows if row[0] != "#"]
    yield from ((spoken(word), OF_EVERYDAY) for word in everyday if word.isascii())


def names(styles: Sequence[str]) -> Iterator[tuple[Words, float]]:
    """Yield what styles are called, and how often, beside another."""
    for style in styles:
        # What a checkpoint was taught later is called by its own name.
        first, *others = style_phrases(style, "en") if style in STYLE_PHRASES else (style,)
        yield spoken(first), 1.0
        yield from ((spoken(other), OTHER_NAME) for other in others)
