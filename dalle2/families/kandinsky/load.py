"""Kandinsky's decoder and prior, in one folder or two -> `KandinskyModel`, and back."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from dalle2.families.checkpoint_folder import CheckpointFolder, Fingerprint
from dalle2.families.description import Description
from dalle2.families.family_model import Checkpoint
from dalle2.families.kandinsky import layout
from dalle2.families.kandinsky.model import KANDINSKY21_SETTINGS, KANDINSKY22_SETTINGS, KandinskyModel
from dalle2.families.places import hub_name, partner
from dalle2.families.priors import check_eclipse, read_eclipse

log = logging.getLogger(__name__)

# Published decoder -> the prior that was published for it.
PARTNERS = {
    "kandinsky-community/kandinsky-2-2-decoder": "kandinsky-community/kandinsky-2-2-prior",
    "kandinsky-community/kandinsky-2-2-decoder-inpaint": "kandinsky-community/kandinsky-2-2-prior",
    "kandinsky-community/kandinsky-2-1": "kandinsky-community/kandinsky-2-1-prior",
    "kandinsky-community/kandinsky-2-1-inpaint": "kandinsky-community/kandinsky-2-1-prior",
}


def load(folder: CheckpointFolder, prior: str | None, device: torch.device, compile: bool) -> KandinskyModel:
    """Open a decoder's folder with its prior, and put both on the device; ValueError says what is wrong with them.

    Without `prior`, the place of one, a combined folder is its own, and a published decoder's is known.
    """
    eclipse = None
    if prior is None and layout.is_combined(folder):
        parts, name = layout.read(folder, folder), folder.name
        fingerprint = Fingerprint(folder, tuple(parts.present()))
    else:
        place = _partner(folder) if prior is None else prior
        other, name = folder.other(place, layout.PRIOR_FOLDERS), f"{place}+{folder.name}"
        eclipse = read_eclipse(other)
        if eclipse is None:
            parts, own = layout.read(folder, other), Fingerprint(other, layout.prior_folders(other))
        else:
            # It is published without CLIP, which comes with the decoder's own prior.
            clip, names = folder, tuple(f"{layout.PREFIX}{part}" for part in layout.ENCODER_PARTS)
            if not layout.is_combined(folder):
                clip, names = folder.other(_partner(folder), layout.ENCODER_PARTS), layout.ENCODER_PARTS
            parts, own = layout.read(folder, clip, eclipse), Fingerprint(other, (".",), Fingerprint(clip, names))
        fingerprint = Fingerprint(folder, tuple(name for name in layout.DECODER_PARTS if folder.has(name)), own)
    if parts.prior_eclipse is not None:
        config = parts.prior_text_encoder.config
        assert config.projection_dim is not None, "a CLIP with a projection"
        check_eclipse(parts.prior_eclipse, prior or folder.name, config.projection_dim, config.max_position_embeddings)
    description = Description.read(folder, KANDINSKY21_SETTINGS if parts.text_encoder else KANDINSKY22_SETTINGS)
    if eclipse is not None:
        description = replace(description, settings=description.settings.changed({"prior": {"kind": "eclipse"}}))
    model = KandinskyModel(parts, Checkpoint(name, device, folder.dtype, fingerprint, description))
    if compile:
        for network in (parts.unet, parts.prior_prior):
            if network is not None:
                network.compile()
    return model


def save(model: KandinskyModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as one folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = Description(model.settings, model.styles, model.examples, model.subject).to_dict()
    return layout.write(model.parts, folder, description, dtype)


def _partner(folder: CheckpointFolder) -> str:
    """Return the prior of a published decoder: its id, or a copy that lies beside the decoder's, of the same name."""
    copies = {decoder.rpartition("/")[2]: decoder for decoder in PARTNERS}
    own = (hub_name(folder.path) or folder.name).partition("@")[0]
    prior = PARTNERS.get(own) or PARTNERS.get(copies.get(folder.path.resolve().name, ""))
    if prior is None:
        usual = f"kandinsky-community/kandinsky-2-{'1' if folder.has('text_encoder') else '2'}-prior"
        raise ValueError(
            f"{folder.name} is a decoder without a prior: name both, PRIOR+DECODER, as {usual}+{folder.name}."
        )
    place = partner(folder.name, folder.path, prior)
    log.warning("%s draws with what was published beside it, %s.", folder.name, place)
    return place
