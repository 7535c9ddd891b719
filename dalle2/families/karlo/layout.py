"""Karlo's layout on disk: the parts of a checkpoint, read and checked, and written for all readers.

What the parts do together is `model`'s business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from transformers import (
    CLIPImageProcessor,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from dalle2 import atomic
from dalle2.datasets.phrases import Phrases
from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.priors import check_eclipse, check_layout
from dalle2.families.saving import rename, save_part, write_folder
from dalle2.networks.autoregressive_prior import AutoregressivePrior
from dalle2.networks.eclipse_prior import EclipsePrior
from dalle2.networks.linear_prior import LinearPrior
from dalle2.networks.text_projection import TextProjection

NETWORKS = {
    "text_encoder": CLIPTextModelWithProjection,
    "text_proj": TextProjection,
    "decoder": UNet2DConditionModel,
    "super_res_first": UNet2DModel,
    "super_res_last": UNet2DModel,
    "prior": PriorTransformer,
    "image_encoder": CLIPVisionModelWithProjection,
}
OTHERS = {
    "tokenizer": CLIPTokenizer,
    "decoder_scheduler": UnCLIPScheduler,
    "super_res_scheduler": UnCLIPScheduler,
    "prior_scheduler": UnCLIPScheduler,
    "feature_extractor": CLIPImageProcessor,
}
OTHER_PRIORS = {
    "prior_autoregressive": AutoregressivePrior,
    "prior_linear": LinearPrior,
    "prior_eclipse": EclipsePrior,
}
PRIOR = ("prior", "prior_scheduler")
# A checkpoint without a prior draws variations only; one without an image encoder cannot see pictures.
OPTIONAL = {"prior": "prior_scheduler", "image_encoder": "feature_extractor"}


@dataclass
class Parts:
    """The parts of a checkpoint, named as their folders."""

    text_encoder: CLIPTextModelWithProjection
    tokenizer: CLIPTokenizer
    text_proj: TextProjection
    decoder: UNet2DConditionModel
    super_res_first: UNet2DModel
    super_res_last: UNet2DModel
    decoder_scheduler: UnCLIPScheduler
    super_res_scheduler: UnCLIPScheduler
    prior: PriorTransformer | None = None
    prior_scheduler: UnCLIPScheduler | None = None
    image_encoder: CLIPVisionModelWithProjection | None = None
    feature_extractor: CLIPImageProcessor | None = None
    # These are read when they are first asked for.
    prior_autoregressive: AutoregressivePrior | None = None
    prior_linear: LinearPrior | None = None
    prior_eclipse: EclipsePrior | None = None

    def present(self) -> dict[str, Any]:
        """Return the parts that this checkpoint has, by name."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}


def read(folder: CheckpointFolder, priors: CheckpointFolder | None = None) -> Parts:
    """All parts but OTHER_PRIORS, the diffusion prior of another folder where there is one.

    ValueError says which part is missing, damaged, or does not fit.
    """
    priors = priors or folder
    if priors is not folder:
        check_layout(priors, "Karlo", PRIOR)
    absent = {name for pair in OPTIONAL.items() if not folder.has(pair[0]) for name in pair}
    if priors.has("prior"):
        absent -= set(PRIOR)
    places = {name: priors if name in PRIOR else folder for name in {**NETWORKS, **OTHERS} if name not in absent}
    parts = {name: places[name].read_part(name, kind) for name, kind in OTHERS.items() if name in places}
    parts |= {name: places[name].read_network(name, kind) for name, kind in NETWORKS.items() if name in places}
    _check_agreement(folder.path, parts)
    return Parts(**parts)


def read_prior(folder: CheckpointFolder, name: str, parts: Parts) -> Any:
    """One of OTHER_PRIORS; ValueError when it is missing, damaged, or not made for the other parts."""
    prior: Any = folder.read_network(name, OTHER_PRIORS[name])
    if isinstance(prior, EclipsePrior):
        check_eclipse(prior, str(folder.path / name), *text_size(parts))
    found, expected = prior.config.embedding_dim, parts.text_encoder.config.projection_dim
    if found != expected:
        raise ValueError(f"{folder.path / name} makes embeddings of the size {found}, not {expected}.")
    length = parts.text_encoder.config.max_position_embeddings
    if prior.config.get("context_length", length) != length:
        raise ValueError(f"{folder.path / name} reads texts of {prior.config.context_length} tokens, not {length}.")
    return prior


def text_size(parts: Parts) -> tuple[int, int]:
    """Return the size of an embedding, and the length of a text in tokens."""
    config = parts.text_encoder.config
    assert config.projection_dim is not None, "a CLIP with a projection"
    return config.projection_dim, config.max_position_embeddings


def write_prior(prior: torch.nn.Module, folder: Path, name: str, dtype: torch.dtype | None = None) -> None:
    """Add one of OTHER_PRIORS to a checkpoint; its folder appears whole or not at all. OSError when that fails."""
    try:
        with atomic.folder(folder / name) as partial:
            save_part(prior, partial, dtype)
    except Exception as error:
        raise OSError(f"{folder / name} could not be written: {error}") from error


def write(
    parts: Parts,
    folder: str | Path,
    description: Mapping[str, Any],
    dtype: torch.dtype | None = None,
    phrases: Phrases | None = None,
) -> Path:
    """Write a checkpoint folder, which `read` and stock diffusers open; it appears whole or not at all.

    `description` becomes dalle2.json ("settings", "styles", "examples"); `dtype` is that of the weights; `phrases`
    are the words that it describes pictures by.
    ValueError when the folder exists already, OSError when the disk refuses.
    """

    def finish(partial: Path) -> None:
        rename(partial / "text_proj" / "config.json", "_class_name", "UnCLIPTextProjModel")
        if phrases is not None:
            phrases.write(partial)

    return write_folder(folder, parts.present(), _model_index(parts), description, dtype, finish)


def _model_index(parts: Parts) -> dict[str, Any]:
    """Return the index by which stock diffusers (up to 0.37) opens the folder; other folders it ignores."""
    names = set(parts.present()) - set(OTHER_PRIORS)
    if parts.prior:
        pipeline, names = "UnCLIPPipeline", names - {"image_encoder", "feature_extractor"}
    else:
        pipeline = "UnCLIPImageVariationPipeline"
    kinds = {**NETWORKS, **OTHERS}
    libraries = {name: kinds[name].__module__.split(".")[0] for name in sorted(names)}
    index = {name: [library, kinds[name].__name__] for name, library in libraries.items()}
    index["text_proj"] = ["unclip", "UnCLIPTextProjModel"]
    if "feature_extractor" in names:
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    return {"_class_name": pipeline, "_diffusers_version": diffusers.__version__, **index}


def _check_agreement(folder: Path, parts: Mapping[str, Any]) -> None:
    """Check that the parts are made for one another: tell here what would fail far away, or silently."""
    vocabularies = [folder / "tokenizer" / name for name in ("tokenizer.json", "vocab.json")]
    if not any(file.is_file() for file in vocabularies):  # transformers makes an empty vocabulary of nothing
        raise ValueError(f"{folder / 'tokenizer'} holds no vocabulary: expected vocab.json and merges.txt.")
    for name in OTHERS:
        kind = parts[name].config.prediction_type if name in parts and name.endswith("_scheduler") else "sample"
        if kind not in ("epsilon", "sample"):
            raise ValueError(f"{folder / name} says that {kind} is predicted: expected epsilon or sample.")
    tokenizer, text = parts["tokenizer"], parts["text_encoder"].config
    if max(tokenizer.bos_token_id, tokenizer.eos_token_id, len(tokenizer) - 1) >= text.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens, but text_encoder knows {text.vocab_size}."
        )
    dims = {"text_encoder": text.projection_dim, "text_proj": parts["text_proj"].config.clip_embeddings_dim}
    if "prior" in parts:
        dims["prior"] = parts["prior"].config.embedding_dim
    if "image_encoder" in parts:
        dims["image_encoder"] = parts["image_encoder"].config.projection_dim
    if len(set(dims.values())) > 1:
        listed = ", ".join(f"{name} {dim}" for name, dim in dims.items())
        raise ValueError(f"{folder}: the parts disagree on the size of an embedding: {listed}.")
