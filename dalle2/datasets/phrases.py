"""The words that captions of a data set are made of, beside the checkpoint that learned them: phrases.json.

    python -m dalle2.datasets.phrases data/emoji CHECKPOINT      writes the file for a checkpoint that lacks it

A picture is described by the best of these words, so a checkpoint without them describes nothing by itself.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet

from dalle2 import atomic
from dalle2.datasets.caption_words import BACKGROUNDS, phrasing
from dalle2.datasets.captions import canonical_caption

NAME = "phrases.json"
UNSAID = "white"  # the background of a caption that names none


@dataclass(frozen=True)
class Phrases:
    """Concepts by their English labels, styles, and colours of backgrounds, each once."""

    concepts: tuple[str, ...]
    styles: tuple[str, ...]
    backgrounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in fields(self):
            words = getattr(self, entry.name)
            if not isinstance(words, list | tuple) or not all(isinstance(word, str) and word for word in words):
                raise ValueError(f"{entry.name} must be a list of words.")
            object.__setattr__(self, entry.name, tuple(words))
        if not self.concepts or not self.styles:
            raise ValueError("There must be at least one concept and one style.")

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> "Phrases":
        """Make the list of an emoji set's rows; its concepts stand in the order of their code points."""
        records = list(records)
        labels = {record["concept"]: record["label"] for record in records}
        concepts = dict.fromkeys(label for _, label in sorted(labels.items()))
        styles = sorted({record["style"] for record in records})
        return cls(tuple(concepts), tuple(styles), tuple(name for name in BACKGROUNDS if name != UNSAID))

    @classmethod
    def read(cls, folder: Path) -> "Phrases | None":
        """Read a checkpoint's own, None when it has none; ValueError when its file is damaged."""
        file = folder / NAME
        if not file.is_file():
            return None
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file} is damaged ({error}): write it again, or remove it.") from error

    def write(self, folder: Path) -> Path:
        """Write the list into a checkpoint's folder, a word a line; the file appears whole or not at all."""
        with atomic.file(folder / NAME) as partial:
            partial.write_text(json.dumps(asdict(self), indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
        return folder / NAME


def styled(concept: str, style: str) -> str:
    """Return "LABEL, STYLE style"."""
    return canonical_caption({"label": concept, "style": style})


def on_background(caption: str, colour: str) -> str:
    """Return the caption with a background, in the likeliest form of training."""
    article = "an" if colour[0] in "aeiou" else "a"
    return phrasing("en").background[0].format(x=caption, a=article, c=colour)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a checkpoint's phrases.json; exits with 2 and one sentence when something is wrong."""
    about = (
        "Write the words that captions of a data set are made of beside the checkpoint that learned them: phrases.json."
    )
    parser = argparse.ArgumentParser(prog="python -m dalle2.datasets.phrases", description=about)
    parser.add_argument("data", type=Path, help="what python -m dalle2.datasets.emoji built")
    parser.add_argument("checkpoint", type=Path, help="a folder; its recipe says which subgroups it was trained on")
    options = parser.parse_args(arguments)
    try:
        Phrases.of(_records(options.data, options.checkpoint)).write(options.checkpoint)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _records(data: Path, checkpoint: Path) -> list[dict[str, Any]]:
    """All rows of the data set that are of the recipe's subgroups, without pictures."""
    recipe = json.loads((checkpoint / "dalle2.json").read_text(encoding="utf-8")).get("recipe") or {}
    subgroups = recipe.get("data", {}).get("subgroups")
    files = sorted(data.glob("data/*.parquet"))
    if not files:
        raise ValueError(f"{data} holds no emoji set: build it with python -m dalle2.datasets.emoji --out {data}.")
    columns = ["concept", "label", "style", "subgroup"]
    rows = [row for file in files for row in pyarrow.parquet.read_table(file, columns=columns).to_pylist()]
    return [row for row in rows if not subgroups or row["subgroup"] in subgroups]


if __name__ == "__main__":
    main()
