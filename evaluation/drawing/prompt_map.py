"""{prompt: path of its picture}, as GenEval 2's evaluator takes what it is to judge."""

import json
from collections.abc import Sequence
from pathlib import Path

from evaluation.pictures.manifest import Row
from evaluation.reporting.report import write_text


def require(file: Path | None, prompts: Sequence[str]) -> None:
    """Raise ValueError for prompts that a map cannot tell apart, before any is drawn."""
    if file is not None and len(set(prompts)) < len(prompts):
        raise ValueError("--map has one picture for each prompt: leave out --per-prompt, and name every prompt once.")


def write(file: Path | None, prompts: Sequence[str], rows: Sequence[Row], folder: Path) -> None:
    """Write the map of the prompts, as they were given, to the pictures of a folder."""
    if file is not None:
        paths = [str((folder / row.file).absolute()) for row in rows]
        named = dict(zip(prompts, paths, strict=True))
        write_text(file, json.dumps(named, indent=1, ensure_ascii=False) + "\n")
