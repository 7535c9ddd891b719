"""Files of weights: which of a folder's to load, and whether they are what they seem to be."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

NAME = re.compile(
    r"(?P<stem>diffusion_pytorch_model|pytorch_model|model)(\.(?P<variant>\w+))?(-\d+-of-(?P<shards>\d+))?"
    r"\.(?P<kind>safetensors|bin)"
)


class NotWeightsAlone(ValueError):
    """A pickle from which torch's loader of weights alone refuses to make what else is in it."""


def choose_weights(names: Iterable[str], dtype: torch.dtype) -> list[str]:
    """Of one part's file names, those of the weights to load, or [] when there are none.

    safetensors before .bin, and the "fp16" variant first only where half precision is wanted.
    """
    import torch

    groups: dict[tuple[str | None, str], list[str]] = {}
    for name in names:
        if match := NAME.fullmatch(name):
            groups.setdefault((match["variant"], match["kind"]), []).append(name)
    half_first = dtype == torch.float16
    for variant in sorted([None, "fp16"], key=lambda variant: (variant == "fp16") != half_first):
        for kind in ("safetensors", "bin"):
            if (variant, kind) in groups:
                return sorted(groups[variant, kind])
    return []


def lacking(chosen: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first file that is not among a part's `names`, of weights that are in several files; None if all are.

    They are numbered, and a list says which of them holds which parameter.
    """
    match = next((match for name in chosen if (match := NAME.fullmatch(name)) and match["shards"]), None)
    if match is None:
        return None
    count, variant = match["shards"], f".{match['variant']}" if match["variant"] else ""
    listed = re.compile(rf"{match['stem']}\.{match['kind']}[\w.]*\.json")
    wanted = [
        f"{match['stem']}{variant}-{one:0{len(count)}}-of-{count}.{match['kind']}" for one in range(1, int(count) + 1)
    ]
    found = set(names)
    missing = [name for name in wanted if name not in found]
    if not any(listed.fullmatch(name) for name in found):
        missing.append(f"{match['stem']}.{match['kind']}.index{variant}.json")
    return missing[0] if missing else None


def variant_and_kind(name: str) -> tuple[str | None, bool]:
    """Of a file that was chosen, its variant, such as "fp16", and whether it is a safetensors file."""
    match = NAME.fullmatch(name)
    assert match, name
    return match["variant"], match["kind"] == "safetensors"


def check_readable(file: Path) -> None:
    """Tell a truncated, a placeholder or another file before a library says something obscure about it.

    NotWeightsAlone, a ValueError, for a pickle that holds more than weights.
    """
    if file.suffix == ".safetensors":
        _check_beginning(file)
        try:
            with safe_open(file, framework="pt"):
                return
        except Exception as error:
            raise _damaged(file, error) from error
    _check_tensors(file, read_pickle(file, "meta"))


def read_pickle(file: Path, device: str = "cpu") -> Any:
    """Return what torch's loader of weights alone makes of a file: tensors, numbers and texts, in tables and lists.

    ValueError where it is damaged or another file; NotWeightsAlone where it holds more than that.
    """
    import torch

    _check_beginning(file)
    try:
        return torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        # Its words, of many lines, advise to trust the file.
        raise NotWeightsAlone(
            f"{file} does not hold weights alone, and what else there is could run as a program: give the weights as "
            "safetensors, or say --allow-pickle (allow_pickle=True) if you trust who made the file."
        ) from error
    except Exception as error:  # what is damaged makes torch raise all kinds of exceptions
        raise _damaged(file, error) from error


def _check_beginning(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            beginning = stream.read(40)
    except FileNotFoundError as error:  # as in a cache of which somebody has thrown away a part
        raise ValueError(f"{file} is a link to a file that is not there: download the checkpoint again.") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}.") from error
    if beginning.startswith(b"version https://git-lfs"):
        raise ValueError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull`.")
    if beginning.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        raise ValueError(f"{file} is a web page, not the weights: download it again, perhaps after a login.")


def _damaged(file: Path, error: Exception) -> ValueError:
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return ValueError(f"{file} is truncated or damaged ({reason}). Copy the checkpoint again.")


def unpickle(file: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a pickle that may do anything when it is read: only for files that somebody trusts.

    What a trainer saved beside them, below other names than "state_dict", is left out.
    """
    import torch

    weights = torch.load(file, map_location="cpu", weights_only=False)
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):
        weights = weights["state_dict"]
    _check_tensors(file, weights)
    return {name: value.contiguous() for name, value in weights.items()}


def _check_tensors(file: Path, weights: object) -> None:
    import torch

    if not isinstance(weights, Mapping):
        raise ValueError(f"{file} holds a {type(weights).__name__}, not weights by name: save a state_dict there.")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(f"{file} must hold tensors by name alone, but {name!r} is a {type(value).__name__}.")
