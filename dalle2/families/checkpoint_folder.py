"""A checkpoint folder in diffusers' layout: fetched, read part by part with plain errors, and hashed.

Which parts there are, and what they do, is a family's business.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from dalle2 import hashes
from dalle2.families.places import locate
from dalle2.families.weights import (
    NotWeightsAlone,
    check_readable,
    choose_weights,
    lacking,
    unpickle,
    variant_and_kind,
)
from dalle2.networks.old_tokenizer import as_in_2022

STEMS = {"pytorch_model": "model"}  # transformers' names of weights, as .bin and as .safetensors


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder whose subfolders hold a part each.

    Attributes:
        path: of the folder.
        dtype: what the networks are wanted in.
        name: what it was asked for by, for records.
        allow_pickle: whether weights may be read from files that could run as programs.
        old_tokens: whether prompts become the token ids of 2022 (`networks.old_tokenizer`).
    """

    path: Path
    dtype: torch.dtype = torch.float32
    name: str = ""
    allow_pickle: bool = False
    old_tokens: bool = False

    def other(self, place: str, parts: Collection[str]) -> "CheckpointFolder":
        """Return another folder or hub id, to be read in the same way; only these of its parts are fetched."""
        return replace(self, path=locate(place, self.dtype, parts), name=place)

    def parts(self) -> dict[str, Path]:
        """Return the subfolders by name, from which a family is known."""
        return {folder.name: folder for folder in sorted(self.path.iterdir()) if folder.is_dir()}

    @cached_property
    def pipeline(self) -> str:
        """The pipeline of diffusers that the folder was written for; "" where it does not say."""
        if not (self.path / "model_index.json").is_file():
            return ""
        return str(self.read_json("model_index.json").get("_class_name", ""))

    def has(self, part: str) -> bool:
        """Whether the folder holds this part."""
        return (self.path / part).is_dir()

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder; ValueError names the file when it is absent, damaged or no table."""
        file = self.path / name
        if not file.is_file():
            raise ValueError(f"{self.path} is not a whole checkpoint: it lacks {name}.")
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is damaged, it is not JSON: {error}. Copy the checkpoint again.") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} should hold a JSON table.")
        return values

    def read_part(self, part: str, kind: Any) -> Any:
        """Return a scheduler, tokenizer or feature extractor, by `from_pretrained`; ValueError if it cannot be read."""
        if not self.has(part):
            raise ValueError(f"{self.path} is not a whole checkpoint: it lacks the folder {part}.")
        try:
            read = kind.from_pretrained(str(self.path), subfolder=part, local_files_only=True)
            return as_in_2022(read) if self.old_tokens and isinstance(read, CLIPTokenizer) else read
        except Exception as error:  # of a config that is not its own a library raises all kinds
            raise ValueError(f"{self.path / part} cannot be read as a {kind.__name__}: {error}") from error

    def read_network(self, part: str, kind: type) -> torch.nn.Module:
        """Return a network of diffusers or transformers, in `dtype` and in evaluation mode.

        ValueError says which file is missing or damaged, or which parameter has which wrong shape.
        """
        self.read_json(f"{part}/config.json")
        weights = self._weights(part)
        try:
            for file in weights:
                check_readable(file)
        except NotWeightsAlone:
            if not self.allow_pickle:
                raise
            with TemporaryDirectory() as folder:
                safe = replace(self, path=Path(folder), allow_pickle=False)
                _write_safely(weights, safe.path / part)
                return safe.read_network(part, kind)
        variant, safetensors = variant_and_kind(weights[0].name)
        options = {
            "subfolder": part,
            "variant": variant,
            "use_safetensors": safetensors,
            "local_files_only": True,
        }
        try:
            network, info = _load(kind, self.path, self.dtype, options)
        except Exception as error:  # as above
            network, info = self._load_slowly(part, kind, options, error)
        _check_loaded(f"{part} ({weights[0]})", info)
        return network.eval()

    def _load_slowly(
        self, part: str, kind: type, options: dict[str, Any], error: Exception
    ) -> tuple[torch.nn.Module, Mapping[str, Any]]:
        """Load again in the one way that tells shapes apart: only an error brings us here."""
        try:
            return _load(kind, self.path, self.dtype, {**options, "low_cpu_mem_usage": False})
        except Exception:
            raise ValueError(f"{self.path / part} cannot be read as a {kind.__name__}: {error}") from error

    def _weights(self, part: str) -> list[Path]:
        names = sorted(file.name for file in (self.path / part).iterdir())
        chosen = choose_weights(names, self.dtype)
        if not chosen:
            raise ValueError(
                f"{self.path / part} holds no weights: expected diffusion_pytorch_model.safetensors, "
                "model.safetensors, or the same as .bin."
            )
        if missing := lacking(chosen, names):
            file = f"{part}/{missing}"
            raise ValueError(f"{self.path} is not a whole checkpoint: it lacks {file}.")
        return [self.path / part / name for name in chosen]

    def fingerprint(self, parts: Iterable[str]) -> str:
        """SHA-256 over the sorted (relative path, SHA-256) of the files that were read for `parts`."""
        files = sorted(file for part in parts for file in self._files(part))
        return hashes.of_files({file.relative_to(self.path).as_posix(): _hash(file) for file in files})

    def _files(self, part: str) -> list[Path]:
        files = sorted(file for file in (self.path / part).iterdir() if file.is_file() and file.name[0] != ".")
        weights = choose_weights([file.name for file in files], self.dtype)
        return [file for file in files if file.name in weights or file.suffix in (".json", ".txt")]


@dataclass(frozen=True)
class Fingerprint:
    """A checkpoint's hash, made when it is first asked for: a large checkpoint takes seconds to read.

    Where the prior lies in a folder of its own, its hash is in it too.
    """

    folder: CheckpointFolder
    parts: tuple[str, ...]
    prior: "Fingerprint | None" = None

    @cached_property
    def value(self) -> str:
        """The hash, hexadecimal."""
        own = self.folder.fingerprint(self.parts)
        return own if self.prior is None else hashlib.sha256(f"{self.prior.value}+{own}".encode()).hexdigest()


def _write_safely(weights: Iterable[Path], folder: Path) -> None:
    """Write a copy of a part whose weights are pickles, as safetensors."""
    folder.mkdir(parents=True)
    files = list(weights)
    shutil.copy(files[0].parent / "config.json", folder)
    stem = re.split(r"[-.]", files[0].stem)[0]
    tensors = {name: value for file in files for name, value in unpickle(file).items()}
    save_file(tensors, folder / f"{STEMS.get(stem, stem)}.safetensors", {"format": "pt"})


def _load(
    kind: Any, folder: Path, dtype: torch.dtype, options: dict[str, Any]
) -> tuple[torch.nn.Module, Mapping[str, Any]]:
    # Only in the slow way of diffusers, and always in transformers, wrong shapes are told instead of raised.
    lenient = {"ignore_mismatched_sizes": True}
    return kind.from_pretrained(str(folder), dtype=dtype, output_loading_info=True, **lenient, **options)


def _check_loaded(what: str, info: Mapping[str, Any]) -> None:
    for name, found, expected in sorted(info["mismatched_keys"]):
        raise ValueError(
            f"{what} does not fit its config: {name} has the shape {tuple(found)}, expected {tuple(expected)}."
        )
    for name in sorted(info["missing_keys"]):
        raise ValueError(f"{what} does not fit its config: the parameter {name} is missing.")


def _hash(file: Path) -> str:
    blob = file.resolve()
    # In the hub's cache a large file is a link to a blob that is named by its SHA-256.
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    return hashes.of_file(file)
