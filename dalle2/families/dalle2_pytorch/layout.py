"""A converted checkpoint of DALLE2-pytorch on disk: its parts, read and checked, and written.

The layout is ours, for there is no other: `unet_1` draws small pictures, `unet_2` and what follows enlarge them, each
with its scheduler, and CLIP stands beside them as transformers has it. What the parts do together is `model`'s
business.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import DDPMScheduler
from transformers import (
    CLIPImageProcessor,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.dalle2_pytorch.prior import PriorNetwork
from dalle2.families.dalle2_pytorch.unet import CascadeUnet
from dalle2.families.saving import write_folder

CLIP = {
    "text_encoder": CLIPTextModelWithProjection,
    "image_encoder": CLIPVisionModelWithProjection,
    "tokenizer": CLIPTokenizer,
    "feature_extractor": CLIPImageProcessor,
}


@dataclass
class Parts:
    """The parts of a checkpoint; the U-Nets stand in the order in which they run."""

    unets: tuple[CascadeUnet, ...]
    schedulers: tuple[DDPMScheduler, ...]
    text_encoder: CLIPTextModelWithProjection
    image_encoder: CLIPVisionModelWithProjection
    tokenizer: CLIPTokenizer
    feature_extractor: CLIPImageProcessor
    prior: PriorNetwork | None = None
    prior_scheduler: DDPMScheduler | None = None

    def present(self) -> dict[str, Any]:
        """Return the parts that this checkpoint has, by the names of their folders."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in CLIP}
        for number, (unet, scheduler) in enumerate(zip(self.unets, self.schedulers, strict=True), 1):
            parts |= {f"unet_{number}": unet, f"unet_{number}_scheduler": scheduler}
        if self.prior is not None:
            parts |= {"prior": self.prior, "prior_scheduler": self.prior_scheduler}
        return parts

    @property
    def dim(self) -> int:
        """How many numbers an image embedding has."""
        dim = self.image_encoder.config.projection_dim
        assert dim is not None, "a CLIP with a projection"
        return dim


def read(folder: CheckpointFolder) -> Parts:
    """All parts; ValueError says which is missing, damaged, or does not fit."""
    parts: dict[str, Any] = {}
    for name, kind in CLIP.items():
        network = name.endswith("_encoder")
        parts[name] = folder.read_network(name, kind) if network else folder.read_part(name, kind)
    index = folder.read_json("model_index.json")
    numbers = range(1, 1 + sum(re.fullmatch(r"unet_\d+", name) is not None for name in index))
    parts["unets"] = tuple(folder.read_network(f"unet_{number}", CascadeUnet) for number in numbers)
    parts["schedulers"] = tuple(folder.read_part(f"unet_{number}_scheduler", DDPMScheduler) for number in numbers)
    if "prior" in index:
        parts["prior"] = folder.read_network("prior", PriorNetwork)
        parts["prior_scheduler"] = folder.read_part("prior_scheduler", DDPMScheduler)
    made = Parts(**parts)
    check(made, str(folder.path))
    return made


def check(parts: Parts, where: str) -> None:
    """Raise ValueError unless the parts are made for one another, for what would fail far away, or silently."""
    text, first = parts.text_encoder.config, parts.unets[0].config
    if max(parts.tokenizer.eos_token_id, len(parts.tokenizer) - 1) >= text.vocab_size:
        raise ValueError(f"{where}: the tokenizer has {len(parts.tokenizer)} tokens, but CLIP knows {text.vocab_size}.")
    agreed = {"CLIP's texts": text.projection_dim, "CLIP's pictures": parts.dim, "decoder": first.image_embed_dim}
    if parts.prior is not None:
        agreed["prior"] = parts.prior.config.dim
        if parts.prior.config.condition_on_text_encodings:
            agreed["CLIP's tokens, which the prior reads"] = text.hidden_size
    if len(set(agreed.values())) > 1:
        listed = ", ".join(f"{name} {dim}" for name, dim in agreed.items())
        raise ValueError(f"{where}: the parts disagree on the size of an embedding: {listed}.")
    for number, unet in enumerate(parts.unets, 1):
        reads = unet.config.text_embed_dim
        if unet.config.cond_on_text_encodings and reads != text.hidden_size:
            raise ValueError(
                f"{where}: U-Net {number} reads {reads} numbers a token, but CLIP makes {text.hidden_size}."
            )


def write(parts: Parts, folder: str | Path, description: Mapping[str, Any], dtype: Any = None) -> Path:
    """Write a folder, which `read` opens; it appears whole or not at all.

    `description` becomes dalle2.json; `dtype` is that of the weights. ValueError when the folder exists already,
    OSError when the disk refuses.
    """
    index = {"_class_name": "DALLE2", **_index(parts.present())}
    return write_folder(folder, parts.present(), index, description, dtype)


def _index(parts: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return which class each part is of, by which a folder is known to be whole."""
    kinds = {name: type(part) for name, part in sorted(parts.items())}
    return {name: [kind.__module__.split(".")[0], kind.__name__] for name, kind in kinds.items()}
