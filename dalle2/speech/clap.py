"""Sounds to words by a CLAP model of transformers, such as laion/clap-htsat-unfused, where its weights are.

CLAP (Wu et al. 2023, arXiv 2211.06687) embeds sounds and texts in one space, as CLIP does pictures and texts, but not
in that of any CLIP: no sound becomes an image embedding. So the sound is named, the nearest of `sounds.tsv`, and what
makes that sound is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

from dalle2.speech.recording import SOUND_RATE

SOUNDS = Path(__file__).with_name("sounds.tsv")
PROMPT = "This is a sound of {}."  # as the paper's own zero-shot classification asks


@dataclass(frozen=True)
class Sound:
    """What a recording sounds like.

    Attributes:
        words: the sound, "dog barking". thing: what makes it, "dog". score: among all that were compared, 0..1.
    """

    words: str
    thing: str
    score: float


@cache
def known_sounds() -> tuple[tuple[str, str], ...]:
    """Return all sounds of the list, each with what makes it."""
    lines = SOUNDS.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and line[0] != "#"]
    return tuple((sound, thing) for sound, thing in rows)


class Clap:
    """A model that compares sounds with words; `source` is a folder or an id on the hub, ValueError when it is none."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            opened: Any = ClapModel.from_pretrained(source, output_loading_info=True)
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(source)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError, KeyError, ImportError, AttributeError, RuntimeError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            said = f"{source} is no CLAP model, on this machine or on the Hugging Face hub: {reason}"
            raise ValueError(said) from error
        model, told = opened
        if missing := sorted(told["missing_keys"]):
            raise ValueError(f"{source} is no CLAP model: it lacks {len(missing)} weights, such as {missing[0]}.")
        if getattr(self._extractor, "sampling_rate", None) != SOUND_RATE:
            raise ValueError(f"{source} hears other than {SOUND_RATE:,} samples a second: name another CLAP model.")
        self._model = model.eval()

    @torch.no_grad()
    def recognise(self, samples: np.ndarray, known: Callable[[str], bool]) -> Sequence[Sound]:
        """Return what (samples,) float32 at SOUND_RATE sound like, the nearest first, of things that are `known`.

        ValueError where none of them is. Of a long recording the loudest ten seconds count.
        """
        rows = [(sound, thing) for sound, thing in known_sounds() if known(thing)]
        if not rows:
            raise ValueError("This checkpoint knows nothing that makes a sound: describe in words what to draw.")
        clip = loudest(samples, self._extractor.nb_max_samples)
        inputs = self._extractor(clip, sampling_rate=SOUND_RATE, return_tensors="pt")
        heard = self._model.get_audio_features(**inputs).pooler_output
        texts = self._tokenizer([PROMPT.format(sound) for sound, _ in rows], padding=True, return_tensors="pt")
        words = self._model.get_text_features(texts["input_ids"], texts["attention_mask"]).pooler_output
        scores = (self._model.logit_scale_a.exp() * heard @ words.T)[0].softmax(-1).tolist()
        found = [Sound(sound, thing, score) for (sound, thing), score in zip(rows, scores, strict=True)]
        return sorted(found, key=lambda one: -one.score)


def loudest(samples: np.ndarray, length: int) -> np.ndarray:
    """Return the loudest stretch of `length` samples (n,): the extractor would cut out another one each time."""
    if len(samples) <= length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    begin = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[begin : begin + length]
