"""The built emoji set as a scorecard reads it: pairs of a concept and a style, their words and their real pictures."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from PIL import Image

from dalle2.datasets.caption_words import phrasing, style_phrases
from dalle2.datasets.captions import canonical_caption
from dalle2.images import to_rgb
from evaluation.networks.embedded import checkpoint_folder
from evaluation.networks.network import Network
from evaluation.pictures.loading import batches, canonical

WHITE = (255, 255, 255)
COLUMNS = ("concept", "label", "style", "subgroup", "held_out")


@dataclass(frozen=True, eq=False)
class Pair:
    """A concept in a style. `held_out` is "" (of the training split), "pair" or "concept"; `png` has transparency.

    `words` has a label and tags of each language.
    """

    concept: str
    label: str
    style: str
    subgroup: str
    held_out: str
    words: Mapping[str, Mapping[str, Any]]
    png: bytes

    @property
    def id(self) -> str:
        """Return the id that the prompt source `emoji` gives it."""
        return f"{self.concept}-{self.style.replace(' ', '-')}"

    @property
    def caption(self) -> str:
        """Return the prompt: "LABEL, STYLE style"."""
        return canonical_caption({"label": self.label, "style": self.style})

    @property
    def chinese_caption(self) -> str:
        """Return the same in simplified Chinese; ValueError where the set has no Chinese label."""
        if "zh" not in self.words:
            raise ValueError(f"The data set has no Chinese words for {self.label!r}: leave out the Chinese prompts.")
        style = style_phrases(self.style, "zh")[0]
        return phrasing("zh").styled[0].format(x=self.words["zh"]["label"], s=style)

    def cut_out(self) -> Image.Image:
        """Return the real picture with its transparency, RGBA."""
        return Image.open(io.BytesIO(self.png)).convert("RGBA")

    def picture(self, size: int, ground: tuple[int, int, int] = WHITE) -> Image.Image:
        """Return the real picture over a plain ground, `size` pixels a side."""
        return canonical(to_rgb(Image.open(io.BytesIO(self.png)), ground), size)


@dataclass(frozen=True, eq=False)
class EmojiSet:
    """All pairs; `train` and `test` as the builder split them."""

    folder: Path
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self.train + self.test

    @cached_property
    def by_id(self) -> dict[str, Pair]:
        return {pair.id: pair for pair in self.pairs}

    @cached_property
    def styles(self) -> tuple[str, ...]:
        return tuple(sorted({pair.style for pair in self.pairs}))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Return a label a concept, in the set's order; no two are the same."""
        return tuple(dict.fromkeys(pair.label for pair in self.pairs))


def read_emoji_set(folder: Path) -> EmojiSet:
    """Read the folder that `python -m dalle2.datasets.emoji --out folder` wrote; ValueError when that is not there."""
    words: dict[str, Mapping[str, Mapping[str, Any]]] = {}
    splits = []
    for name in ("train", "test"):
        files = sorted(folder.glob(f"data/{name}-*.parquet"))
        if not files:
            raise ValueError(
                f"{folder} holds no emoji set: build it with python -m dalle2.datasets.emoji --out {folder}."
            )
        splits.append(tuple(pair for file in files for pair in _pairs(file, words)))
    return EmojiSet(folder, *splits)


def embed(pairs: Sequence[Pair], network: Network, size: int, workers: int | None = None) -> np.ndarray:
    """Features (n, dim) float32 of the pairs' real pictures over white, brought to `size` pixels a side first."""
    prepared = batches([pair.png for pair in pairs], network.preprocess, size, 64, workers)
    return np.concatenate([network(batch) for batch in prepared])


def training_subgroups(checkpoint: str) -> tuple[str, ...] | None:
    """Return the subgroups that a checkpoint's recipe names; () for the whole set, None where no recipe is to be had.

    ValueError for a checkpoint that was trained on the test split.
    """
    folder = checkpoint_folder(checkpoint)
    file = folder / "dalle2.json"
    if not file.is_file():
        return None
    try:
        recipe = json.loads(file.read_text(encoding="utf-8")).get("recipe")
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged ({error}): write the checkpoint again.") from error
    if recipe is None:
        return None
    data = recipe.get("data", {})
    if "test" in data.get("split", "train").split("+"):
        raise ValueError(f"{checkpoint} was trained on the test split too, so there is nothing that it has not seen.")
    return tuple(data.get("subgroups", ()))


def _pairs(file: Path, words: dict[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Pair]:
    """Yield the pairs of a table. Their words go to `words` by concept and are shared: each style repeats them."""
    try:
        table = pyarrow.parquet.read_table(file, columns=[*COLUMNS, "captions", "image"])
        rows = table.select([*COLUMNS, "image"]).to_pylist()
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{file} is not a table of the emoji set ({error}): build the set again.") from error
    for row, captions in zip(rows, table["captions"], strict=True):
        if row["concept"] not in words:
            words[row["concept"]] = {said["language"]: said for said in captions.as_py()}
        facts = {name: row[name] for name in COLUMNS}
        yield Pair(**facts, words=words[row["concept"]], png=row["image"]["bytes"])
