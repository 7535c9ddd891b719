"""Speech to words without a network: PocketSphinx, with a language model made of what a checkpoint knows.

PocketSphinx's English model and its dictionary come inside its wheel.
"""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dalle2.speech.dictionary import Pronunciations, dictionary, library
from dalle2.speech.english import English
from dalle2.speech.language_model import LanguageModel
from dalle2.speech.phrases import FILLERS
from dalle2.speech.transcript import NotHeard, Transcript
from dalle2.understanding.vocabulary import Vocabulary

NAME = "pocketsphinx"
HISS = 40  # of 32,768; chosen by the development list
# The weight of the language model against the sounds.
SEARCH = {"lw": 6.5, "cmn": "batch"}


class Sphinx:
    """PocketSphinx with the words of one vocabulary; ValueError where it is not installed."""

    def __init__(self, vocabulary: Vocabulary, styles: Sequence[str]) -> None:
        sphinx, self._turn = library(), threading.Lock()
        known = dictionary()
        expected = LanguageModel(vocabulary, styles, known, English(sphinx, known))
        with tempfile.TemporaryDirectory() as folder:
            model, words = Path(folder, "words.lm"), Path(folder, "words.dict")
            model.write_text(expected.text(), encoding="utf-8")
            words.write_text(_lines(expected.pronunciations), encoding="utf-8")
            self._decoder = sphinx.Decoder(lm=str(model), dict=str(words), loglevel="FATAL", **SEARCH)

    def recognise(self, samples: np.ndarray) -> Transcript:
        """Return the words in (samples,) int16 at 16 kHz, one channel; NotHeard where there are none."""
        decoder = self._decoder
        # Perfect silence between words, as of synthetic speech and of gates, is nothing that it was trained on.
        hissing = samples + np.random.default_rng(0).normal(0, HISS, len(samples))
        with self._turn:
            decoder.reinit_feat()  # else its means of the recording before would change what is heard in this one
            decoder.start_utt()
            decoder.process_raw(np.round(hissing).astype(np.int16).tobytes(), full_utt=True)
            decoder.end_utt()
            hypothesis = decoder.hyp()
        heard = hypothesis.hypstr.replace("_", " ") if hypothesis else ""
        words = [word for word in heard.split() if word not in FILLERS]
        if not words:
            raise NotHeard("No words were heard: speak closer to the microphone, or type the prompt.")
        return Transcript(" ".join(words), NAME)


def _lines(pronunciations: Pronunciations) -> str:
    rows = []
    for word, ways in sorted(pronunciations.items()):
        rows += [f"{word if not number else f'{word}({number + 1})'} {way}" for number, way in enumerate(ways)]
    return "\n".join(rows) + "\n"
