"""Stable unCLIP's layout on disk: the parts of a checkpoint, read and checked, and written for all readers.

It is published without a prior (StableUnCLIPImg2ImgPipeline). The prior comes from a folder in Karlo's layout, or from
one that diffusers saved with the prior in it (StableUnCLIPPipeline). What the parts do together is `model`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, DDPMScheduler, PriorTransformer, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from diffusers.schedulers import KarrasDiffusionSchedulers
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from transformers import (
    CLIPImageProcessor,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.priors import check_layout
from dalle2.families.saving import write_folder
from dalle2.sampling import PREDICTIONS, noise_schedule

NETWORKS = {
    "text_encoder": CLIPTextModel,
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "image_normalizer": StableUnCLIPImageNormalizer,
}
OTHERS = {"tokenizer": CLIPTokenizer, "image_noising_scheduler": DDPMScheduler}
EYES = {"image_encoder": CLIPVisionModelWithProjection, "feature_extractor": CLIPImageProcessor}
PRIOR = {
    "prior": PriorTransformer,
    "prior_text_encoder": CLIPTextModelWithProjection,
    "prior_tokenizer": CLIPTokenizer,
}
SCHEDULERS = {*KarrasDiffusionSchedulers.__members__, "UnCLIPScheduler"}
PRIOR_PARTS = (*PRIOR, "prior_scheduler")
# The prior's parts in Karlo's layout, which is that of the folder whose prior is taken.
KARLO = {"prior_text_encoder": "text_encoder", "prior_tokenizer": "tokenizer"}


@dataclass
class Parts:
    """The parts of a checkpoint, named as the folders of diffusers' pipelines."""

    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    image_normalizer: StableUnCLIPImageNormalizer
    image_noising_scheduler: DDPMScheduler
    scheduler: SchedulerMixin
    prior: PriorTransformer | None = None
    prior_text_encoder: CLIPTextModelWithProjection | None = None
    prior_tokenizer: CLIPTokenizer | None = None
    prior_scheduler: SchedulerMixin | None = None
    image_encoder: CLIPVisionModelWithProjection | None = None
    feature_extractor: CLIPImageProcessor | None = None

    def present(self) -> dict[str, Any]:
        """Return the parts that this checkpoint has, by name."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def dim(self) -> int:
        """How many numbers an image embedding has."""
        return self.image_normalizer.config.embedding_dim

    @property
    def factor(self) -> int:
        """How many pixels a side a latent stands for."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)


def read(folder: CheckpointFolder, priors: CheckpointFolder | None) -> Parts:
    """All parts, the prior's of `priors`, which may be the same folder; without it there is none.

    ValueError says which part is missing, damaged, or does not fit.
    """
    parts: dict[str, Any] = {"scheduler": _read_scheduler(folder, "scheduler")}
    own = {**OTHERS, **NETWORKS} | (EYES if folder.has("image_encoder") else {})
    places = {name: (folder, name, kind) for name, kind in own.items()}
    if priors is not None:
        check_layout(priors, "Karlo", {KARLO.get(name, name) for name in PRIOR_PARTS})
        parts["prior_scheduler"] = _read_scheduler(priors, "prior_scheduler")
        names = prior_parts(priors)
        places |= {name: (priors, names[name], kind) for name, kind in PRIOR.items()}
    for name, (place, part, kind) in places.items():
        read_part = place.read_network if issubclass(kind, torch.nn.Module) else place.read_part
        parts[name] = read_part(part, kind)
    _check_agreement(folder, priors, parts)
    return Parts(**parts)


def prior_parts(priors: CheckpointFolder) -> dict[str, str]:
    """Return the prior's parts -> their folders, in either of the layouts."""
    named = {} if priors.has("prior_text_encoder") else KARLO
    return {name: named.get(name, name) for name in PRIOR_PARTS}


def _read_scheduler(folder: CheckpointFolder, part: str) -> SchedulerMixin:
    """Whichever of diffusers' it is saved as: only its noise schedule and its spacing of timesteps count."""
    kind = str(folder.read_json(f"{part}/scheduler_config.json").get("_class_name"))
    if kind not in SCHEDULERS:
        raise ValueError(f"{folder.path / part} is a {kind}: expected a scheduler of diffusers, such as DDIMScheduler.")
    scheduler = folder.read_part(part, getattr(diffusers, kind))
    if scheduler.config.prediction_type not in PREDICTIONS:
        raise ValueError(
            f"{folder.path / part} says that {scheduler.config.prediction_type} is predicted: expected one of "
            f"{', '.join(PREDICTIONS)}."
        )
    return scheduler


def _check_agreement(folder: CheckpointFolder, priors: CheckpointFolder | None, parts: Mapping[str, Any]) -> None:
    """Check that the parts are made for one another: tell here what would fail far away, or silently."""
    for place, name in ((folder, "tokenizer"), (priors, "prior_tokenizer")):
        if place is not None:
            part = prior_parts(place)[name] if name in PRIOR_PARTS else name
            text = parts[name.replace("tokenizer", "text_encoder")].config
            _check_tokenizer(place.path / part, parts[name], text.vocab_size)
    unet, vae, dim = parts["unet"].config, parts["vae"].config, parts["image_normalizer"].config.embedding_dim
    expected = {
        f"unet reads {unet.in_channels} latent channels": (unet.in_channels, vae.latent_channels),
        f"unet reads texts of {unet.cross_attention_dim} numbers a token": (
            unet.cross_attention_dim,
            parts["text_encoder"].config.hidden_size,
        ),
        f"unet reads {unet.projection_class_embeddings_input_dim} numbers of an image embedding and its noise level": (
            unet.projection_class_embeddings_input_dim,
            2 * dim,
        ),
    }
    for said, (found, wanted) in expected.items():
        if found != wanted:
            raise ValueError(f"{folder.path}: {said}, but the other parts make {wanted}.")
    dims = {folder.name: dim}
    if "image_encoder" in parts:
        dims[f"{folder.name}, image_encoder"] = parts["image_encoder"].config.projection_dim
    if priors is not None:
        dims[f"{priors.name}, prior"] = parts["prior"].config.embedding_dim
        dims[f"{priors.name}, text encoder"] = parts["prior_text_encoder"].config.projection_dim
    if len(set(dims.values())) > 1:
        listed = "; ".join(f"{name}: {size}" for name, size in dims.items())
        raise ValueError(
            f"The parts are not made for one another: they disagree on the size of an embedding ({listed})."
        )


def _check_tokenizer(where: Path, tokenizer: CLIPTokenizer, known: int) -> None:
    if not any((where / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise ValueError(f"{where} holds no vocabulary: expected vocab.json and merges.txt.")
    if max(tokenizer.bos_token_id, tokenizer.eos_token_id, len(tokenizer) - 1) >= known:
        raise ValueError(f"{where} has {len(tokenizer)} tokens, but its text encoder knows {known}.")


def write(parts: Parts, folder: str | Path, description: Mapping[str, Any], dtype: torch.dtype | None = None) -> Path:
    """Write a folder, prior and all, which `read` and diffusers' pipelines open; it appears whole or not at all.

    `description` becomes dalle2.json; `dtype` is that of the weights. ValueError when the folder exists already,
    OSError when the disk refuses.
    """
    return write_folder(folder, _present(parts), _model_index(parts), description, dtype)


def _present(parts: Parts) -> dict[str, Any]:
    present = parts.present()
    if parts.prior_scheduler is not None:
        present["prior_scheduler"] = _as_ddpm(parts.prior_scheduler)
    return present


def _as_ddpm(scheduler: SchedulerMixin) -> DDPMScheduler:
    """Return what diffusers' pipeline takes for a prior's scheduler, which cannot be UnCLIPScheduler.

    The noise schedule is named, or diffusers would make it linear.
    """
    if isinstance(scheduler, DDPMScheduler):
        return scheduler
    same = ("prediction_type", "clip_sample", "clip_sample_range", "variance_type")
    config = {name: scheduler.config[name] for name in same}
    return DDPMScheduler(**config, **noise_schedule(scheduler.config), timestep_spacing="linspace")


def _model_index(parts: Parts) -> dict[str, Any]:
    """Return the index by which diffusers opens the folder; it leaves out what a pipeline has no use for."""
    pipeline = "StableUnCLIPImg2ImgPipeline" if parts.prior is None else "StableUnCLIPPipeline"
    kinds = {
        **NETWORKS,
        **OTHERS,
        **EYES,
        **PRIOR,
        "scheduler": type(parts.scheduler),
        "prior_scheduler": DDPMScheduler,
    }
    index = {name: [kinds[name].__module__.split(".")[0], kinds[name].__name__] for name in sorted(parts.present())}
    index["image_normalizer"] = ["stable_diffusion", "StableUnCLIPImageNormalizer"]
    if parts.feature_extractor is not None:
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    return {"_class_name": pipeline, "_diffusers_version": diffusers.__version__, **index}
