"""Kandinsky's layouts on disk: the parts of a prior and of a decoder, read and checked, and written for all readers.

They are published in two repositories, and diffusers' combined pipelines save both in one, the prior's parts with
"prior_" before their names. What the parts do together is `model`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    PriorTransformer,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import (
    CLIPImageProcessor,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
    XLMRobertaTokenizer,
)

from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.priors import check_layout
from dalle2.families.saving import write_folder
from dalle2.networks.eclipse_prior import EclipsePrior

PREFIX = "prior_"
NETWORKS = {
    "unet": UNet2DConditionModel,
    "movq": VQModel,
    "prior_prior": PriorTransformer,
    "prior_image_encoder": CLIPVisionModelWithProjection,
    "prior_text_encoder": CLIPTextModelWithProjection,
    "prior_eclipse": EclipsePrior,
    "text_encoder": MultilingualCLIP,
}
OTHERS = {
    "prior_tokenizer": CLIPTokenizer,
    "prior_scheduler": UnCLIPScheduler,
    "prior_image_processor": CLIPImageProcessor,
    "tokenizer": XLMRobertaTokenizer,
}
# Of the decoder's scheduler, by the name that its folder says.
SCHEDULERS = {"DDPMScheduler": DDPMScheduler, "DDIMScheduler": DDIMScheduler}
# What CLIP knows, which is published with the diffusion prior.
ENCODER_PARTS = ("image_encoder", "image_processor", "text_encoder", "tokenizer")
PRIOR_PARTS = ("prior", "scheduler", *ENCODER_PARTS)
PRIOR_FOLDERS = (*PRIOR_PARTS, *(f"{PREFIX}{part}" for part in (*PRIOR_PARTS, "eclipse")))  # apart, and combined
# Folders of the priors by `PriorSettings.kind`, in the order of which the first is the usual one.
PRIORS = {"eclipse": "prior_eclipse", "diffusion": "prior_prior"}
TEXT_PARTS = ("text_encoder", "tokenizer")  # which only the decoder of version 2.1 has
DECODER_PARTS = ("unet", "movq", "scheduler", *TEXT_PARTS)
VOCABULARIES = ("tokenizer.json", "vocab.json", "sentencepiece.bpe.model")


@dataclass
class Parts:
    """The parts of a checkpoint, named as the folders of diffusers' combined pipelines."""

    unet: UNet2DConditionModel
    movq: VQModel
    scheduler: DDPMScheduler | DDIMScheduler
    prior_image_encoder: CLIPVisionModelWithProjection
    prior_image_processor: CLIPImageProcessor
    prior_text_encoder: CLIPTextModelWithProjection
    prior_tokenizer: CLIPTokenizer
    prior_prior: PriorTransformer | None = None
    prior_scheduler: UnCLIPScheduler | None = None
    prior_eclipse: EclipsePrior | None = None
    text_encoder: MultilingualCLIP | None = None
    tokenizer: XLMRobertaTokenizer | None = None

    def present(self) -> dict[str, Any]:
        """Return the parts that this checkpoint has, by name."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def priors(self) -> dict[str, Any]:
        """The priors by their kind, the usual one first."""
        found = {kind: getattr(self, name) for kind, name in PRIORS.items()}
        return {kind: prior for kind, prior in found.items() if prior is not None}

    @property
    def repaints(self) -> bool:
        """Whether the decoder was trained to paint a part of a picture: it sees the rest, and which part it is."""
        return self.unet.config.in_channels == 2 * self.movq.config.latent_channels + 1

    @property
    def factor(self) -> int:
        """How many pixels a side a latent stands for."""
        return 2 ** (len(self.movq.config.block_out_channels) - 1)


def is_combined(folder: CheckpointFolder) -> bool:
    """Whether it holds the prior's parts beside the decoder's, of which Stable unCLIP's folders have others."""
    return folder.has("prior_image_encoder") or folder.has("prior_image_processor")


def read(decoder: CheckpointFolder, prior: CheckpointFolder, eclipse: EclipsePrior | None = None) -> Parts:
    """All parts, of two folders or of a combined one, which then is given twice; the prior may lie in another such.

    Where an ECLIPSE prior is given, it takes the place of the diffusion prior. ValueError says which part is missing,
    damaged, or does not fit.
    """

    def place(name: str) -> tuple[CheckpointFolder, str]:
        if not name.startswith(PREFIX):
            return decoder, name
        return prior, name if is_combined(prior) else name.removeprefix(PREFIX)

    if not is_combined(prior) and eclipse is None:
        check_layout(prior, "Kandinsky", PRIOR_PARTS)
    absent = _absent(decoder, prior, eclipse)
    parts: dict[str, Any] = {"scheduler": _read_scheduler(decoder), "prior_eclipse": eclipse}
    for name, kind in OTHERS.items():
        if name not in absent:
            folder, part = place(name)
            parts[name] = folder.read_part(part, kind)
    for name, kind in NETWORKS.items():
        if name not in absent:
            folder, part = place(name)
            parts[name] = folder.read_network(part, kind)
    for tokenizer, encoder in (("prior_tokenizer", "prior_text_encoder"), TEXT_PARTS[::-1]):
        if tokenizer in parts:
            folder, part = place(tokenizer)
            _check_tokenizer(folder.path / part, parts[tokenizer], parts[encoder].config)
    _check_agreement(decoder, prior, parts)
    return Parts(**parts)


def prior_folders(prior: CheckpointFolder) -> tuple[str, ...]:
    """Return the prior's parts that a folder holds, by the names that they have there."""
    prefix = PREFIX if is_combined(prior) else ""
    names = (f"{prefix}{part}" for part in (*PRIOR_PARTS, "eclipse"))
    return tuple(name for name in names if prior.has(name))


def _absent(decoder: CheckpointFolder, prior: CheckpointFolder, eclipse: EclipsePrior | None) -> set[str]:
    """Return the parts that these folders need not have."""
    absent = set() if decoder.has("text_encoder") else set(TEXT_PARTS)
    if eclipse is not None or not prior.has("prior_eclipse"):
        absent.add("prior_eclipse")
    if eclipse is not None or (prior.has("prior_eclipse") and not prior.has("prior_prior")):
        absent |= {"prior_prior", "prior_scheduler"}
    return absent


def _read_scheduler(folder: CheckpointFolder) -> DDPMScheduler | DDIMScheduler:
    said = folder.read_json("scheduler/scheduler_config.json")
    kind = SCHEDULERS.get(str(said.get("_class_name")), DDPMScheduler)
    scheduler = folder.read_part("scheduler", kind)
    if scheduler.config.prediction_type not in ("epsilon", "sample", "v_prediction"):
        raise ValueError(f"{folder.path / 'scheduler'} says that {scheduler.config.prediction_type} is predicted.")
    return scheduler


def _check_tokenizer(where: Path, tokenizer: Any, text: Any) -> None:
    """Raise ValueError without a vocabulary, of which transformers makes an empty one, or with one too large."""
    if not any((where / name).is_file() for name in VOCABULARIES):
        raise ValueError(f"{where} holds no vocabulary: expected tokenizer.json, or vocab.json and merges.txt.")
    if max(tokenizer.bos_token_id, tokenizer.eos_token_id, len(tokenizer) - 1) >= text.vocab_size:
        raise ValueError(f"{where} has {len(tokenizer)} tokens, but the text encoder knows {text.vocab_size}.")


def _check_agreement(decoder: CheckpointFolder, prior: CheckpointFolder, parts: Mapping[str, Any]) -> None:
    """Check that the parts are made for one another: tell here what would fail far away, or silently."""
    unet, movq = parts["unet"].config, parts["movq"].config
    latents = movq.latent_channels
    if unet.addition_embed_type == "image_hint":
        raise ValueError(
            f"{decoder.name} draws after a map of depths beside the embedding (ControlNet), which no task gives it: "
            "name kandinsky-community/kandinsky-2-2-decoder."
        )
    if unet.in_channels not in (latents, 2 * latents + 1):
        raise ValueError(
            f"{decoder.path / 'unet'} reads {unet.in_channels} channels: expected {latents}, or {2 * latents + 1} of a "
            "decoder for inpainting."
        )
    reads = unet.encoder_hid_dim_type == "text_image_proj"
    if reads != ("text_encoder" in parts):
        raise ValueError(
            f"{decoder.path / 'unet'} {'reads' if reads else 'does not read'} text, but its folder has "
            f"{'no' if reads else 'a'} text_encoder: it is not a whole decoder of Kandinsky 2.1 or 2.2."
        )
    dims = {
        "text encoder": parts["prior_text_encoder"].config.projection_dim,
        "image encoder": parts["prior_image_encoder"].config.projection_dim,
        "decoder": unet.cross_attention_dim if reads else unet.encoder_hid_dim,
    }
    if parts.get("prior_prior"):
        dims["prior"] = parts["prior_prior"].config.embedding_dim
    if len(set(dims.values())) > 1:
        listed = ", ".join(f"{name} {dim}" for name, dim in dims.items())
        raise ValueError(
            f"{prior.name} and {decoder.name} are not made for one another: they disagree on the size of an embedding "
            f"({listed})."
        )


def write(parts: Parts, folder: str | Path, description: Mapping[str, Any], dtype: torch.dtype | None = None) -> Path:
    """Write a combined folder, which `read` and diffusers' combined pipelines open; it appears whole or not at all.

    `description` becomes dalle2.json; `dtype` is that of the weights. ValueError when the folder exists already,
    OSError when the disk refuses.
    """
    return write_folder(folder, parts.present(), _model_index(parts), description, dtype)


def _model_index(parts: Parts) -> dict[str, Any]:
    """Return the index by which diffusers opens the folder."""
    version = "V22" if parts.text_encoder is None else ""
    pipeline = f"Kandinsky{version}{'Inpaint' if parts.repaints else ''}CombinedPipeline"
    kinds = {**NETWORKS, **OTHERS, "scheduler": type(parts.scheduler)}
    named = sorted(set(parts.present()) - {"prior_eclipse"})  # which diffusers does not know
    index = {name: [kinds[name].__module__.split(".")[0], kinds[name].__name__] for name in named}
    index["prior_image_processor"] = ["transformers", "CLIPImageProcessor"]
    if parts.text_encoder is not None:
        index["text_encoder"] = ["kandinsky", "MultilingualCLIP"]
        index["tokenizer"] = ["transformers", "XLMRobertaTokenizerFast"]
    return {"_class_name": pipeline, "_diffusers_version": diffusers.__version__, **index}
