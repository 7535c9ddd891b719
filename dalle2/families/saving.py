"""Parts of a checkpoint as folders that other readers open too."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_part(part: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a network, scheduler, tokenizer or feature extractor into its folder, a network's weights in `dtype`."""
    if dtype is not None and isinstance(part, torch.nn.Module):
        part = copy.deepcopy(part).to(dtype)
    part.save_pretrained(folder)
    config = folder / "config.json"
    if config.exists():
        values = json.loads(config.read_text(encoding="utf-8"))
        if values.pop("_name_or_path", None):  # where on the owner's machine the part lay before
            write_json(config, values)
    for file in folder.glob("*.safetensors"):  # written for the owner's eyes only
        file.chmod(next(folder.glob("*.json")).stat().st_mode)


def rename(file: Path, key: str, value: str) -> None:
    """Say something else in a JSON table, such as a class by the name that all versions of a library know."""
    write_json(file, {**json.loads(file.read_text(encoding="utf-8")), key: value})


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a table as people read it."""
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
