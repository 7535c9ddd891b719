"""Speech to words without a network: PocketSphinx, with a language model made of what a checkpoint knows.

PocketSphinx's English model and its dictionary come inside its wheel.
"""

import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dalle2.refusal import Refusal
from dalle2.speech.english import English
from dalle2.speech.language_model import LanguageModel, Pronunciations
from dalle2.speech.phrases import FILLERS
from dalle2.speech.transcript import NotHeard, Transcript
from dalle2.understanding.vocabulary import Vocabulary

NAME = "pocketsphinx"
PRONUNCIATIONS = Path(__file__).with_name("pronunciations.tsv")
# The weight of the language model against the sounds.
SEARCH = {"lw": 6.5, "cmn": "batch"}


class Sphinx:
    """PocketSphinx with the words of one vocabulary; ValueError where it is not installed."""

    def __init__(self, vocabulary: Vocabulary, styles: Sequence[str]) -> None:
        sphinx, self._turn = _library(), threading.Lock()
        known = _dictionary()
        expected = LanguageModel(vocabulary, styles, known, English(sphinx, known))
        with tempfile.TemporaryDirectory() as folder:
            model, words = Path(folder, "words.lm"), Path(folder, "words.dict")
            model.write_text(expected.text(), encoding="utf-8")
            words.write_text(_lines(expected.pronunciations), encoding="utf-8")
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
        heard = hypothesis.hypstr.replace("_", " ") if hypothesis else ""
        words = [word for word in heard.split() if word not in FILLERS]
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


def _lines(pronunciations: Pronunciations) -> str:
    rows = []
    for word, ways in sorted(pronunciations.items()):
        rows += [f"{word if not number else f'{word}({number + 1})'} {way}" for number, way in enumerate(ways)]
    return "\n".join(rows) + "\n"
