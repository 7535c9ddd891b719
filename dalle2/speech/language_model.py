"""What people may say to a checkpoint as a bigram model, in the ARPA format that PocketSphinx reads.

A thing, a style and what joins it are one word of the model each ("palm_tree", "in_the_style_of"), so that a bigram
sees all that matters: what stands before a thing, and what behind it. Shares are mixed of the ways in which people ask
and of English as PocketSphinx's wheel knows it; its frequent words stand beside the checkpoint's, so that a word which
that does not know may be heard as itself, and refused. All numbers were chosen by benchmarks/speech-development.tsv.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from dalle2.datasets.caption_words import BACKGROUNDS
from dalle2.speech import phrases
from dalle2.speech.dictionary import Pronunciations, pronounced
from dalle2.speech.english import English
from dalle2.speech.phrases import BEGINNINGS, ENDINGS, FILLERS, QUALITIES, Words, spoken
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import COLOURS

OTHERS = 2500  # of the most frequent words of English
HISTORIES, FOLLOWERS = 300, 1000  # of these, before and behind which English counts
MOST_WAYS, WAYS_OF_A_WORD = 8, 3  # to say an expression
LIKED = 0.3  # how much a frequent thing is preferred, as a power of its share of English
RAREST = 1e-7  # of which a thing counts as at least
FILLER = 0.004  # the share of each filler
# Of any word, whatever stands before it: English, things, looks, and the end.
ALONE = (0.55, 0.25, 0.12, 0.08)
BEFORE_NAME = {"in_the_style_of": 0.95, "in_the": 0.6, "in": 0.3, "like": 0.3}  # and how likely a style follows
BEFORE_GROUND = ("on_a", "on_an", "with_a", "against_a")
LOOKS = {"in_the_style_of": 0.2, "in_the": 0.03, "in": 0.04, "like": 0.02, "on_a": 0.2, "with_a": 0.05}
LOOKS |= {"against_a": 0.03, "emoji": 0.04, "icon": 0.02, "sticker": 0.01}  # how a look begins, beside names
NAMES, GROUNDS = 0.35, 0.03  # in the same proportion, all of them
ARTICLES = ("a", "an", "the", "some", "my", "two", "three", "another", "maybe", *FILLERS[:4])  # a thing follows
OPENERS = (
    *("your", "this", "that", "one", "any", "her", "his", "our", "of", "with", "like", "draw", "paint", "see"),
    *("make", "get", "have", "try", "for", "well", "just", "be"),
)
THING, ALSO_THING = 0.6, 0.2  # how likely behind an article, and behind an opener
WRONG_ARTICLE = 0.05  # how likely "an" stands before a consonant, beside a vowel
ASKED = 0.5  # how much the ways to ask count behind their words, beside English
EXPLICIT = 1.5  # a bigram is written where it is so many times as likely as the word alone
TINY = 1e-30


class LanguageModel:
    """The words that may be said, and how likely each is behind another.

    Args:
        known: the dictionary's pronunciations. english: of the same words.
    """

    def __init__(self, vocabulary: Vocabulary, styles: Sequence[str], known: Pronunciations, english: English) -> None:
        self._known, self._english = known, english
        self.pronunciations: dict[str, Sequence[str]] = {}
        things = self._kept(phrases.things(vocabulary))
        names = self._kept(phrases.names(styles))
        grounds = self._kept((spoken(colour), 1.0) for colour in BACKGROUNDS)
        qualities = self._kept((spoken(word), 1.0) for word in (*QUALITIES, *COLOURS))
        joints = [*LOOKS, *BEFORE_GROUND, *(_joined(ending.split()) for ending in ENDINGS), "style", "background"]
        self._kept((tuple(joint.split("_")), 1.0) for joint in joints)
        self._frequent = english.frequent(OTHERS)
        asking = {word for text in (*BEGINNINGS, *ENDINGS) for word in text.split()}
        general = self._kept(((word,), 1.0) for word in (*self._frequent, *sorted(asking), *FILLERS))
        self.words = ["<s>", "</s>", *self.pronunciations]
        self._place = {word: place for place, word in enumerate(self.words)}
        self._end = self._shares({"</s>": 1})
        self._general = self._shares({word: FILLER if word in FILLERS else english.share(word) for word in general})
        self._things = self._shares({thing: often * self._liked(thing) for thing, often in things.items()})
        self._names, self._grounds, self._qualities = map(self._shares, (names, grounds, dict.fromkeys(qualities, 1)))
        looks = self._shares(LOOKS) * sum(LOOKS.values()) + NAMES * self._names + GROUNDS * self._grounds
        self._looks = looks / looks.sum()
        parts = (self._general, self._things, self._looks, self._end)
        self._alone = sum(share * part for share, part in zip(ALONE, parts, strict=True))
        self._alone = np.maximum(self._alone, TINY)  # the beginning, and what is only said behind some words
        self._ways = self._ways_to_ask()

    def text(self) -> str:
        """Return the model in the ARPA format."""
        backed = np.ones(len(self.words))
        pairs: list[tuple[str, np.ndarray, np.ndarray]] = []
        behind_thing = self._explicit(self._behind_thing())
        histories = self._histories()
        for word in sorted({*histories, *(self.words[place] for place in np.flatnonzero(self._things))}):
            rule = histories.get(word)
            places, shares, rest = behind_thing if rule is None else self._explicit(rule(word))
            backed[self._place[word]] = rest
            pairs.append((word, places, shares))
        lines = ["\\data\\", f"ngram 1={len(self.words)}", f"ngram 2={sum(len(places) for _, places, _ in pairs)}"]
        alone, backed = np.log10(self._alone), np.log10(np.maximum(backed, 1e-6))
        lines += ["", "\\1-grams:"]
        lines += [f"{one:.4f} {word} {rest:.4f}" for word, one, rest in zip(self.words, alone, backed, strict=True)]
        lines += ["", "\\2-grams:"]
        for word, places, shares in pairs:
            lines += [
                f"{share:.4f} {word} {self.words[place]}" for place, share in zip(places, np.log10(shares), strict=True)
            ]
        return "\n".join([*lines, "", "\\end\\", ""])

    def _kept(self, said: Iterable[tuple[Words, float]]) -> dict[str, float]:
        """Add expressions that can be said, and return them with how often each is."""
        kept: dict[str, float] = {}
        for words, often in said:
            ways = [list(pronounced(word, self._known))[:WAYS_OF_A_WORD] for word in words]
            if not words or not all(ways):
                continue
            name = _joined(words)
            kept[name] = max(kept.get(name, 0.0), often)
            joined = [" ".join(parts) for parts in itertools.islice(itertools.product(*ways), MOST_WAYS)]
            self.pronunciations.setdefault(name, joined)
        return kept

    def _shares(self, often: Mapping[str, float]) -> np.ndarray:
        """(words,) in proportion, 1 together."""
        found = np.zeros(len(self.words))
        for word, times in often.items():
            found[self._place[word]] = times
        return found / found.sum()

    def _liked(self, thing: str) -> float:
        """Return how much more often a thing is asked for because its rarest word is a frequent one."""
        return max(RAREST, min(map(self._english.share, thing.split("_")))) ** LIKED

    def _histories(self) -> dict[str, Callable[[str], np.ndarray]]:
        """Return the words before which more is known than how frequent others are, and what they say of those."""
        found: dict[str, Callable[[str], np.ndarray]] = {}
        behind_english = (*self._ways, *self._frequent[:HISTORIES], *ARTICLES, *OPENERS)
        found |= dict.fromkeys((word for word in behind_english if word in self._place), self._behind_english)
        for shares, rule in (
            (self._qualities, self._behind_quality),
            (self._grounds, self._behind_quality),
            (self._names, self._behind_name),
        ):
            found |= dict.fromkeys((self.words[place] for place in np.flatnonzero(shares)), rule)
        found |= dict.fromkeys(BEFORE_NAME, self._before_name) | dict.fromkeys(BEFORE_GROUND, self._before_ground)
        return found | dict.fromkeys(("style", "background"), self._behind_look)

    def _behind_thing(self) -> np.ndarray:
        endings = sum(often * self._shares({_joined(text.split()): 1}) for text, often in ENDINGS.items())
        return self._with_rest(0.45 * self._end + 0.35 * self._looks + endings)

    def _behind_name(self, name: str) -> np.ndarray:
        known = 0.45 * self._shares({"style": 1}) + 0.35 * self._end + 0.1 * self._looks + 0.02 * self._things
        return self._with_rest(known)

    def _behind_look(self, word: str) -> np.ndarray:
        return self._with_rest(0.8 * self._end + 0.05 * self._shares({"please": 1}) + 0.05 * self._looks)

    def _before_name(self, joint: str) -> np.ndarray:
        return self._with_rest(BEFORE_NAME[joint] * self._names)

    def _before_ground(self, joint: str) -> np.ndarray:
        return self._with_rest(0.93 * self._grounds)

    def _behind_quality(self, word: str) -> np.ndarray:
        ground = 0.35 if self._grounds[self._place[word]] else 0.0
        return self._with_rest(0.5 * self._things + ground * self._shares({"background": 1}))

    def _behind_english(self, word: str) -> np.ndarray:
        found = ASKED * self._ways[word] if word in self._ways else np.zeros(len(self.words))
        likely = THING if word in ARTICLES else ALSO_THING if word in OPENERS else 0.0
        found = found + likely * (1 - found.sum()) * (0.85 * self._fitting(word) + 0.15 * self._qualities)
        if word in self._frequent[:HISTORIES]:
            others = self._frequent[:FOLLOWERS]
            behind = np.zeros(len(self.words))
            behind[[self._place[other] for other in others]] = self._english.after(word, others)
            found = found + 0.75 * (1 - found.sum()) * behind / max(1.0, behind.sum())
        return self._with_rest(found)

    def _with_rest(self, known: np.ndarray) -> np.ndarray:
        """Return shares of which what is left goes to words as they are alone."""
        return known + (1 - known.sum()) * self._alone

    def _fitting(self, article: str) -> np.ndarray:
        """Return the things' shares behind "a" or "an", of which the one stands before vowels."""
        if article not in ("a", "an"):
            return self._things
        vowel = np.array([word[0] in "aeiou" for word in self.words])
        shares = self._things * np.where(vowel == (article == "an"), 1.0, WRONG_ARTICLE)
        return shares / shares.sum()

    def _ways_to_ask(self) -> dict[str, np.ndarray]:
        """Return each word of the ways to ask, and what follows it there."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for text in BEGINNINGS:
            words = ["<s>", *text.split()]
            for word, other in itertools.pairwise(words):
                counts[word][other] += 1
            counts[words[-1]]["thing"] += 1
        found = {}
        for word, others in counts.items():
            times = others.total()
            thing = others.pop("thing", 0) / times
            plain = self._shares(others) * (1 - thing) if others else np.zeros(len(self.words))
            found[word] = plain + thing * (0.87 * self._fitting(word) + 0.13 * self._qualities)
        return found

    def _explicit(self, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the places and shares that must be written, and by what all others' own shares are multiplied."""
        shares = shares.copy()
        shares[0] = 0
        places = np.flatnonzero((shares > EXPLICIT * self._alone) & (shares > 1e-7))
        rest = (1 - shares[places].sum()) / (1 - self._alone[places].sum())
        return places, shares[places], max(rest, 1e-4)


def _joined(words: Iterable[str]) -> str:
    return "_".join(words)
