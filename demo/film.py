"""Pictures as a film: a GIF by Pillow, an MP4 by PyAV. Both go there and back again."""

from collections.abc import Sequence
from pathlib import Path

import av
from PIL import Image

LEAST_SIDE = 256  # pixels: a smaller film is enlarged, without smoothing, to be worth looking at


def write_gif(frames: Sequence[Image.Image], path: Path, per_second: float = 8) -> Path:
    """An endless loop through the frames and back."""
    first, *rest = _there_and_back([_enlarged(frame) for frame in frames])
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / per_second), loop=0)
    return path


def write_mp4(frames: Sequence[Image.Image], path: Path, per_second: int = 8) -> Path:
    """The frames and back, in H.264, which every browser and phone plays."""
    shown = _there_and_back([_enlarged(frame) for frame in frames])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=per_second)
        # Players want even sides, and colours at half their resolution.
        stream.width, stream.height = (side // 2 * 2 for side in shown[0].size)
        stream.pix_fmt = "yuv420p"
        for frame in shown:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return path


def _there_and_back(frames: Sequence[Image.Image]) -> list[Image.Image]:
    return [*frames, *frames[-2:0:-1]]


def _enlarged(frame: Image.Image) -> Image.Image:
    factor = -(-LEAST_SIDE // min(frame.size))
    return (
        frame if factor <= 1 else frame.resize((frame.width * factor, frame.height * factor), Image.Resampling.NEAREST)
    )
