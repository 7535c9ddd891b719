"""Opening a captioned source: the emoji set, another folder of pictures or parquet, or a hub's data set."""

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets.exceptions import DatasetNotFoundError

from dalle2.datasets.batch import square
from dalle2.datasets.caption_columns import captions_of
from dalle2.datasets.picture_columns import fingerprint_of, open_cell
from dalle2.datasets.picture_stream import PicturesInStream
from dalle2.datasets.pictures import PicturesInMemory


class NoSuchSplit(ValueError):
    """The source has no such split, or nothing in it."""


def load_pictures(
    source: str,
    split: str,
    size: int,
    columns: tuple[str, str] = ("image", "caption"),
    streaming: bool = False,
    seed: int = 0,
    subgroups: Sequence[str] = (),
) -> PicturesInMemory | PicturesInStream:
    """Open a captioned source at `size` pixels a side.

    Args:
        source: what `python -m dalle2.datasets.emoji` wrote, another folder that `datasets` can read
            (parquet, or pictures with a metadata file), or a hub id.
        columns: names of the picture and the caption column; a caption may be a text or a list of texts.
        split: its name, or several as "train+test". subgroups: keep only these subgroups of the emoji set; empty
            keeps all.

    Raises:
        NoSuchSplit: the source or the split is missing.
        ValueError: a column is missing, or a row is broken.
    """
    rows = _open(source, split, streaming)
    names = rows.column_names or list(next(iter(rows)))
    if subgroups:
        rows = rows.filter(lambda subgroup: subgroup in subgroups, input_columns="subgroup")
        if isinstance(rows, datasets.Dataset) and not len(rows):
            raise NoSuchSplit(
                f"The split {split!r} of {source} has no picture of the subgroups {', '.join(subgroups)}."
            )
    if isinstance((rows.features or {}).get(columns[0]), datasets.Image):
        rows = rows.cast_column(columns[0], datasets.Image(decode=False))  # opened here, as everywhere
    where, folder = f"{source}, split {split!r}", Path(source)
    if {"concept", "style", "captions", columns[0]} <= set(names):
        records = [dict(row) for row in rows.remove_columns(columns[0])]
        pictures, digests = _opened(rows.select_columns(columns[0]), columns[0], size, where, folder)
        fingerprint = fingerprint_of(digests, records)
        records, pictures = _by_neighbourhood(records, pictures)
        return PicturesInMemory(records, pictures, None, fingerprint)
    if missing := [column for column in columns if column not in names]:
        raise ValueError(f"The source {source} has no column {missing[0]!r}: it has {', '.join(names)}.")
    if isinstance(rows, datasets.IterableDataset):
        return PicturesInStream(rows, size, columns, seed, where, folder)
    said = enumerate(rows.select_columns(columns[1]))
    captions = [captions_of(row[columns[1]], f"{where}, row {number}") for number, row in said]
    pictures, digests = _opened(rows.select_columns(columns[0]), columns[0], size, where, folder)
    return PicturesInMemory([{} for _ in captions], pictures, captions, fingerprint_of(digests, captions))


def _open(source: str, split: str, streaming: bool) -> datasets.Dataset | datasets.IterableDataset:
    folder = Path(source)
    try:
        files = {part: sorted(map(str, folder.glob(f"data/{part}-*.parquet"))) for part in split.split("+")}
        if all(files.values()) or folder.is_dir():
            if all(files.values()):
                return datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming)
            return datasets.load_dataset(source, split=split, streaming=streaming)
        return datasets.load_dataset(source, split=split, streaming=streaming)
    except (OSError, ValueError, DatasetNotFoundError) as error:
        raise NoSuchSplit(
            f"Cannot open the split {split!r} of {source}: {error} "
            "(the emoji set is built with `python -m dalle2.datasets.emoji --out data/emoji`)."
        ) from error


def _by_neighbourhood(
    records: list[dict[str, Any]], pictures: torch.Tensor
) -> tuple[list[dict[str, Any]], torch.Tensor]:
    """Rows in the order of groups, so that concepts with neighbouring numbers look alike."""
    order = sorted(
        range(len(records)), key=lambda i: [records[i][k] for k in ("group", "subgroup", "concept", "style")]
    )
    return [records[index] for index in order], pictures[torch.tensor(order)]


def _opened(
    rows: Iterable[Mapping[str, Any]], column: str, size: int, where: str, folder: Path
) -> tuple[torch.Tensor, list[bytes]]:
    """Return the pictures of all rows, uint8 (n, 4, size, size), and a digest of each."""

    def opened(number: int, row: Mapping[str, Any]) -> tuple[torch.Tensor, bytes]:
        picture, digest = open_cell(row[column], f"{where}, row {number}", folder)
        return square(picture, size), digest

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding a picture leaves Python's lock alone
        found = list(threads.map(opened, itertools.count(), rows))
    if not found:
        raise ValueError(f"{where} holds no rows.")
    return torch.stack([picture for picture, _ in found]), [digest for _, digest in found]
