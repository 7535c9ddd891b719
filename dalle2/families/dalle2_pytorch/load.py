"""A folder that `python -m dalle2.convert` wrote -> `Dalle2PytorchModel`, and back."""

from pathlib import Path

import torch

from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.dalle2_pytorch import layout
from dalle2.families.dalle2_pytorch.model import Dalle2PytorchModel, default_settings
from dalle2.families.description import Description
from dalle2.families.family_model import Checkpoint


def load(folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool) -> Dalle2PytorchModel:
    """Open a converted checkpoint and put it on the device; ValueError says what is wrong with it."""
    if prior is not None:
        raise ValueError(
            f"{folder.name} is of DALLE2-pytorch, where a prior is converted together with its decoder: name "
            f"{folder.name} alone, or convert it again with the other prior's files."
        )
    parts = layout.read(folder)
    description = Description.read(folder, default_settings(parts))
    fingerprint = Fingerprint(folder, tuple(parts.present()))
    model = Dalle2PytorchModel(parts, Checkpoint(folder.name, device, folder.dtype, fingerprint, description))
    if compile:
        for network in (parts.prior, *parts.unets):
            if network is not None:
                network.compile()
    return model


def save(model: Dalle2PytorchModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as a checkpoint folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = Description(model.settings, model.styles, model.examples, model.subject).to_dict()
    return layout.write(model.parts, folder, description, dtype)
