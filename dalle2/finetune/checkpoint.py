"""Which checkpoints can be taught, and in which precision."""

import torch

from dalle2.families import load
from dalle2.families.karlo.learning import check_name
from dalle2.families.karlo.model import KarloModel

NEEDED = ("prior", "image_encoder")


def open_to_teach(source: str, device: torch.device, name: str, allow_pickle: bool = False) -> KarloModel:
    """Open a checkpoint; ValueError where it cannot be taught, or means something else by the name."""
    model = load(source, device, allow_pickle=allow_pickle, engine="torch")
    if not isinstance(model, KarloModel):
        raise ValueError(
            f"{source} is of a family that cannot be taught here: only checkpoints in Karlo's layout can, as emoji."
        )
    if lacking := [part for part in NEEDED if part not in model.parts.present()]:
        raise ValueError(
            f"{source} has no {lacking[0].replace('_', ' ')}, which teaching needs: name two checkpoints as "
            "PRIOR+DECODER that have it together."
        )
    check_name(model, name)
    return model


def precision() -> str:
    """Return "bf16" where this machine computes in it, else "no"."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    return "bf16" if not torch.accelerator.is_available() and torch.cpu._is_avx512_bf16_supported() else "no"
