"""Where a command line's pictures go: names of files, strips and films, and the bar that stands meanwhile."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import av
from PIL import Image
from tqdm import tqdm

from dalle2 import images
from dalle2.settings import Step

FILMS = (".gif", ".mp4")


def file_names(out: str, words: str, numbers: Sequence[int]) -> list[Path]:
    """A file for each number: in the folder `out`, named by the words, or beside the name `out` with its suffix.

    ValueError for a name that does not end in .png.
    """
    path = Path(out).expanduser()
    if path.suffix and not path.is_dir():
        if path.suffix.lower() != ".png":
            raise ValueError(f"Pictures are saved as PNG: let {path.name!r} end in .png, or name a folder.")
        return [path] if len(numbers) == 1 else [path.with_name(f"{path.stem}-{n}{path.suffix}") for n in numbers]
    # Letters of every script may stand in a file name; 40 of them stay below 255 bytes in any.
    slug = re.sub(r"\W+", "-", words.lower()).strip("-")[:40].rstrip("-") or "picture"
    return [path / f"{slug}-{number}.png" for number in numbers]


def save_film(pictures: Sequence[Image.Image], path: Path, per_second: int = 8) -> Path:
    """Write a GIF that never ends (by Pillow) or an MP4 (H.264, by PyAV), with the first picture's record in it.

    The file appears whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial{path.suffix}")
    record = pictures[0].info.get(images.RECORD_KEY, "")
    try:
        if path.suffix.lower() == ".gif":
            pictures[0].save(
                partial,
                save_all=True,
                append_images=pictures[1:],
                duration=round(1000 / per_second),
                loop=0,
                comment=record.encode(),
            )
        else:
            _write_mp4(pictures, partial, per_second, record)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _write_mp4(pictures: Sequence[Image.Image], path: Path, per_second: int, record: str) -> None:
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = record
        stream = container.add_stream("libx264", rate=per_second)
        # Players want even sides, and colours at half their resolution.
        stream.width, stream.height = (side // 2 * 2 for side in pictures[0].size)
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())


class Progress:
    """One bar over all steps; `total` is None where nobody knows their number before."""

    def __init__(self, total: int | None = None) -> None:
        self._bar = tqdm(total=total, unit="step")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, step: Step) -> None:
        """To be told as `on_step`."""
        self._bar.set_description(step.stage, refresh=False)
        self._bar.update()
