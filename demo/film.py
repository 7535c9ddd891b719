"""Pictures as a film to be looked at: it goes there and back again, and is not too small."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from dalle2.film import save_film

LEAST_SIDE = 256  # pixels: a smaller film is enlarged, without smoothing, to be worth looking at


def write_gif(frames: Sequence[Image.Image], path: Path, per_second: int = 8) -> Path:
    """Return an endless loop through the frames and back."""
    return save_film(_there_and_back(frames), path, per_second)


def write_mp4(frames: Sequence[Image.Image], path: Path, per_second: int = 8) -> Path:
    """Return the frames and back, in H.264, which every browser and phone plays."""
    return save_film(_there_and_back(frames), path, per_second)


def _there_and_back(frames: Sequence[Image.Image]) -> list[Image.Image]:
    shown = [_enlarged(frame) for frame in frames]
    return [*shown, *shown[-2:0:-1]]


def _enlarged(frame: Image.Image) -> Image.Image:
    factor = -(-LEAST_SIDE // min(frame.size))
    return (
        frame if factor <= 1 else frame.resize((frame.width * factor, frame.height * factor), Image.Resampling.NEAREST)
    )
