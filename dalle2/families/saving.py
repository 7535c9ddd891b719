"""Parts of a checkpoint as folders that other readers open too."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer

from dalle2 import atomic


def write_folder(
    folder: str | Path,
    parts: Mapping[str, Any],
    index: Mapping[str, Any],
    description: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """Write the parts of a checkpoint by the names of their folders; it appears whole or not at all.

    `index` becomes model_index.json, `description` dalle2.json; `dtype` is that of the weights, and `finish` adds what
    only one family has. ValueError when the folder exists already, OSError when the disk refuses.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another name, or remove it first.")
    try:
        with atomic.folder(folder) as partial:
            for name, part in parts.items():
                save_part(part, partial / name, dtype)
                if isinstance(part, CLIPTokenizer):  # transformers 5 leaves these out, and earlier versions need them
                    part.backend_tokenizer.model.save(str(partial / name))
                if isinstance(part, CLIPImageProcessor):  # by the name that every version of transformers knows
                    rename(partial / name / "preprocessor_config.json", "image_processor_type", "CLIPImageProcessor")
            write_json(partial / "dalle2.json", description)
            write_json(partial / "model_index.json", index)
            if finish is not None:
                finish(partial)
    except Exception as error:  # the libraries that write have exceptions of their own
        raise OSError(f"{folder} could not be written: {error}") from error
    return folder


def save_part(part: Any, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write a network, scheduler, tokenizer or feature extractor into its folder, a network's weights in `dtype`."""
    if dtype is not None and isinstance(part, torch.nn.Module):
        part = copy.deepcopy(part).to(dtype)
    part.save_pretrained(folder)
    if isinstance(part, CLIPTextModel):
        _name_as_before(folder / "model.safetensors", "text_model.")
    config = folder / "config.json"
    if config.exists():
        values = json.loads(config.read_text(encoding="utf-8"))
        if values.pop("_name_or_path", None):  # where on the owner's machine the part lay before
            write_json(config, values)
    for file in folder.glob("*.safetensors"):  # written for the owner's eyes only
        file.chmod(next(folder.glob("*.json")).stat().st_mode)


def _name_as_before(file: Path, beginning: str) -> None:
    """Begin the names of all weights so, as all versions of transformers read them; the fifth leaves it out."""
    named = {name if name.startswith(beginning) else beginning + name: value for name, value in load_file(file).items()}
    save_file(named, file, {"format": "pt"})


def rename(file: Path, key: str, value: str) -> None:
    """Say something else in a JSON table, such as a class by the name that all versions of a library know."""
    write_json(file, {**json.loads(file.read_text(encoding="utf-8")), key: value})


def write_json(file: Path, values: Mapping[str, Any]) -> None:
    """Write a table as people read it."""
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
