"""Pictures that are drawn together: a group of a manifest, as large as the memory allows, whoever draws it."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate.utils import release_memory
from accelerate.utils.memory import should_reduce_batch_size
from PIL import Image
from tqdm import tqdm

from dalle2 import atomic
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from evaluation.pictures.manifest import MANIFEST, Manifest, Row, is_whole, read_manifest, write_manifest


def begin(out: Path, manifest: Manifest) -> Manifest:
    """Make the folder, or take it up again; the manifest of the run that began, whose number of threads counts."""
    out.mkdir(parents=True, exist_ok=True)
    atomic.remove_partials(out)
    if not (out / MANIFEST).exists():
        write_manifest(manifest, out)
    return read_manifest(out) or manifest


def present(out: Path) -> set[str]:
    """Return the pictures that are there and whole."""
    return {entry.name for entry in os.scandir(out) if is_whole(Path(entry.path))} if out.is_dir() else set()


def draw_group(
    model: UnclipModel, group: Sequence[Row], settings: Settings, size: int
) -> tuple[list[Image.Image], int]:
    """Return the pictures of a group, `size` at a time, and the size that the memory allowed."""
    while True:
        try:
            return list(in_parts(model, group, settings, size)), size
        except RuntimeError as error:
            if not (isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)):
                raise
            if size == 1:
                raise ValueError(
                    "Not even one picture at a time fits into the memory: free some, or use --dtype bfloat16."
                ) from error
        size //= 2
        # outside of the except, where the error would keep the tensors
        release_memory()
        tqdm.write(f"The memory does not hold the batch: drawing {size} at a time from here on.", file=sys.stderr)


def in_parts(model: UnclipModel, group: Sequence[Row], settings: Settings, size: int) -> Iterator[Image.Image]:
    """Yield the pictures of a group, `size` at a time."""
    for first in range(0, len(group), size):
        part = group[first : first + size]
        captions, seeds = [row.caption for row in part], [row.seed for row in part]
        yield from model.text_to_image(captions, seeds=seeds, settings=settings, literal=True)
