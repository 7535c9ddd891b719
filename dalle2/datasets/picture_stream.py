"""Captioned pictures as an endless stream, from a source too large for memory."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import torch

from dalle2.datasets.batch import WHITE, Batch, composite, pack, square
from dalle2.datasets.caption_columns import captions_of
from dalle2.datasets.picture_columns import described, fingerprint_of, open_cell
from dalle2.datasets.randomness import Randomness

_SHUFFLE_BUFFER = 2000
_FIRST_ROWS = 32  # by which a stream is known again


class PicturesInStream:
    """An endless stream of a source too large for memory, shuffled through a buffer."""

    def __init__(
        self, rows: datasets.IterableDataset, size: int, columns: tuple[str, str], seed: int, where: str, folder: Path
    ) -> None:
        self.rows, self.size, self.columns, self.seed = rows, size, columns, seed
        self.where, self.folder = where, folder
        self.styles: list[str] = []
        self._iterator: Iterator[Mapping[str, Any]] | None = None
        self._position = 0

    @property
    def fingerprint(self) -> str:
        """Return the same as `PicturesInMemory` does, but of the stream's first rows alone."""
        image_column, caption_column = self.columns
        rows = list(itertools.islice(self.rows, _FIRST_ROWS))
        digests = [open_cell(row[image_column], self.where, self.folder)[1] for row in rows]
        return fingerprint_of(digests, [row[caption_column] for row in rows])

    def batch(self, randomness: Randomness, per_concept: int = 1) -> Batch:
        """Return the step's rows of the stream; a step out of turn (a resumed run) reads up to its place first."""
        first = randomness.step * randomness.batch_size
        if self._iterator is None or first != self._position:
            self._iterator, self._position = self._endless(first), first
        rows = list(itertools.islice(self._iterator, randomness.batch_size))
        self._position += randomness.batch_size
        image_column, caption_column = self.columns
        pictures, captions, facts = [], [], []
        for slot in range(randomness.batch_size)[randomness.slots]:
            cell, said = rows[slot][image_column], rows[slot][caption_column]
            # A shuffled stream does not number its rows.
            name = described(cell)
            where, named = (self.where, f" ({name})") if name else (f"{self.where}, the row of {said!r}", "")
            captions.append(randomness.text(slot).choice(captions_of(said, f"{where}{named}")))
            pictures.append(square(open_cell(cell, where, self.folder)[0], self.size))
            facts.append((first + slot, 0, pack(WHITE), -1, -1))
        whites = torch.tensor([WHITE] * len(pictures))
        return Batch(composite(torch.stack(pictures), whites), captions, torch.tensor(facts))

    def _endless(self, skip: int) -> Iterator[Mapping[str, Any]]:
        for epoch in itertools.count():
            seen = 0
            for row in self.rows.shuffle(seed=self.seed + epoch, buffer_size=_SHUFFLE_BUFFER):
                seen += 1
                if skip:
                    skip -= 1
                    continue
                yield row
            if not seen:
                raise ValueError("The streamed source holds no rows.")
