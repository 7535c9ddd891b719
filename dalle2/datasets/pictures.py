"""Captioned pictures as training batches: the emoji set, or any other `datasets` source with captions."""

import copy
import hashlib
import itertools
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import torch.nn.functional as F
from datasets.exceptions import DatasetNotFoundError
from PIL import Image

from dalle2.datasets.caption_columns import captions_of
from dalle2.datasets.captions import draw_caption
from dalle2.datasets.lexicon import Lexicon
from dalle2.datasets.picture_columns import described, open_cell
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.scenes import Scene, caption, countable, draw_scene, paint

WHITE = (255, 255, 255)
_SHUFFLE_BUFFER = 2000
_FIRST_ROWS = 32  # by which a stream is known again
_ROWS = 256  # at a time
_MEMORY_SHARE = 0.25  # of what is free on a device, that a set may take


class NoSuchSplit(ValueError):
    """The source has no such split, or nothing in it."""


@dataclass(frozen=True)
class Batch:
    """Pictures with one caption each.

    Attributes:
        pictures: (n, 3, size, size) in [-1, 1].
        captions: n texts.
        facts: (n, 5) integers: concept, style, background of the picture, then the style and the background
            that its caption names (-1: names none), on the CPU. They decide which caption is true of which picture.
            A scene is a concept of its own.
    """

    pictures: torch.Tensor
    captions: list[str]
    facts: torch.Tensor


@dataclass(frozen=True)
class Drawn:
    """What a batch shows and says, before it is made of pixels: small enough to come from another process.

    Attributes:
        indices: rows, or what a scene stands in for. scenes: what each row shows in place of its picture.
        grounds: RGB. captions, facts: as in `Batch`.
    """

    indices: list[int]
    scenes: list[Scene | None]
    grounds: list[tuple[int, int, int]]
    captions: list[str]
    facts: list[tuple[int, ...]]


class PicturesInMemory:
    """A split held in memory as one uint8 tensor, its captions drawn afresh each time.

    Args:
        records: rows without their pictures. pictures: uint8 (n, 4, size, size), straight alpha.
        image_captions: the captions of a source that the emoji builder did not write, one list a picture.
        fingerprint: of what was read, wherever it lay; "" where it is not known.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        pictures: torch.Tensor,
        image_captions: list[list[str]] | None,
        fingerprint: str = "",
    ) -> None:
        self.fingerprint = fingerprint
        self.records, self.rgba, self.image_captions = records, pictures, image_captions
        concepts = [row["concept"] if image_captions is None else index for index, row in enumerate(records)]
        styles = [row["style"] if image_captions is None else "" for row in records]
        self.styles = sorted(set(styles))
        numbers = {concept: number for number, concept in enumerate(dict.fromkeys(concepts))}
        self.concepts = [numbers[concept] for concept in concepts]
        self.style_numbers = [self.styles.index(style) for style in styles]
        self.members = [[] for _ in numbers]
        for index, concept in enumerate(concepts):
            self.members[numbers[concept]].append(index)
        self.scenes = 0.0
        self.partners: dict[int, list[int]] = {}

    def compose(self, share: float) -> None:
        """From now on this share of the pictures of countable things becomes scenes with others of their style.

        Raises:
            ValueError: the source is no emoji set, or holds nothing that can be counted.
        """
        if share and self.image_captions is not None:
            raise ValueError("Scenes are composed of the emoji set only: set scenes to 0 for another source.")
        things = [index for index, row in enumerate(self.records) if share and countable(row)]
        if share and not things:
            raise ValueError("Nothing in this source can be counted: set scenes to 0.")
        self.partners = {}
        for index in things:
            self.partners.setdefault(self.style_numbers[index], []).append(index)
        self.scenes = share

    def learn(self, lexicon: Lexicon) -> None:
        """From now on captions say the lexicon's texts of their concept too, as paraphrases.

        Raises:
            ValueError: the source is no emoji set.
        """
        if self.image_captions is not None:
            raise ValueError("A lexicon is of the emoji set's concepts only: leave it out for another source.")
        said = lexicon.said_of()
        self.records = [
            {
                **row,
                "paraphrases": list(dict.fromkeys([*(row.get("paraphrases") or ()), *said.get(row["concept"], ())])),
            }
            for row in self.records
        ]

    def __len__(self) -> int:
        return len(self.records)

    def resize(self, size: int) -> None:
        """From now on at `size` pixels a side, by area averaging; colours weigh as much as they cover."""
        if size < self.rgba.shape[-1]:
            self.rgba = torch.cat([_smaller(rows, size) for rows in self.rgba.split(_ROWS)])

    def write(self, folder: Path) -> None:
        """For `read`, which costs no decoding, and no memory that another process has spent already."""
        folder.mkdir(parents=True)
        np.save(folder / "rgba.npy", self.rgba.cpu().numpy())
        words = {"records": self.records, "image_captions": self.image_captions, "fingerprint": self.fingerprint}
        (folder / "words.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "PicturesInMemory":
        """Read what `write` wrote."""
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        pictures = torch.from_numpy(np.load(folder / "rgba.npy", mmap_mode="c"))
        return cls(words["records"], pictures, words["image_captions"], words["fingerprint"])

    def move(self, device: torch.device) -> None:
        """To the device that trains, if it has room: moving each batch there would cost more than the training."""
        if device.type == "cuda" and self.rgba.nbytes < _MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.rgba = self.rgba.to(device)

    def batch(self, randomness: Randomness, per_concept: int = 1) -> Batch:
        """Return a step's batch: consecutive pictures of a shuffled epoch, or `per_concept` of each drawn concept."""
        return self.render(self.draw(randomness, per_concept))

    def draw(self, randomness: Randomness, per_concept: int = 1) -> Drawn:
        """Return what `batch` shows; needs no pictures."""
        indices = self._grouped(randomness, per_concept) if per_concept > 1 else self._shuffled(randomness)
        draws = [randomness.text(slot) for slot in range(randomness.batch_size)]
        scenes = self._scenes(indices, draws)
        slots = randomness.slots
        return self._said(indices[slots], draws[slots], scenes[slots])

    def words(self) -> "PicturesInMemory":
        """Return the same without pictures, for another process to `draw` from."""
        others = copy.copy(self)
        others.rgba = self.rgba.new_empty(0, *self.rgba.shape[1:], device="cpu")
        return others

    def captioned(
        self, indices: Sequence[int], draws: Sequence[random.Random], scenes: Sequence[Scene | None]
    ) -> Batch:
        """Return the pictures of these rows, each on the background and with the caption that its own draw decides.

        Args:
            scenes: what a row shows in place of its picture, None for the picture.
        """
        return self.render(self._said(indices, draws, scenes))

    def render(self, drawn: Drawn) -> Batch:
        """Return the batch in pixels, made where the pictures are."""
        device = self.rgba.device
        rgba = self.rgba[torch.tensor(drawn.indices).to(device, non_blocking=True)]
        for slot, scene in enumerate(drawn.scenes):
            if scene is not None:
                rgba[slot] = paint(scene, self.rgba)
        grounds = torch.tensor(drawn.grounds).to(device, non_blocking=True)
        return Batch(composite(rgba, grounds), drawn.captions, torch.tensor(drawn.facts))

    def _said(self, indices: Sequence[int], draws: Sequence[random.Random], scenes: Sequence[Scene | None]) -> Drawn:
        captions, facts, grounds = [], [], []
        for index, draw, scene in zip(indices, draws, scenes, strict=True):
            concept, style = self.concepts[index], self.style_numbers[index]
            if self.image_captions is not None:
                captions.append(draw.choice(self.image_captions[index]))
                grounds.append(WHITE)
                facts.append((concept, style, _pack(WHITE), -1, -1))
                continue
            if scene is not None:
                concept = self._number(scene)
            said = draw_caption(self.records[index], draw) if scene is None else caption(scene, self.records, draw)
            ground = said.background or WHITE
            captions.append(said.text)
            grounds.append(ground)
            named_ground = -1 if said.background is None else _pack(ground)
            facts.append((concept, style, _pack(ground), style if said.style_named else -1, named_ground))
        return Drawn(list(indices), list(scenes), grounds, captions, facts)

    def _scenes(self, indices: Sequence[int], draws: Sequence[random.Random]) -> list[Scene | None]:
        """Return the global batch's scenes. Two things meet in one arrangement: "a cat and a dog" is true of any."""
        scenes: list[Scene | None] = [None] * len(indices)
        if not self.scenes:
            return scenes
        met: dict[tuple[int, ...], int] = {}
        for slot, (index, draw) in enumerate(zip(indices, draws, strict=True)):
            things = self.partners.get(self.style_numbers[index], [])
            if not countable(self.records[index]) or draw.random() >= self.scenes:
                continue
            others = [other for other in things if self.concepts[other] != self.concepts[index]]
            scene = draw_scene(index, others, draw)
            number = self._number(scene)
            pair = tuple(sorted({self.concepts[thing] for thing in scene.things}))
            if len(pair) == 1 or met.setdefault(pair, number) == number:
                scenes[slot] = scene
        return scenes

    def _number(self, scene: Scene) -> int:
        return scene.number([self.concepts[thing] for thing in scene.things], len(self.members))

    def _shuffled(self, randomness: Randomness) -> list[int]:
        first = randomness.step * randomness.batch_size
        indices = []
        while len(indices) < randomness.batch_size:
            epoch, offset = divmod(first + len(indices), len(self))
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(randomness.seed + epoch))
            indices += order[offset : offset + randomness.batch_size - len(indices)].tolist()
        return indices

    def _grouped(self, randomness: Randomness, per_concept: int) -> list[int]:
        """Half of the concepts at random, half as runs of neighbours, which are the hard negatives."""
        draw = randomness.text(-1)
        wanted = randomness.batch_size // per_concept
        concepts: list[int] = []
        while len(concepts) < wanted // 2:
            start = draw.randrange(len(self.members))
            concepts += [(start + step) % len(self.members) for step in range(8)]
        concepts = list(dict.fromkeys(concepts))[:wanted]
        taken = set(concepts)
        rest = [concept for concept in range(len(self.members)) if concept not in taken]
        concepts += draw.sample(rest, min(wanted - len(concepts), len(rest)))
        while len(concepts) < wanted:
            concepts.append(draw.randrange(len(self.members)))
        chosen = []
        for concept in concepts:
            members = self.members[concept]
            chosen += (
                draw.sample(members, per_concept)
                if len(members) >= per_concept
                else draw.choices(members, k=per_concept)
            )
        return chosen


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
        """As of `PicturesInMemory`, but of the stream's first rows alone."""
        image_column, caption_column = self.columns
        rows = list(itertools.islice(self.rows, _FIRST_ROWS))
        digests = [open_cell(row[image_column], self.where, self.folder)[1] for row in rows]
        return _fingerprint(digests, [row[caption_column] for row in rows])

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
            pictures.append(_square(open_cell(cell, where, self.folder)[0], self.size))
            facts.append((first + slot, 0, _pack(WHITE), -1, -1))
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
        fingerprint = _fingerprint(digests, records)
        records, pictures = _by_neighbourhood(records, pictures)
        return PicturesInMemory(records, pictures, None, fingerprint)
    if missing := [column for column in columns if column not in names]:
        raise ValueError(f"The source {source} has no column {missing[0]!r}: it has {', '.join(names)}.")
    if isinstance(rows, datasets.IterableDataset):
        return PicturesInStream(rows, size, columns, seed, where, folder)
    said = enumerate(rows.select_columns(columns[1]))
    captions = [captions_of(row[columns[1]], f"{where}, row {number}") for number, row in said]
    pictures, digests = _opened(rows.select_columns(columns[0]), columns[0], size, where, folder)
    return PicturesInMemory([{} for _ in captions], pictures, captions, _fingerprint(digests, captions))


def _smaller(rgba: torch.Tensor, size: int) -> torch.Tensor:
    small = rgba.float()
    small[:, :3] *= small[:, 3:] / 255
    small = F.interpolate(small, (size, size), mode="area")
    small[:, :3] *= 255 / small[:, 3:].clamp(min=1)
    return small.round().clamp(0, 255).byte()


def composite(rgba: torch.Tensor, grounds: torch.Tensor) -> torch.Tensor:
    """Pictures with alpha, uint8 (n, 4, h, w), over plain grounds (n, 3) in 0..255 -> (n, 3, h, w) in [-1, 1]."""
    alpha = rgba[:, 3:].float() / 255
    ground = grounds.to(alpha)[:, :, None, None]
    return (rgba[:, :3].float() * alpha + ground * (1 - alpha)) / 127.5 - 1


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
        return _square(picture, size), digest

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # decoding a picture leaves Python's lock alone
        found = list(threads.map(opened, itertools.count(), rows))
    if not found:
        raise ValueError(f"{where} holds no rows.")
    return torch.stack([picture for picture, _ in found]), [digest for _, digest in found]


def _fingerprint(digests: Sequence[bytes], words: Sequence[object]) -> str:
    """SHA-256 over all pictures, as their files are, and what is said of them, in the source's order."""
    text = json.dumps(words, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(b"".join(digests) + text.encode()).hexdigest()


def _square(picture: Image.Image, size: int) -> torch.Tensor:
    """Return an RGBA picture, its middle square scaled to `size` by area averaging -> uint8 (4, size, size)."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    if side != size:
        resampling = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
        square = square.resize((size, size), resampling)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


def _pack(colour: tuple[int, int, int]) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]
