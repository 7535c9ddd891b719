"""Kandinsky's decoder and prior, in one folder or two -> `KandinskyModel`, and back."""

import logging
from pathlib import Path

import torch

from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.description import Description
from dalle2.families.kandinsky import layout
from dalle2.families.kandinsky.model import KANDINSKY22_SETTINGS, KandinskyModel

log = logging.getLogger(__name__)

# Published decoder -> the prior that was published for it.
PARTNERS = {
    "kandinsky-community/kandinsky-2-2-decoder": "kandinsky-community/kandinsky-2-2-prior",
    "kandinsky-community/kandinsky-2-2-decoder-inpaint": "kandinsky-community/kandinsky-2-2-prior",
}


def load(folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool) -> KandinskyModel:
    """Open a decoder's folder with its prior, and put both on the device; ValueError says what is wrong with them.

    Without `prior`, the place of one, a combined folder is its own, and a published decoder's is known.
    """
    if prior is None and layout.is_combined(folder):
        priors, name = folder, folder.name
    else:
        place = _partner(folder) if prior is None else prior
        priors, name = folder.other(place, layout.PRIOR_PARTS), f"{place}+{folder.name}"
    parts = layout.read(folder, priors)
    if priors is folder:
        fingerprint = Fingerprint(folder, tuple(parts.present()))
    else:
        fingerprint = Fingerprint(folder, layout.DECODER_PARTS, Fingerprint(priors, layout.PRIOR_PARTS))
    description = Description.read(folder, KANDINSKY22_SETTINGS)
    model = KandinskyModel(parts, name, device, folder.dtype, fingerprint, description)
    if compile:
        parts.prior_prior.compile()
        parts.unet.compile()
    return model


def save(model: KandinskyModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as one folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = Description(model.settings, model.styles, model.examples, model.subject).to_dict()
    return layout.write(model.parts, folder, description, dtype)


def _partner(folder: CheckpointFolder) -> str:
    """Return the prior of a published decoder: its id, or a copy that lies beside the decoder's, of the same name."""
    place = PARTNERS.get(folder.name.partition("@")[0])
    if place is None:
        copies = {decoder.split("/")[1]: prior.split("/")[1] for decoder, prior in PARTNERS.items()}
        path = folder.path.resolve()
        beside = path.parent / copies.get(path.name, "")
        if path.name not in copies or not beside.is_dir():
            raise ValueError(f"{folder.name} is a decoder without a prior: name both, PRIOR+{folder.name}.")
        place = str(Path(folder.name).parent / beside.name)
    log.warning("%s is drawn with the prior %s; name another one as PRIOR+DECODER.", folder.name, place)
    return place
