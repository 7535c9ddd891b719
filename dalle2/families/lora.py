"""LoRA files, which `python -m dalle2.finetune` writes: a style or a concept that a checkpoint was taught later.

A file is in safetensors' format. It holds low-rank changes of networks (LoRA, arXiv 2106.09685), named as peft names
them behind the name of their part ("decoder.mid_block.….lora_A.weight"), the embedding of the new word, and in its
header, as JSON, what it is and which checkpoint it was made for.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from dalle2 import atomic, hashes
from dalle2.families.single_file import HEADER

FORMAT = 1
KINDS = ("style", "concept")
WORD = "word"  # the tensor of the new word's embedding, (dim,)
A, B = ".lora_A.weight", ".lora_B.weight"
MOST = 2.0  # a weight's size: beyond it a picture falls apart


@dataclass(frozen=True)
class LoraMetadata:
    """What a file says of itself.

    Attributes:
        name: the new word, by which prompts ask for it. kind: of `KINDS`.
        family: of the checkpoints that it fits. checkpoint, checkpoint_hash: that it was trained on.
        scales: part -> what the product of its two matrices is multiplied by, peft's alpha / rank.
        about: for readers: how many pictures, steps, their licence.
    """

    name: str
    kind: str
    family: str
    checkpoint: str
    checkpoint_hash: str
    scales: Mapping[str, float]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lora:
    """A file, and how much of it is wanted: 1 is what was trained, 0 leaves the weights as they are."""

    file: Path
    weight: float
    taught: LoraMetadata

    @classmethod
    def read(cls, text: str | Path) -> "Lora":
        """Open FILE[=WEIGHT]; ValueError says what is wrong with either."""
        file, weight = split_weight(str(text))
        return cls(file, weight, _read_header(file))

    @cached_property
    def sha256(self) -> str:
        """The file's hash, hexadecimal."""
        return hashes.of_file(self.file)

    @property
    def record(self) -> dict[str, Any]:
        """What a picture's record says of it; where the file lies is nobody's business."""
        return {"name": self.taught.name, "file": self.file.name, "sha256": self.sha256, "weight": self.weight}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that is in the file, float32; ValueError where it is damaged."""
        try:
            return {name: tensor.float() for name, tensor in load_file(self.file).items()}
        except (SafetensorError, OSError) as error:
            raise _damaged(self.file, error) from error

    def changes(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
        """Return part -> layer -> what is added to its weight, flattened to (outputs, rest), at this weight."""
        found: dict[str, dict[str, torch.Tensor]] = {}
        for place in dict.fromkeys(name.removesuffix(A).removesuffix(B) for name in tensors if name != WORD):
            part, _, layer = place.partition(".")
            down, up = tensors.get(place + A), tensors.get(place + B)
            scale = self.taught.scales.get(part)
            if down is None or up is None or scale is None or up.flatten(1).shape[1] != len(down):
                raise _damaged(self.file, f"the change of {place} is not whole")
            found.setdefault(part, {})[layer] = self.weight * scale * (up.flatten(1) @ down.flatten(1))
        return found


def write(file: Path, taught: LoraMetadata, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write a new file, which appears whole or not at all; FileExistsError where there is one."""
    header = {HEADER: json.dumps({"format": FORMAT, **asdict(taught)}, ensure_ascii=False)}
    with atomic.file(file, overwrite=False) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, header)
        partial.chmod(mode)  # safetensors writes for the owner's eyes only


def learnt_hash(checkpoint_hash: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the hash of a checkpoint with the LoRAs of these records merged; its own where there are none."""
    if not records:
        return checkpoint_hash
    parts = [f"{record['sha256']}={record['weight']}" for record in records]
    return hashlib.sha256("+".join([checkpoint_hash, *parts]).encode()).hexdigest()


def check_together(loras: Sequence[Lora]) -> None:
    """ValueError where two teach the same word, which could mean but one."""
    names: dict[str, Lora] = {}
    for lora in loras:
        if other := names.get(lora.taught.name.casefold()):
            raise ValueError(
                f"{other.file} and {lora.file} both teach {lora.taught.name!r}: leave out one, or train it again under "
                "another name."
            )
        names[lora.taught.name.casefold()] = lora


def split_weight(text: str) -> tuple[Path, float]:
    """Return file and weight of FILE[=WEIGHT]; ValueError where there is no such file, or no such weight."""
    whole = Path(text).expanduser()
    if whole.is_file():
        return whole, 1.0
    name, equals, number = text.rpartition("=")
    file = Path(name if equals else text).expanduser()
    if not file.is_file():
        raise ValueError(f"There is no LoRA {str(file)!r}: give the file that python -m dalle2.finetune wrote.")
    try:
        weight = float(number)
    except ValueError as error:
        raise ValueError(f"The weight of a LoRA is a number, as in {file.name}=0.8, not {number!r}.") from error
    if not math.isfinite(weight) or abs(weight) > MOST:
        raise ValueError(f"The weight of a LoRA is a number from -{MOST:g} to {MOST:g}, not {number}.")
    return file, weight


def _read_header(file: Path) -> LoraMetadata:
    try:
        with safe_open(file, framework="pt") as opened:
            header = (opened.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error) from error
    if header is None:
        raise ValueError(f"{file} is no LoRA that is known here: give one that python -m dalle2.finetune wrote.")
    try:
        said = json.loads(header)
        if said.pop("format") > FORMAT:
            raise ValueError(f"{file} was written by a newer version: install that one.")
        taught = LoraMetadata(**{entry.name: said[entry.name] for entry in fields(LoraMetadata)})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise _damaged(file, error) from error
    whole = all(isinstance(getattr(taught, entry.name), str) for entry in fields(LoraMetadata)[:5])
    if not whole or taught.kind not in KINDS or not isinstance(taught.scales, dict):
        raise _damaged(file, "its header does not make sense")
    return taught


def _damaged(file: Path, error: Exception | str) -> ValueError:
    return ValueError(f"{file} is damaged, or no LoRA ({error}): copy it again.")
