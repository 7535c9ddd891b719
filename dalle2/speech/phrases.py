"""What people may say to a checkpoint, as weighted phrases of its vocabulary: what a language model is made of."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dalle2.datasets.caption_words import BACKGROUNDS, STYLE_PHRASES, style_phrases
from dalle2.understanding.lookup import EVERYDAY
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import COLOURS

Phrases = Counter[tuple[str, ...]]
# How often each is said, in proportion. Tags and descriptions make so many words likely that all are heard worse.
OF_LABEL, OF_PERSON, OF_EVERYDAY, OF_LOOK = 6, 1, 12, 150
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
ENDINGS = ("", "", "", "", "", "", "please", "emoji", "icon", "for me", "thank you", "for me please", "sticker")
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


def phrases(vocabulary: Vocabulary, styles: Sequence[str]) -> Phrases:
    """Return what may be asked of a checkpoint with this vocabulary and these styles, and how often."""
    found: Phrases = Counter()
    things = [(thing, weight) for thing, weight in _things(vocabulary) if thing]
    for number, (thing, weight) in enumerate(things):
        # Each thing in a share of all frames, so that each frame and each thing are heard together with others.
        for step in range(4):
            beginning = BEGINNINGS[(7 * number + 11 * step) % len(BEGINNINGS)]
            ending = ENDINGS[(5 * number + 3 * step) % len(ENDINGS)]
            found[(*beginning.split(), *thing, *ending.split())] += weight
        found[("a", *thing)] += 2 * weight
        found[thing] += weight
        quality = QUALITIES[number % len(QUALITIES)]
        found[("a", quality, *thing)] += weight
        for look in _looks_of(number, styles):
            found[(*thing, *look)] += weight
    for look in _all_looks(styles):
        found[look] += OF_LOOK
    for begin in BEGINNINGS:
        for word in (*QUALITIES, *(colour for colour in COLOURS)):
            found[(*begin.split(), *spoken(word))] += 1
    return found


def _things(vocabulary: Vocabulary) -> Iterator[tuple[tuple[str, ...], int]]:
    for entry in vocabulary.entries:
        words = spoken(entry.label)
        yield words, OF_PERSON if len(words) > 1 and PEOPLE.intersection(words) else OF_LABEL
    rows = EVERYDAY.read_text(encoding="utf-8").splitlines()
    everyday = [row.partition("\t")[0] for row in rows if row[0] != "#"]
    yield from ((spoken(word), OF_EVERYDAY) for word in everyday if word.isascii())


def _looks_of(number: int, styles: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield some of the looks for each thing, so that all of them come with some things."""
    looks = list(_all_looks(styles))
    for step in range(3):
        yield looks[(13 * number + 29 * step) % len(looks)]


def _all_looks(styles: Sequence[str]) -> Iterator[tuple[str, ...]]:
    # What a checkpoint was taught later is called by its own name.
    own = [style_phrases(style, "en") if style in STYLE_PHRASES else (style,) for style in styles]
    names = [name for names in own for name in names]
    for name in names:
        said = spoken(name)
        yield from ((*said, "style"), ("in", "the", "style", "of", *said), ("in", *said, "style"), ("like", *said))
        yield from (("in", "the", *said, "style"), said)
    for colour in BACKGROUNDS:
        said, article = spoken(colour), "an" if colour[0] in "aeiou" else "a"
        yield from (("on", article, *said, "background"), (*said, "background"), ("with", article, *said, "background"))
        yield ("against", article, *said, "background")
