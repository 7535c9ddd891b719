"""Pictures that are no files of their own: inside of a zip, a tar, a Parquet table, ADM's .npz, or a set of the hub.

Each knows where it lies and reads itself, so that a loader's workers can; nothing is unpacked.
"""

import functools
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

TAR_BLOCK = 512


class Readable(Protocol):
    """A picture that is read when it is needed; as text it says where it lies. A `Path` is one as well."""

    @property
    def name(self) -> str:
        """Return its name inside of where it lies, by which pictures are sorted."""
        ...

    @property
    def identity(self) -> str:
        """Return what differs from that of any other picture, and when this one may have changed."""
        ...

    def read_bytes(self, most: int | None = None) -> bytes:
        """Return a file that Pillow opens, or `most` bytes of its beginning.

        ValueError or OSError for one that is damaged.
        """
        ...


@dataclass(frozen=True)
class ZipMember:
    """A file in a zip."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    @property
    def identity(self) -> str:
        return f"{file_identity(self.archive)} {self.name}"

    def read_bytes(self, most: int | None = None) -> bytes:
        try:
            with _zip(self.archive, os.getpid()).open(self.name) as file:
                return file.read(-1 if most is None else most)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(f"the archive is damaged there ({error})") from error


@dataclass(frozen=True)
class TarMember:
    """A file in a tar that is not compressed, as shards of WebDataset are."""

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    @property
    def identity(self) -> str:
        return f"{file_identity(self.archive)} {self.offset} {self.size}"

    def read_bytes(self, most: int | None = None) -> bytes:
        return _span(self.archive, self.offset, self.size if most is None else min(most, self.size))


@dataclass(frozen=True)
class ParquetCell:
    """A picture in a row of a Parquet table: bytes, or a structure that holds them, as `datasets` writes it."""

    table: Path
    column: str
    group: int
    row: int

    @property
    def name(self) -> str:
        return f"group {self.group}, row {self.row}"

    def __str__(self) -> str:
        return f"{self.table} ({self.name})"

    @property
    def identity(self) -> str:
        return f"{file_identity(self.table)} {self.column} {self.name}"

    def read_bytes(self, most: int | None = None) -> bytes:
        value = _group(self.table, self.column, self.group)[self.row].as_py()
        found = value.get("bytes") if isinstance(value, dict) else value
        if not found:
            raise ValueError(f"the column {self.column} holds no picture there")
        return found[:most]


@dataclass(frozen=True, eq=False)
class DatasetRow:
    """A picture of a `datasets` set that does not decode it."""

    rows: Any
    column: str
    index: int

    @property
    def name(self) -> str:
        return f"row {self.index}"

    def __str__(self) -> str:
        return f"{self.name} of the set"

    @property
    def identity(self) -> str:
        return f"{self.rows._fingerprint} {self.column} {self.index}"  # which `datasets` makes of source and changes

    def read_bytes(self, most: int | None = None) -> bytes:
        value = self.rows[self.index][self.column]
        if value and isinstance(value, bytes):
            return value[:most]
        if value and value.get("bytes"):
            return value["bytes"][:most]
        if value and value.get("path"):
            return Path(value["path"]).read_bytes()[:most]
        raise ValueError(f"the column {self.column} holds no picture there")


@dataclass(frozen=True)
class ArrayRow:
    """A picture of `arr_0`, (n, height, width, 3) uint8, in an .npz of ADM's evaluator: as a PPM file."""

    archive: Path
    offset: int
    height: int
    width: int
    index: int

    @property
    def name(self) -> str:
        return f"picture {self.index}"

    def __str__(self) -> str:
        return f"{self.archive} ({self.name})"

    @property
    def identity(self) -> str:
        return f"{file_identity(self.archive)} {self.index}"

    def read_bytes(self, most: int | None = None) -> bytes:
        size = self.height * self.width * 3
        levels = _span(self.archive, self.offset + self.index * size, size)
        return (b"P6 %d %d 255\n" % (self.width, self.height) + levels)[:most]


def file_identity(file: Path) -> str:
    """Return where a file lies, how large it is and when it was written."""
    there = file.stat()
    return f"{file.absolute()} {there.st_size} {there.st_mtime_ns}"


def array_rows(archive: Path) -> tuple[ArrayRow, ...]:
    """Return the pictures of `arr_0`; ValueError unless it is there, of pictures, and not compressed.

    An array of 50,000 pictures is ten gigabytes: each is read from its place in the file.
    """
    try:
        with zipfile.ZipFile(archive) as file, archive.open("rb") as raw:
            entry = file.getinfo("arr_0.npy")
            if entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{archive} is compressed: save its pictures by numpy.savez.")
            raw.seek(entry.header_offset)
            header = raw.read(30)
            names, extra = struct.unpack("<HH", header[26:30])
            raw.seek(names + extra, os.SEEK_CUR)
            version = np.lib.format.read_magic(raw)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, kind = read(raw)
            start = raw.tell()
    except (OSError, KeyError, zipfile.BadZipFile, struct.error) as error:
        raise ValueError(f"{archive} holds no pictures: ADM's evaluator keeps them as arr_0 ({error}).") from error
    if len(shape) != 4 or shape[3] != 3 or kind != np.uint8 or fortran:
        raise ValueError(f"{archive}: arr_0 must be (n, height, width, 3) of uint8, not {shape} of {kind}.")
    return tuple(ArrayRow(archive, start, shape[1], shape[2], index) for index in range(shape[0]))


def _span(file: Path, offset: int, size: int) -> bytes:
    with file.open("rb") as raw:
        raw.seek(offset)
        found = raw.read(size)
    if len(found) < size:
        raise ValueError("the file ends before the picture does")
    return found


@functools.lru_cache(maxsize=8)
def _zip(archive: Path, process: int) -> zipfile.ZipFile:
    """Return the archive opened by this process: forks would share one place in the file."""
    return zipfile.ZipFile(archive)


@functools.lru_cache(maxsize=2)
def _group(table: Path, column: str, group: int) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(table).read_row_group(group, columns=[column])[column]
    except pyarrow.ArrowException as error:
        raise ValueError(f"the table is damaged there ({error})") from error
