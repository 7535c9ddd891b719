"""Stable unCLIP's folder, with a prior from another one -> `StableUnclipModel`, and back."""

import logging
from pathlib import Path

import torch

from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.description import Description
from dalle2.families.family_model import Checkpoint
from dalle2.families.places import partner
from dalle2.families.stable_unclip import layout
from dalle2.families.stable_unclip.model import StableUnclipModel, default_settings

log = logging.getLogger(__name__)

# The size of an embedding -> whose prior makes such ones: CLIP ViT-L/14's are Karlo's, and of ViT-H/14 none is known.
PARTNERS = {768: "kakaobrain/karlo-v1-alpha"}


def load(folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool) -> StableUnclipModel:
    """Open a decoder's folder with a prior, and put both on the device; ValueError says what is wrong with them.

    `prior` is the place of one. Without it the folder's own is taken, or that of PARTNERS, or none where that cannot
    be had, which a warning says. Which was taken stands in the model's name.
    """
    priors = folder if prior is None and folder.has("prior") else _open_prior(folder, prior)
    parts = layout.read(folder, priors)
    names = tuple(name for name in parts.present() if name not in layout.PRIOR_PARTS)
    if priors is None:
        name, fingerprint = folder.name, Fingerprint(folder, names)
    elif priors is folder:
        name, fingerprint = folder.name, Fingerprint(folder, tuple(parts.present()))
    else:
        own = Fingerprint(priors, tuple(layout.prior_parts(priors).values()))
        name, fingerprint = f"{priors.name}+{folder.name}", Fingerprint(folder, names, own)
    description = Description.read(folder, default_settings(has_prior=priors is not None))
    model = StableUnclipModel(parts, Checkpoint(name, device, folder.dtype, fingerprint, description))
    if compile:
        for network in (parts.prior, parts.unet):
            if network is not None:
                network.compile()
    return model


def save(model: StableUnclipModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as one checkpoint folder, its prior in it, its weights in `dtype` or as they are."""
    description = Description(model.settings, model.styles, model.examples, model.subject).to_dict()
    return layout.write(model.parts, folder, description, dtype)


def _open_prior(folder: CheckpointFolder, prior: str | None) -> CheckpointFolder | None:
    """Return the folder of this prior, or of the one known for such a decoder; None where that cannot be had.

    Only its own parts are fetched.
    """
    wanted = {*layout.PRIOR_PARTS, *layout.KARLO.values()}
    if prior is not None:
        return folder.other(prior, wanted)
    dim = folder.read_json("image_normalizer/config.json").get("embedding_dim")
    known = PARTNERS.get(dim) if isinstance(dim, int) else None
    if known is None:
        return None
    try:
        return folder.other(partner(folder.name, folder.path, known), wanted)
    except ValueError as error:
        log.warning(
            "%s draws variations only, and nothing from a prompt, because the prior for it is missing: %s",
            folder.name,
            error,
        )
        return None
