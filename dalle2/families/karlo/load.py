"""A checkpoint folder in Karlo's layout -> `KarloModel`, and back."""

from pathlib import Path

import torch

from dalle2.datasets.phrases import Phrases
from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.karlo import layout
from dalle2.families.karlo.model import KarloModel


def load(folder: CheckpointFolder, source: str, device: torch.device, compile: bool) -> KarloModel:
    """Open a checkpoint folder and put it on the device; ValueError says what is wrong with it."""
    parts = layout.read(folder)
    names = [*parts.present(), *(name for name in layout.OTHER_PRIORS if folder.has(name))]
    model = KarloModel(parts, source, device, folder.dtype, Fingerprint(folder, tuple(names)))
    if (folder.path / "dalle2.json").exists():
        description = folder.read_json("dalle2.json")
        try:
            model.describe(description)
        except ValueError as error:
            raise ValueError(f"{folder.path / 'dalle2.json'}: {error}") from error
    model.speak(Phrases.read(folder.path))
    if compile:
        for name in ("prior", "decoder", "super_res_first", "super_res_last"):
            if name in parts.present():
                getattr(parts, name).compile()
    return model


def save(model: KarloModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as a checkpoint folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = {"settings": model.settings.to_dict(), "styles": model.styles, "examples": model.examples}
    if model.subject:
        description["subject"] = model.subject
    for kind in model.priors:
        model.prior(kind)  # read what nobody asked for yet
    written = layout.write(model.parts, folder, description, dtype, model.phrases)
    if model.interpreter is not None:
        model.interpreter.vocabulary.write(written)
    return written
