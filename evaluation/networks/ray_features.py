"""Features over a Ray cluster: workers extract the parts that a folder lacks, and the parts are written here.

All machines must see the pictures by the same paths; only this one needs the folder of parts.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from evaluation.networks import ray_map
from evaluation.networks.feature_parts import Share, part_file, parts_of, write_part
from evaluation.networks.features import extract
from evaluation.networks.network import Network
from evaluation.pictures.members import Readable


class Extractor:
    """A worker: extracts the part of a number."""

    def __init__(self, state: Any) -> None:
        self.parts, self.network, self.size, self.batch_size = ray_map.received(state)

    def __call__(self, row: Mapping[str, int]) -> dict[str, object]:
        """Return a part's number, how many rows it has, and these as bytes, float32."""
        part = self.parts[row["number"]]
        rows = extract(part, self.network, self.size, self.batch_size, workers=0, progress=False)
        return {"number": row["number"], "count": len(rows), "rows": np.asarray(rows, dtype=np.float32).tobytes()}


@dataclass(frozen=True)
class RayShare(Share):
    """A folder of parts that workers of a cluster extract, each on a GPU if `gpus` is 1; `address`: see `ray_map`."""

    address: str = ""
    gpus: int = 0

    def extract(
        self,
        pictures: Sequence[Path | Readable],
        network: Network,
        size: int | None = None,
        batch_size: int = 32,
        workers: int | None = None,
    ) -> None:
        """Have the parts extracted that are not there yet; ValueError with what a worker had to say."""
        folder = self.place(pictures, network, size, batch_size)
        parts = parts_of([_anywhere(picture) for picture in pictures], batch_size)
        lacking = [number for number in range(len(parts)) if not part_file(folder, number).exists()]
        done = ray_map.over_ray(lacking, Extractor, (parts, network, size, batch_size), self.address, self.gpus)
        for found in tqdm(done, desc="parts over Ray", total=len(lacking), disable=not sys.stderr.isatty()):
            rows = np.frombuffer(found["rows"], dtype=np.float32).reshape(found["count"], network.dim)
            write_part(part_file(folder, found["number"]), rows)


def _anywhere(picture: Path | Readable) -> Path | Readable:
    """Return a picture by a path that does not depend on where a process was started."""
    return picture.absolute() if isinstance(picture, Path) else picture
