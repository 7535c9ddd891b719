"""Speech to words in any language by a model of transformers, such as openai/whisper-small, where its weights are."""

import numpy as np
import torch
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from dalle2.refusal import Refusal
from dalle2.speech.recording import RATE
from dalle2.speech.transcript import NotHeard, Transcript

LENGTH = 100  # new tokens of a prompt
LONGEST = 30  # seconds, which is what Whisper hears at once


class Whisper:
    """A model that writes down speech; `source` is a folder, or an id on the hub. ValueError when it is none."""

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            self._processor = AutoProcessor.from_pretrained(source)
            self._model = AutoModelForSpeechSeq2Seq.from_pretrained(source).eval()
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            said = f"{source} is not a speech model, on this machine or on the Hugging Face hub: {reason}"
            raise ValueError(said) from error
        self._model.generation_config.max_length = None  # beside max_new_tokens it would only be warned of, each time

    @torch.no_grad()
    def recognise(self, samples: np.ndarray) -> Transcript:
        """Return the words in (samples,) int16 at 16 kHz, one channel; NotHeard where there are none."""
        if len(samples) > LONGEST * RATE:
            raise Refusal(f"The speech model hears at most {LONGEST} seconds at once: keep only what counts.")
        waves = samples.astype(np.float32) / 2**15
        inputs = self._processor(waves, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True)
        written = self._model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False)
        words = self._processor.batch_decode(written, skip_special_tokens=True)[0].strip()
        if not words:
            raise NotHeard("No words were heard: speak closer to the microphone, or type the prompt.")
        return Transcript(words, self.source)
