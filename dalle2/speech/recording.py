"""A recording of any format as one channel of samples, decoded by PyAV: a stranger's file until it is checked."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dalle2.refusal import Refusal
from dalle2.speech.transcript import NotHeard

if TYPE_CHECKING:
    import av

RATE = 16_000  # samples a second, which all recognisers of speech here take
SOUND_RATE = 48_000  # which CLAP takes
MOST_SECONDS = 60  # a prompt takes three
MOST_BYTES = 32 * 2**20  # a minute of 32-bit stereo at 48 kHz takes 22 MiB
SILENCE = 10 ** (-50 / 20)  # of full scale: the loudest 20 ms of a quiet room lie below
RATES = (4_000, 384_000)
# Containers that hold their own sound. Others, such as playlists, would let a file name further files and addresses.
FORMATS = "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,amr,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,avi,wv,opus"
_BLOCK = RATE // 50


def read_recording(source: Path | str | bytes) -> np.ndarray:
    """Return a recording as (samples,) int16 at `RATE`, without silence at its ends, its loudest at half of the range.

    ValueError, one of which is NotHeard for silence, says in a sentence what is wrong with it; OSError where it cannot
    be read.
    """
    samples = _decoded(_content(source))
    levels = _levels(samples, RATE)
    heard = np.flatnonzero(levels > max(SILENCE, levels.max() / 50))
    margin = RATE // 4
    begin, end = max(0, heard[0] * _BLOCK - margin), (heard[-1] + 1) * _BLOCK + margin
    kept = samples[begin:end].astype(np.float32)
    kept *= 2**14 / np.abs(kept).max()
    return np.round(kept).astype(np.int16)


def read_sound(source: Path | str | bytes) -> np.ndarray:
    """Return any sound as (samples,) float32 in [-1, 1] at `SOUND_RATE`; errors as of `read_recording`."""
    samples = _decoded(_content(source), SOUND_RATE)
    _levels(samples, SOUND_RATE)
    return samples.astype(np.float32) / 2**15


def _levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return how loud each 20 ms are, of full scale; NotHeard where all are silent."""
    if not len(samples):
        raise NotHeard("The recording is empty: record again.")
    block = rate // 50
    blocks = np.pad(samples.astype(np.float32) / 2**15, (0, -len(samples) % block)).reshape(-1, block)
    levels = np.sqrt(((blocks - blocks.mean()) ** 2).mean(1))
    if levels.max() < SILENCE:
        raise NotHeard("The recording is silent: is the right microphone chosen, and not muted?")
    return levels


def _content(source: Path | str | bytes) -> bytes:
    if not isinstance(source, bytes):
        with Path(source).open("rb") as file:
            source = file.read(MOST_BYTES + 1)
    if len(source) > MOST_BYTES:
        raise Refusal(f"The recording's file is larger than {MOST_BYTES // 2**20} MB: make it shorter.")
    return source


def _decoded(content: bytes, rate: int = RATE) -> np.ndarray:
    import av  # half a second, for which the page's start need not wait

    try:
        with av.open(io.BytesIO(content), "r", options={"format_whitelist": FORMATS}) as container:
            if not container.streams.audio:
                raise Refusal("The file holds no sound: give a recording.")
            stream = container.streams.audio[0]
            if not RATES[0] <= (stream.rate or 0) <= RATES[1]:
                raise Refusal(f"The recording has {stream.rate} samples a second: {RATES[0]:,} to {RATES[1]:,} work.")
            parts, length = [], 0
            for part in _resampled(container.decode(stream), rate):
                parts.append(part)
                length += len(part)
                if length > MOST_SECONDS * rate:
                    raise Refusal(f"The recording is longer than {MOST_SECONDS} seconds: keep only what counts.")
    except av.error.FFmpegError as error:
        raise Refusal("This is not a recording that can be read: give WAV, MP3, Ogg, FLAC, M4A or WebM.") from error
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def _resampled(frames: "Iterator[av.AudioFrame]", rate: int) -> Iterator[np.ndarray]:
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    for frame in frames:
        yield from (part.to_ndarray()[0] for part in resampler.resample(frame))
    yield from (part.to_ndarray()[0] for part in resampler.resample(None))
