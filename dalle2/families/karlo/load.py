"""A checkpoint folder in Karlo's layout -> `KarloModel`, and back."""

from pathlib import Path

import torch

from dalle2.datasets.phrases import Phrases
from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.description import Description
from dalle2.families.karlo import layout
from dalle2.families.karlo.model import KARLO_SETTINGS, KarloModel


def load(folder: CheckpointFolder, source: str, device: torch.device, compile: bool) -> KarloModel:
    """Open a checkpoint folder and put it on the device; ValueError says what is wrong with it."""
    parts = layout.read(folder)
    names = [*parts.present(), *(name for name in layout.OTHER_PRIORS if folder.has(name))]
    description = Description.read(folder, KARLO_SETTINGS)
    fingerprint = Fingerprint(folder, tuple(names))
    model = KarloModel(parts, source, device, folder.dtype, fingerprint, description, Phrases.read(folder.path))
    if compile:
        for name in ("prior", "decoder", "super_res_first", "super_res_last"):
            if name in parts.present():
                getattr(parts, name).compile()
    return model


def save(model: KarloModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as a checkpoint folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = Description(model.settings, model.styles, model.examples, model.subject).to_dict()
    for kind in model.priors:
        model.prior(kind)  # read what nobody asked for yet
    written = layout.write(model.parts, folder, description, dtype, model.phrases)
    if model.interpreter is not None:
        model.interpreter.vocabulary.write(written)
    return written
