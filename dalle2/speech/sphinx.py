"""Speech to words without a network: PocketSphinx, with a language model made of what a checkpoint knows.

PocketSphinx's English model and its dictionary come inside its wheel. The language model is made of the phrases of the
checkpoint's vocabulary; frequent words of English stand beside them, rarely expected, so that a word which the
checkpoint does not know is heard as itself and refused, not taken for the nearest one that is known.
"""

import contextlib
import io
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dalle2.refusal import Refusal
from dalle2.speech.phrases import FILLERS, Phrases, phrases
from dalle2.speech.transcript import NotHeard, Transcript
from dalle2.understanding.vocabulary import Vocabulary

NAME = "pocketsphinx"
OTHERS = 2500  # of the most frequent words of English, beside those of the vocabulary
OTHER_WEIGHT = 2  # how often each of these is said, in the proportion of `phrases`
PRONUNCIATIONS = Path(__file__).with_name("pronunciations.tsv")
SURPRISE = 0.3  # how likely a word is that none of the phrases has after the two before it
# The weight of the language model against the sounds.
SEARCH = {"lw": 6.5, "cmn": "batch"}

Pronunciations = Mapping[str, Sequence[str]]  # a word -> the ways to say it, in phonemes with blanks between them


class Sphinx:
    """PocketSphinx with the words of one vocabulary; ValueError where it is not installed."""

    def __init__(self, vocabulary: Vocabulary, styles: Sequence[str]) -> None:
        sphinx, self._turn = _library(), threading.Lock()
        known = _dictionary()
        sayings = phrases(vocabulary, styles)
        spoken = {word: said for words in sayings for word in words if (said := _pronounced(word, known))}
        others = [word for word in _frequent(sphinx) if word not in spoken][:OTHERS]
        with tempfile.TemporaryDirectory() as folder:
            model, words = Path(folder, "words.lm"), Path(folder, "words.dict")
            model.write_text(_language_model(sayings, spoken.keys(), others), encoding="utf-8")
            words.write_text(_lines(spoken | {word: known[word] for word in others}), encoding="utf-8")
            self._decoder = sphinx.Decoder(lm=str(model), dict=str(words), loglevel="FATAL", **SEARCH)

    def recognise(self, samples: np.ndarray) -> Transcript:
        """Return the words in (samples,) int16 at 16 kHz, one channel; NotHeard where there are none."""
        decoder = self._decoder
        with self._turn:
            decoder.reinit_feat()  # else its means of the recording before would change what is heard in this one
            decoder.start_utt()
            decoder.process_raw(samples.tobytes(), full_utt=True)
            decoder.end_utt()
            hypothesis = decoder.hyp()
        words = [word for word in (hypothesis.hypstr if hypothesis else "").split() if word not in FILLERS]
        if not words:
            raise NotHeard("No words were heard: speak closer to the microphone, or type the prompt.")
        return Transcript(" ".join(words), NAME)


def _library() -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise Refusal("Hearing speech needs pocketsphinx: pip install open-dalle2[speech].") from error
    return pocketsphinx


@cache
def _dictionary() -> Pronunciations:
    """Return the dictionary of the wheel, with our own words."""
    found: dict[str, list[str]] = {}
    shipped = Path(_library().get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8")
    ours = PRONUNCIATIONS.read_text(encoding="utf-8")
    rows = [line.split(" ", 1) for line in shipped.splitlines()]
    rows += [line.split("\t", 1) for line in ours.splitlines() if line[0] != "#"]
    for word, phonemes in rows:
        found.setdefault(word.partition("(")[0], []).append(phonemes)
    return found


def _pronounced(word: str, known: Pronunciations) -> Sequence[str]:
    """Return the ways to say a word: its own, or those of two words that it is made of, as in "paperclip"; or none."""
    if word in known:
        return known[word]
    if word.endswith("'s") and (said := _pronounced(word[:-2], known)):
        return [f"{one} Z" for one in said]
    parts = [(word[:cut], word[cut:]) for cut in range(3, len(word) - 2)]
    fitting = [pair for pair in parts if pair[0] in known and pair[1] in known]
    if not fitting:
        return ()
    first, second = max(fitting, key=lambda pair: min(map(len, pair)))
    return [f"{known[first][0]} {known[second][0]}"]


@cache
def _frequent_scores() -> Mapping[str, float]:
    sphinx = _library()
    model = sphinx.NGramModel.readfile(sphinx.get_model_path("en-us/en-us.lm.bin"))
    return {word: model.prob([word]) for word in _dictionary() if word.isalpha()}


def _frequent(sphinx: Any) -> list[str]:
    """Return the words of the dictionary, the most frequent in English first."""
    scores = _frequent_scores()
    return sorted(scores, key=lambda word: -scores[word])


def _language_model(sayings: Phrases, spoken: Iterable[str], others: Sequence[str]) -> str:
    """Return an ARPA trigram model of those phrases that can be said, and of single other words."""
    from pocketsphinx.lm import ArpaBoLM

    known, model = set(spoken), ArpaBoLM(add_start=True, discount_mass=SURPRISE)
    for words, weight in sayings.items():
        if known.issuperset(words):
            _count(model, ("<s>", *words, "</s>"), weight)
    for word in others:
        model.grams_1[word] = OTHER_WEIGHT
    model.compute()
    text = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        model.write(text)
    return text.getvalue()


def _count(model: Any, words: Sequence[str], weight: int) -> None:
    for place, word in enumerate(words):
        model.grams_1[word] += weight
        if place + 1 < len(words):
            model.grams_2[word][words[place + 1]] += weight
        if place + 2 < len(words):
            model.grams_3[word][words[place + 1]][words[place + 2]] += weight


def _lines(pronunciations: Pronunciations) -> str:
    rows = []
    for word, ways in sorted(pronunciations.items()):
        rows += [f"{word if not number else f'{word}({number + 1})'} {way}" for number, way in enumerate(ways)]
    return "\n".join(rows) + "\n"
