"""Pictures opened, brought to the canonical form, and prepared for a network by workers."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from dalle2.images import open_picture
from evaluation.pictures.members import Readable

MORE_FORMATS = ("TIFF", "PPM")  # which the page does not take, but whose levels are right

Prepare = Callable[[Image.Image], torch.Tensor]


def open_file(path: Path) -> Image.Image:
    """Return a picture that is measured, as `images.open_picture` gives it; ValueError names the file."""
    try:
        return open_picture(path, MORE_FORMATS)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be measured: {error}") from error


def canonical(picture: Image.Image, size: int | None) -> Image.Image:
    """Bring the short side to `size` by Pillow's bicubic filter, then cut out the centre; None leaves it as it is."""
    if size is None or picture.size == (size, size):
        return picture
    scale = size / min(picture.size)
    width, height = (max(size, round(side * scale)) for side in picture.size)
    left, top = (width - size) // 2, (height - size) // 2
    return picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def batches(
    paths: Sequence[Path | Readable | bytes],
    prepare: Prepare,
    size: int | None = None,
    batch_size: int = 32,
    workers: int | None = None,
) -> Iterator[torch.Tensor]:
    """Yield prepared pictures, stacked (b, ...), in the order of `paths`, which may be bytes, or inside of archives.

    `workers` processes open them, as many as cores up to 8 by default; this one does, once OpenVINO runs in it.
    ValueError names one that cannot be opened.
    """
    if batch_size < 1:
        raise ValueError(f"A batch holds at least one picture, not {batch_size}.")
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    if "openvino" in sys.modules:  # whose threads do not survive a fork: the whole process would crash
        workers = 0
    pictures = _Pictures(paths, prepare, size)
    loader = DataLoader(
        pictures,
        batch_size,
        num_workers=workers,
        collate_fn=_stack,
        worker_init_fn=_leave_stopping if workers else None,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise ValueError(batch)
        yield batch


def _leave_stopping(_: int) -> None:
    """Ctrl-C reaches workers as well, whose tracebacks nobody needs: the main process ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Pictures(Dataset):
    def __init__(self, paths: Sequence[Path | Readable | bytes], prepare: Prepare, size: int | None) -> None:
        self.paths, self.prepare, self.size = paths, prepare, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor | str:
        """Return the prepared picture, or the sentence that says what is wrong with it.

        An exception would reach the main process as a worker's traceback.
        """
        path = self.paths[index]
        try:
            file = path if isinstance(path, Path | bytes) else path.read_bytes()
            return self.prepare(canonical(open_picture(file, MORE_FORMATS), self.size))
        except (ValueError, OSError) as error:
            name = f"The picture {index}" if isinstance(path, bytes) else path
            return f"{name} cannot be measured: {error}"


def _stack(items: list[torch.Tensor | str]) -> torch.Tensor | str:
    faults = [item for item in items if isinstance(item, str)]
    return faults[0] if faults else torch.stack([item for item in items if isinstance(item, torch.Tensor)])
