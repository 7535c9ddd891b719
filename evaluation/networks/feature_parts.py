"""Features in parts on the disk: a killed run finds its parts again, and several processes share the work.

A part is a whole number of batches, so its rows are to the last bit those of one pass, whoever extracts it. Each set of
pictures and each network has a folder named by both, so parts of another set or network are never taken.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dalle2 import atomic
from evaluation.networks.features import extract
from evaluation.networks.network import Network, space_of
from evaluation.pictures.members import Readable, file_identity

PART = 256  # pictures of a part, or as many whole batches as come nearest
HEAD = "head.json"


@dataclass(frozen=True)
class Share:
    """A folder of parts, and which of the processes that share it this one is."""

    folder: Path
    process: int = 0
    processes: int = 1

    def extract(
        self,
        pictures: Sequence[Path | Readable],
        network: Network,
        size: int | None = None,
        batch_size: int = 32,
        workers: int | None = None,
    ) -> None:
        """Extract the parts that are this process's and not there yet.

        ValueError for a picture that cannot be opened; OSError when the disk is full. What is written stays.
        """
        folder = self.place(pictures, network, size, batch_size)
        for number, part in list(enumerate(parts_of(pictures, batch_size)))[self.process :: self.processes]:
            if not part_file(folder, number).exists():
                rows = extract(part, network, size, batch_size, workers, progress=self.process == 0)
                write_part(part_file(folder, number), rows)

    def merged(
        self, pictures: Sequence[Path | Readable], network: Network, size: int | None = None, batch_size: int = 32
    ) -> np.ndarray:
        """Return all features (n, d) in order, once every process is done; ValueError where a part is missing."""
        folder = self.place(pictures, network, size, batch_size)
        with tempfile.TemporaryFile() as file:
            for number, part in enumerate(parts_of(pictures, batch_size)):
                source = part_file(folder, number)
                if not source.exists():
                    raise ValueError(
                        f"{source} is missing: all processes must see the same --work folder, so name one on a disk "
                        "that their machines share."
                    )
                rows = np.load(source, allow_pickle=False)
                if rows.shape != (len(part), network.dim):
                    raise ValueError(f"{source} is damaged: remove it, and the same command makes it again.")
                file.write(np.ascontiguousarray(rows, dtype=np.float32).data)
            file.flush()
            return np.memmap(file, dtype=np.float32, mode="r", shape=(len(pictures), network.dim))

    def place(self, pictures: Sequence[Path | Readable], network: Network, size: int | None, batch_size: int) -> Path:
        """Return the place of these parts, which says in words what they are of."""
        names = hashlib.sha256("\n".join(map(_identity, pictures)).encode(errors="surrogateescape")).hexdigest()
        head = {"pictures": len(pictures), "names_sha256": names, "batch_size": batch_size}
        text = json.dumps(head | {"space": asdict(space_of(network, size))}, indent=1, sort_keys=True) + "\n"
        folder = self.folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not (folder / HEAD).exists():
            with atomic.file(folder / HEAD) as partial:
                partial.write_text(text, encoding="utf-8")
        return folder


def parts_of(pictures: Sequence[Path | Readable], batch_size: int) -> list[Sequence[Path | Readable]]:
    """Return the pictures in parts, each of whole batches."""
    size = max(1, PART // batch_size) * batch_size
    return [pictures[first : first + size] for first in range(0, len(pictures), size)]


def part_file(folder: Path, number: int) -> Path:
    """Return where a part lies in its set's place."""
    return folder / f"{number:06d}.npy"


def write_part(file: Path, rows: np.ndarray) -> None:
    """Keep a part, whole or not at all."""
    with atomic.file(file) as partial, partial.open("wb") as opened:
        np.save(opened, rows)


def _identity(picture: Path | Readable) -> str:
    return file_identity(picture) if isinstance(picture, Path) else picture.identity
