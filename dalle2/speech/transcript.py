"""`Transcript`: what was made of a recording, as one frozen value that command line, page and records share."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dalle2.refusal import Refusal


class NotHeard(Refusal):
    """A recording in which no words were recognised; the message says why, in one sentence."""


@dataclass(frozen=True)
class Transcript:
    """The words of a recording.

    Attributes:
        words: in small letters, as far as the recogniser has no others. recogniser: "pocketsphinx", or a model's name.
    """

    words: str
    recogniser: str


class Recogniser(Protocol):
    """What makes words of a recording."""

    def recognise(self, samples: np.ndarray) -> Transcript:
        """Return the words in (samples,) int16 at `recording.RATE`, one channel; NotHeard where there are none."""
        ...
