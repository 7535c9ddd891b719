"""A checkpoint folder in Karlo's layout -> `KarloModel`, and back."""

from dataclasses import replace
from pathlib import Path

import torch

from dalle2.datasets.phrases import Phrases
from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.description import Description
from dalle2.families.family_model import Checkpoint
from dalle2.families.karlo import layout
from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.families.karlo.learning import learn
from dalle2.families.karlo.model import KarloModel
from dalle2.families.priors import check_eclipse, read_eclipse

__all__ = ["learn", "load", "save"]


def load(folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool) -> KarloModel:
    """Open a checkpoint folder and put it on the device; ValueError says what is wrong with it.

    `prior` is another folder or id of this family, whose prior is taken: Karlo is published in two, one with a prior
    and one with an image encoder, and together they do all that either can. Or it is an ECLIPSE prior, which is then
    the checkpoint's usual one.
    """
    other = None if prior is None else folder.other(prior, layout.PRIOR)
    eclipse = None if other is None else read_eclipse(other)
    priors = folder if other is None or eclipse is not None else other
    parts = layout.read(folder, priors)
    names = (*parts.present(), *(name for name in layout.OTHER_PRIORS if folder.has(name)))
    fingerprint = Fingerprint(folder, names)
    description = Description.read(folder, KARLO_SETTINGS)
    if other is not None and eclipse is not None:
        check_eclipse(eclipse, other.name, *layout.text_size(parts))
        parts.prior_eclipse = eclipse
        fingerprint = Fingerprint(folder, names, Fingerprint(other, (".",)))
        description = replace(description, settings=description.settings.changed({"prior": {"kind": "eclipse"}}))
    elif other is not None:
        own = tuple(name for name in names if name not in layout.PRIOR)
        fingerprint = Fingerprint(folder, own, Fingerprint(priors, layout.PRIOR))
    name = folder.name if prior is None else f"{prior}+{folder.name}"
    opened = Checkpoint(name, device, folder.dtype, fingerprint, description)
    model = KarloModel(parts, opened, Phrases.read(folder.path))
    if compile:
        for network in ("prior", "decoder", "super_res_first", "super_res_last"):
            if network in parts.present():
                getattr(parts, network).compile()
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
