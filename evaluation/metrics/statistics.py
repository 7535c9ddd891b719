"""All that is kept of a folder of pictures: moments and features, saved as .npz and reused."""

import json
import zipfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dalle2 import atomic
from evaluation.metrics import prdc
from evaluation.metrics.frechet import Moments, covariance_of, doubles
from evaluation.networks.network import FeatureSpace

FORMAT = 1
LARGE = 2**28  # bytes of features, above which they are read when they are needed
NAME_LENGTHS, LOCAL_HEADER = (
    26,
    30,
)  # of a zip's entry: where the lengths of its name and extra field stand, and its size


@dataclass(frozen=True, eq=False)
class Statistics:
    """All that is kept of a folder of pictures; `features` (n, d) float32 are None where only moments were saved.

    `counted` is false where nobody knows of how many pictures the moments are.
    """

    space: FeatureSpace
    moments: Moments
    features: np.ndarray | None = None
    counted: bool = True

    @property
    def count(self) -> int | None:
        """Return of how many pictures they are, None where nobody knows."""
        return self.moments.n if self.counted else None

    @cached_property
    def radii(self) -> np.ndarray:
        """Return `prdc.radii` (n,); they are kept, because every contestant is held against the same reference."""
        assert self.features is not None, "moments alone have no neighbours"
        return prdc.radii(self.features)

    def merge(self, other: "Statistics") -> "Statistics":
        """Return those of both sets of pictures, as if taken at once; ValueError for another space."""
        self.space.require(other.space, "The other statistics")
        if self.features is None or other.features is None or not (self.counted and other.counted):
            return Statistics(self.space, self.moments.merge(other.moments), None, self.counted and other.counted)
        features = np.concatenate([self.features, other.features])
        return Statistics(self.space, Moments.of(features), features)

    def save(self, path: str | Path) -> Path:
        """Write an .npz with pytorch-fid's `mu` and `sigma` beside our own; whole or not at all."""
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"Statistics are saved as .npz: let {path.name!r} end so.")
        arrays = {"mu": self.moments.mean.numpy(), "sigma": self.moments.covariance.numpy()}
        arrays |= {"n": np.array(self.moments.n), "format": np.array(FORMAT)}
        arrays["space"] = np.array(json.dumps(asdict(self.space)))
        if self.features is not None:
            arrays["features"] = self.features
        with atomic.file(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Read what `save` wrote; ValueError for files of other programs, which do not say how they were taken."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files if name != "features"}
                features = _features(Path(path), file) if "features" in file.files else None
            if int(arrays["format"]) != FORMAT:
                raise ValueError(f"{path} has the format {arrays['format']}, this version reads {FORMAT}.")
            space = FeatureSpace(**json.loads(str(arrays["space"])))
            n, mean, covariance = int(arrays["n"]), doubles(arrays["mu"]), covariance_of(arrays["sigma"], path)
        except (KeyError, TypeError, EOFError, zipfile.BadZipFile, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} does not say with which network and resizing it was taken: take the statistics again with "
                "python -m evaluation.fid --images FOLDER --save-stats FILE.npz."
            ) from error
        if features is not None and features.shape != (n, len(mean)):
            raise ValueError(
                f"{path} is damaged: it is of {n:,} pictures and {len(mean):,} features, and holds those of "
                f"{features.shape}. Take the statistics again."
            )
        if features is not None and n <= len(mean):
            return cls(space, Moments.of(features), features)
        return cls(space, Moments(n, mean, scatter=covariance * (n - 1)), features)


def _features(path: Path, file: "np.lib.npyio.NpzFile") -> np.ndarray:
    """Return the features of an .npz; many are left on the disk, where `np.savez` wrote them as they are."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
        entry = archive.getinfo("features.npy")
        if entry.file_size < LARGE or entry.compress_type != zipfile.ZIP_STORED:
            return file["features"]
        raw.seek(entry.header_offset + NAME_LENGTHS)
        name, extra = (int.from_bytes(raw.read(2), "little") for _ in range(2))
        raw.seek(entry.header_offset + LOCAL_HEADER + name + extra)
        version = np.lib.format.read_magic(raw)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(raw)
        return np.memmap(path, dtype, "r", raw.tell(), shape, "F" if fortran else "C")
