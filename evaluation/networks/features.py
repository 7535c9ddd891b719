"""Pictures to features: one pass of a network over a folder, whose rows every metric then reads."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from evaluation.metrics.statistics import FeatureSpace
from evaluation.networks.clip import JUDGES, Clip, default_judge
from evaluation.networks.inception import Inception, find_weights
from evaluation.pictures.image_folder import batches

JUDGE = "judge"


class Network(Protocol):
    """What turns pictures into features: `preprocess` runs in the loader's workers, calling it gives the rows."""

    name: str
    sha256: str  # of the weights
    resize: str  # how a picture comes to the network's size
    dim: int

    def preprocess(self, picture: Image.Image) -> torch.Tensor: ...

    def __call__(self, batch: torch.Tensor) -> np.ndarray: ...


class ClipFeatures:
    """A CLIP's picture embeddings, not brought to length 1: the space of CLIP-FID (arXiv 2203.06026) and CMMD."""

    resize = "its own"

    def __init__(self, source: str, device: str = "cpu") -> None:
        self._clip = Clip(source, device)
        self.name = self._clip.name
        self.sha256 = self._clip.sha256
        self.dim = self._clip.dim
        self.embedded = source in JUDGES
        self.preprocess = self._clip.preprocess

    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Preprocessed pictures -> (n, dim) float32."""
        return self._clip.project(batch).cpu().numpy()


def open_network(name: str, resize: str = "clean", weights: str | None = None, device: str = "cpu") -> Network:
    """ "inception", "judge" (the embedded CLIP) or "clip:SOURCE"; ValueError says what is wrong or missing.

    `resize` and `weights` are Inception's; see `inception.find_weights`.
    """
    if name == "inception":
        return Inception(find_weights(weights), resize, device)
    if name == JUDGE:
        return ClipFeatures(default_judge(), device)
    kind, _, source = name.partition(":")
    if kind != "clip" or not source:
        raise ValueError(f"--network must be inception, {JUDGE} or clip:FOLDER, not {name!r}.")
    return ClipFeatures(source, device)


def space_of(network: Network, size: int | None = None) -> FeatureSpace:
    """The space of the network's features of pictures in the canonical form of `size`."""
    return FeatureSpace(network.name, network.sha256, network.resize, size or 0)


def extract(
    paths: Sequence[Path],
    network: Network,
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
    bar = tqdm(total=len(paths), desc=paths[0].parent.name, unit="picture", disable=not progress)
    with tempfile.TemporaryFile() as file, bar:
        for batch in prepared:
            rows = network(batch)
            if not np.isfinite(rows).all():
                first = paths[done + int((~np.isfinite(rows).all(1)).argmax())]
                raise ValueError(f"The features of {first} are not finite: the weights of {network.name} are damaged.")
            file.write(np.ascontiguousarray(rows, dtype=np.float32))
            done += len(rows)
            bar.update(len(rows))
        file.flush()
        return np.memmap(file, dtype=np.float32, mode="r", shape=(len(paths), network.dim))
