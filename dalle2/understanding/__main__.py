"""`python -m dalle2.understanding DATA CHECKPOINT`: writes what a checkpoint knows beside its weights."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet

from dalle2.sentence_encoder import INSTALL, SentenceEncoder
from dalle2.understanding.vocabulary import Vocabulary

COLUMNS = ["concept", "subgroup", "held_out", "captions", "paraphrases"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write vocabulary.parquet and vocabulary.safetensors; exits with 2 and one sentence when something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m dalle2.understanding", description="Write what a checkpoint knows beside its weights."
    )
    parser.add_argument("data", type=Path, help="what python -m dalle2.datasets.emoji built")
    parser.add_argument("checkpoint", type=Path, help="a folder; its recipe says which subgroups it was trained on")
    options = parser.parse_args(arguments)
    try:
        vocabulary = _read(options.data, options.checkpoint)
        vocabulary.write(options.checkpoint)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    sys.stdout.write(f"{options.checkpoint}: {len(vocabulary.entries):,} concepts.\n")


def _read(data: Path, checkpoint: Path) -> Vocabulary:
    encoder = SentenceEncoder.installed()
    if encoder is None:
        raise ValueError(f"The sentence encoder is missing: {INSTALL}")
    recipe = json.loads((checkpoint / "dalle2.json").read_text(encoding="utf-8")).get("recipe") or {}
    subgroups = recipe.get("data", {}).get("subgroups")
    files = sorted(data.glob("data/*.parquet"))
    if not files:
        raise ValueError(f"{data} holds no emoji set: build it with python -m dalle2.datasets.emoji --out {data}.")
    rows = [row for file in files for row in pyarrow.parquet.read_table(file, columns=COLUMNS).to_pylist()]
    rows = [row for row in rows if not subgroups or row["subgroup"] in subgroups]
    return Vocabulary.of(rows, encoder, {row["concept"] for row in rows if row["held_out"] == "concept"})


if __name__ == "__main__":
    main()
