"""A checkpoint folder in diffusers' layout: fetched, read part by part with plain errors, and hashed.

Which parts there are, and what they do, is a family's business.
"""

import hashlib
import json
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import safe_open

HUB_SECONDS = 10  # that the hub has to answer; it is asked once
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|pytorch_model|model)(\.(?P<variant>\w+))?(-\d+-of-\d+)?\.(?P<kind>safetensors|bin)"
)


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder whose subfolders hold a part each; `dtype` is what the networks are wanted in."""

    path: Path
    dtype: torch.dtype = torch.float32

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
        """Return a scheduler, tokenizer or feature extractor, by the class's own `from_pretrained`."""
        if not self.has(part):
            raise ValueError(f"{self.path} is not a whole checkpoint: it lacks the folder {part}.")
        try:
            return kind.from_pretrained(str(self.path), subfolder=part, local_files_only=True)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{self.path / part} cannot be read as a {kind.__name__}: {error}") from error

    def read_network(self, part: str, kind: type) -> torch.nn.Module:
        """Return a network of diffusers or transformers, in `dtype` and in evaluation mode.

        ValueError says which file is missing or damaged, or which parameter has which wrong shape.
        """
        self.read_json(f"{part}/config.json")
        weights = self._weights(part)
        for file in weights:
            _check_readable(file)
        variant, safetensors = _variant_and_kind(weights[0].name)
        options = {
            "subfolder": part,
            "variant": variant,
            "use_safetensors": safetensors,
            "local_files_only": True,
        }
        try:
            network, info = _load(kind, self.path, self.dtype, options)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            network, info = self._load_slowly(part, kind, options, error)
        _check_loaded(f"{part} ({weights[0]})", info)
        return network.eval()

    def _load_slowly(
        self, part: str, kind: type, options: dict[str, Any], error: Exception
    ) -> tuple[torch.nn.Module, Mapping[str, Any]]:
        """Load again in the one way that tells shapes apart: only an error brings us here."""
        try:
            return _load(kind, self.path, self.dtype, {**options, "low_cpu_mem_usage": False})
        except (OSError, ValueError, RuntimeError, TypeError):
            raise ValueError(f"{self.path / part} cannot be read as a {kind.__name__}: {error}") from error

    def _weights(self, part: str) -> list[Path]:
        names = sorted(file.name for file in (self.path / part).iterdir())
        chosen = choose_weights(names, self.dtype)
        if not chosen:
            raise ValueError(
                f"{self.path / part} holds no weights: expected diffusion_pytorch_model.safetensors, "
                "model.safetensors, or the same as .bin."
            )
        return [self.path / part / name for name in chosen]

    def fingerprint(self, parts: Iterable[str]) -> str:
        """SHA-256 over the sorted (relative path, SHA-256) of the files that were read for `parts`."""
        digest = hashlib.sha256()
        for file in sorted(file for part in parts for file in self._files(part)):
            digest.update(f"{file.relative_to(self.path).as_posix()} {_hash(file)}\n".encode())
        return digest.hexdigest()

    def _files(self, part: str) -> list[Path]:
        files = sorted(file for file in (self.path / part).iterdir() if file.is_file())
        weights = choose_weights([file.name for file in files], self.dtype)
        return [file for file in files if file.name in weights or file.suffix in (".json", ".txt")]


@dataclass(frozen=True)
class Fingerprint:
    """A checkpoint's hash, made when it is first asked for: a large checkpoint takes seconds to read."""

    folder: CheckpointFolder
    parts: tuple[str, ...]

    @cached_property
    def value(self) -> str:
        """The hash, hexadecimal."""
        return self.folder.fingerprint(self.parts)


def choose_weights(names: Iterable[str], dtype: torch.dtype) -> list[str]:
    """Of one part's file names, those of the weights to load, or [] when there are none.

    safetensors before .bin, and the "fp16" variant first only where half precision is wanted.
    """
    groups: dict[tuple[str | None, str], list[str]] = {}
    for name in names:
        if match := WEIGHTS.fullmatch(name):
            groups.setdefault((match["variant"], match["kind"]), []).append(name)
    half_first = dtype == torch.float16
    for variant in sorted([None, "fp16"], key=lambda variant: (variant == "fp16") != half_first):
        for kind in ("safetensors", "bin"):
            if (variant, kind) in groups:
                return sorted(groups[variant, kind])
    return []


def locate(source: str | Path, dtype: torch.dtype) -> Path:
    """Return the folder of a checkpoint: `source` itself, or what the hub gives for an id or id@revision.

    Only the files that will be read are fetched, and HF_HUB_OFFLINE is respected. ValueError if none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(f"{source} is a file: give the folder of a checkpoint, or the id of one on the hub.")
    match = HUB_ID.fullmatch(str(source))
    if not match or str(source).startswith("."):
        raise ValueError(f"The checkpoint folder {source} does not exist.")
    repo, revision = match["repo"], match["revision"]
    wanted, reached = ["model_index.json"], True
    try:
        offered = HfApi().model_info(repo, revision=revision, timeout=HUB_SECONDS).siblings or []
        wanted = _wanted([file.rfilename for file in offered], dtype)
    except HfHubHTTPError:  # snapshot_download says why, unless there is a copy on this machine
        pass
    except Exception:  # no network, or HF_HUB_OFFLINE; snapshot_download would try again for a minute
        reached = False
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, local_files_only=not reached))
    except Exception as error:
        if not reached:
            raise ValueError(
                f"{source} is not on this machine, and the Hugging Face hub cannot be reached to download it: connect "
                "to the network, or give the folder of a copy."
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{source} is no folder on this machine, and the Hugging Face hub gave no checkpoint of that name: {reason}"
        ) from error


def _wanted(names: list[str], dtype: torch.dtype) -> list[str]:
    """Of a repository's files: the configs, vocabularies, and one set of weights for each part."""
    wanted = [name for name in names if name.count("/") <= 1 and name.endswith((".json", ".txt"))]
    for part in sorted({name.split("/")[0] for name in names if name.count("/") == 1}):
        files = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
        wanted += [f"{part}/{name}" for name in choose_weights(files, dtype)]
    return wanted


def _variant_and_kind(name: str) -> tuple[str | None, bool]:
    match = WEIGHTS.fullmatch(name)
    assert match, name
    return match["variant"], match["kind"] == "safetensors"


def _load(
    kind: Any, folder: Path, dtype: torch.dtype, options: dict[str, Any]
) -> tuple[torch.nn.Module, Mapping[str, Any]]:
    # Only in the slow way of diffusers, and always in transformers, wrong shapes are told instead of raised.
    lenient = {"ignore_mismatched_sizes": True}
    return kind.from_pretrained(str(folder), dtype=dtype, output_loading_info=True, **lenient, **options)


def _check_readable(file: Path) -> None:
    """Tell a truncated, a placeholder or another file before a library says something obscure about it."""
    with file.open("rb") as stream:
        beginning = stream.read(40)
    if beginning.startswith(b"version https://git-lfs"):
        raise ValueError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull`.")
    if beginning.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        raise ValueError(f"{file} is a web page, not the weights: download it again, perhaps after a login.")
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt"):
                return
        weights = torch.load(file, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        # Its words, of many lines, advise to trust the file.
        raise ValueError(
            f"{file} does not hold weights alone, and what else there is could run as a program: give the weights as "
            "safetensors."
        ) from error
    except Exception as error:  # what is damaged makes torch raise all kinds of exceptions
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"{file} is truncated or damaged ({reason}). Copy the checkpoint again.") from error
    if not isinstance(weights, Mapping):
        raise ValueError(f"{file} holds a {type(weights).__name__}, not weights by name: save a state_dict there.")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"{file} must hold tensors by name alone, but {name!r} is a {type(value).__name__}.")


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
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
