"""One turn of `benchmarks.compare`: run in the tree that is measured, it prints times and all differences as JSON.

Its only argument is JSON: the modules of that tree by what they hold, the numbers of pictures, features and threads,
and a folder that gives paths their names.
"""

import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

SIDES = ("reference", "a", "b")
WORDS = ("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype", "command")
CLIP_DIM = 512


def main() -> None:
    """Measure both contestants and test their differences."""
    given = json.loads(sys.argv[1])
    torch.set_num_threads(given["threads"])
    n, dim, folder = given["pictures"], given["dim"], Path(given["folder"])
    modules = {name: import_module(place) for name, place in given["places"].items() if name != "extract"}
    features = made_features(n, dim)
    clip = Clip(n)
    hand_over(modules, [import_module(place) for place in given["places"]["extract"]], features, clip)
    network = made_network(modules["network"], dim)
    moments = modules["moments"].Moments.of(features["reference"])
    space = modules["space"].space_of(network)
    reference = modules["statistics"].Statistics(space, moments, features["reference"])
    ruler = modules["measure"].Ruler(clip, network, reference, None, 32, 0, 0)
    contestants = [made_contestant(modules, name, folder / name, n) for name in SIDES[1:]]
    start, worked = time.perf_counter(), time.process_time()
    measured = [modules["measure"].measure(contestant, ruler) for contestant in contestants]
    contests = modules["contests"].contests_of(measured, 0)
    modules["measure"].scenes_of(measured)
    spent = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - worked}
    found = [[one.found.mean, *one.found.interval, one.p_holm] for one in contests]
    sys.stdout.write(json.dumps({**spent, "found": found}) + "\n")


def made_features(n: int, dim: int) -> dict[str, np.ndarray]:
    """Make the features of each side: correlated noise, whose mean is a little farther away from side to side."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(dim, dim)).astype(np.float32) / dim**0.5
    return {name: rng.normal(0.03 * shift, 1, (n, dim)).astype(np.float32) @ mixing for shift, name in enumerate(SIDES)}


class Clip:
    """A CLIP whose captions are noise, and whose pictures are their captions with features on them."""

    source, name, sha256, text_sha256, context, dim = "given", "clip:given", "0" * 64, "0" * 64, 77, CLIP_DIM

    def __init__(self, n: int) -> None:
        self.captions = unit(np.random.default_rng(1).normal(size=(n, CLIP_DIM)).astype(np.float32))

    def embed_captions(self, captions: Sequence[str]) -> np.ndarray:
        return self.captions[: len(captions)]

    def count_cut(self, _: Sequence[str]) -> int:
        return 0


def unit(rows: np.ndarray) -> np.ndarray:
    """Bring rows to length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def hand_over(modules: dict[str, Any], extracting: Sequence[Any], features: dict[str, np.ndarray], clip: Clip) -> None:
    """Let the tree take these features in place of a network's, and look for no file."""

    def extract(paths: Sequence[Path], network: object, *_: object, **__: object) -> np.ndarray:
        rows = features[Path(paths[0]).parent.name]
        return unit(clip.captions + np.resize(rows, clip.captions.shape) / 20) if network is clip else rows

    for module in extracting:
        module.extract = extract
        if hasattr(module, "conditioned"):
            module.conditioned = lambda *_: []
    modules["measure"].measured_pictures = lambda _: SimpleNamespace(notes=[])


def made_network(module: Any, dim: int) -> object:
    """Return the published Inception in name; its features are given."""

    class Given(module.Inception):
        sha256, published, resize = "0" * 64, True, "clean"

        def __init__(self) -> None:
            self.dim = dim
            self._classes = np.random.default_rng(2).normal(size=(10, dim)) / dim

    return Given()


def made_contestant(modules: dict[str, Any], name: str, folder: Path, n: int) -> object:
    """Return a contestant as if it had been drawn: n prompts, each its own."""
    row, manifest = modules["manifest"].Row, modules["manifest"].Manifest
    rows = tuple(row(file=f"{index}.png", id=str(index), caption=f"caption {index}", seed=index) for index in range(n))
    numbers = {"pictures": n, "seed": 0, "picture_size": 256, "batch_size": 1, "compiled": False, "threads": 1}
    tables = {"sampling": {}, "settings": {}, "versions": {}}
    made = manifest(**dict.fromkeys(WORDS, ""), **numbers, **tables, rows=rows)
    return modules["contestant"].Contestant(name, folder, made, None)


if __name__ == "__main__":
    main()
