"""Pictures to features: one pass of a network over a folder, whose rows every metric then reads."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation.networks.network import Encoder
from evaluation.pictures.loading import batches
from evaluation.pictures.members import Readable


def extract(
    paths: Sequence[Path | Readable],
    network: Encoder,
    size: int | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Features (n, dim) float32 of the pictures, in order, mapped from a temporary file that goes with the array.

    Memory so holds a batch, however many the pictures. ValueError for a picture that cannot be opened and for
    features that are not finite; OSError when the disk is full.
    """
    prepared = batches(paths, network.preprocess, size, batch_size, workers)
    done = 0
    place = paths[0].parent.name if isinstance(paths[0], Path) else None
    bar = tqdm(total=len(paths), desc=place, unit="picture", disable=not progress)
    with tempfile.TemporaryFile() as file, bar:
        for batch in prepared:
            rows = network(batch)
            if not np.isfinite(rows).all():
                first = paths[done + int((~np.isfinite(rows).all(1)).argmax())]
                raise ValueError(f"The features of {first} are not finite: the weights of {network.name} are damaged.")
            file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
            done += len(rows)
            bar.update(len(rows))
        file.flush()
        return np.memmap(file, dtype=np.float32, mode="r", shape=(len(paths), network.dim))
