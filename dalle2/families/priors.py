"""The priors that families have in common: read prompts -> image embeddings.

The diffusion prior is the paper's (section 2.2); ECLIPSE's takes its place in one forward pass.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import PriorTransformer

from dalle2 import sampling
from dalle2.ddim import DDIM, invert
from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.families.diffusion import DiffusionStage, reporter
from dalle2.finiteness import check_finite
from dalle2.networks import diffusion_prior
from dalle2.networks.diffusion_prior import denormalise, normalise
from dalle2.networks.eclipse_prior import EclipsePrior
from dalle2.networks.text_encoder import EncodedText
from dalle2.sampling import draw_noise
from dalle2.settings import OnStep, Step
from dalle2.stage_settings import PriorSettings

DIFFUSION_TOKENS = 4  # behind the text's: the text embedding, the time, the noisy embedding, and the answer's place


def prior_stage(prior: PriorTransformer, scheduler_config: Mapping[str, Any], text: EncodedText) -> DiffusionStage:
    """Return the stage that draws normalised image embeddings (n, dim)."""

    def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        return diffusion_prior.predict(prior, x, t, **conditions)

    shape = (prior.config.embedding_dim,)
    return DiffusionStage("prior", network, diffusion_prior.conditions(text), scheduler_config, shape)


def diffuse(
    prior: PriorTransformer,
    scheduler_config: Mapping[str, Any],
    text: EncodedText,
    settings: PriorSettings,
    noise: list[torch.Generator],
    on_step: OnStep | None,
) -> torch.Tensor:
    """Text, under guidance (2n, ...) with the unconditional half first -> image embeddings (n, dim)."""
    normed = prior_stage(prior, scheduler_config, text).draw(settings, noise, text.tokens.device, on_step)
    return check_finite(denormalise(prior, normed), "prior")


def edit_embedding(
    prior: PriorTransformer,
    scheduler_config: Mapping[str, Any],
    embedding: torch.Tensor,
    texts: tuple[EncodedText, EncodedText],
    strengths: Sequence[float],
    settings: PriorSettings,
    on_step: OnStep | None,
) -> torch.Tensor:
    """Image embedding (1, dim) back to noise under the first text, and forth under the other -> (n, dim).

    The other text is as in `diffuse`, the first without guidance. See `walk`.
    """
    old, new = (prior_stage(prior, scheduler_config, text) for text in texts)
    rows = walk((old, new), normalise(prior, embedding), strengths, settings, on_step)
    return torch.cat([embedding if row is None else check_finite(denormalise(prior, row), "prior") for row in rows])


def walk(
    stages: tuple[DiffusionStage, DiffusionStage],
    normed: torch.Tensor,
    strengths: Sequence[float],
    settings: PriorSettings,
    on_step: OnStep | None,
) -> list[torch.Tensor | None]:
    """Walk a row (1, dim) back to noise by the first stage, unguided, and forth by the other, once for each strength.

    That is the share of the steps that are taken: with less than half a step nothing changes, and there is None.
    """
    taken = [round(strength * settings.num_inference_steps) for strength in strengths]
    rows, done = [], 0
    for steps in taken:
        told = _after(done, 2 * sum(taken), on_step)
        rows.append(_walked(stages, normed, steps, settings, told) if steps else None)
        done += 2 * steps
    return rows


def _walked(
    stages: tuple[DiffusionStage, DiffusionStage],
    normed: torch.Tensor,
    steps: int,
    settings: PriorSettings,
    on_step: OnStep | None,
) -> torch.Tensor:
    old, new = stages
    denoise, scheduler = old.denoiser(replace(settings, guidance_scale=1.0), steps)
    assert isinstance(scheduler, DDIM)
    noise = invert(denoise, scheduler, normed, reporter("prior", on_step))
    denoise, scheduler = new.denoiser(settings, steps)
    return sampling.sample(denoise, scheduler, noise, [], reporter("prior", _after(steps, 2 * steps, on_step)))


def _after(done: int, total: int, on_step: OnStep | None) -> OnStep | None:
    """Return what hears of steps as of some of `total`, before which so many were done."""
    return on_step and (lambda step: on_step(replace(step, index=done + step.index, total=total)))


def draw_once(
    prior: EclipsePrior, text: EncodedText, noise: list[torch.Generator], on_step: OnStep | None
) -> torch.Tensor:
    """Text (n, ...) -> image embeddings (n, dim) in one forward pass."""
    start = draw_noise((prior.config.embedding_dim,), noise, text.tokens.device)
    embeddings = check_finite(prior(text, start), "prior")
    if on_step:
        on_step(Step("prior", 1, 1))
    return embeddings


def check_layout(priors: CheckpointFolder, family: str, parts: Collection[str]) -> None:
    """Raise ValueError, with what else the folder is, unless it holds a prior, whole or not, in this family's layout.

    `parts` are the folders that it should have.
    """
    held = family
    if (priors.path / "config.json").is_file():
        raise ValueError(
            f"{priors.name} is one network, without a text encoder that reads prompts: here a prior in {family}'s "
            "layout is wanted, as kakaobrain/karlo-v1-alpha."
        )
    if priors.has("unet_1"):
        held = "DALLE2-pytorch"
    elif priors.has("prior_scheduler") or priors.pipeline.startswith("UnCLIP"):
        held = "Karlo"
    elif priors.pipeline.startswith("Kandinsky") or priors.has("scheduler") or priors.has("image_encoder"):
        held = "Kandinsky"
    if priors.has("prior") and held == family:
        return
    if priors.has("prior"):
        said = f" It is a prior of {held}."
    else:
        said = " It holds a decoder: the prior comes first." if {"unet", "decoder"} & set(priors.parts()) else ""
    expected = ", ".join(sorted(parts))
    raise ValueError(f"{priors.name} holds no prior in {family}'s layout: expected the folders {expected}.{said}")


def read_eclipse(folder: CheckpointFolder) -> EclipsePrior | None:
    """Return the ECLIPSE prior that lies in a folder itself, as it is published; None where there are only subfolders.

    ValueError when it is damaged, or another network.
    """
    if not (folder.path / "config.json").is_file():
        return None
    said = folder.read_json("config.json").get("_class_name")
    if said not in ("PriorTransformer", "EclipsePrior"):
        raise ValueError(f"{folder.name} is not a prior: its config.json is that of a {said}.")
    places = folder.read_json("config.json").get("additional_embeddings", DIFFUSION_TOKENS)
    if said == "PriorTransformer" and places == DIFFUSION_TOKENS:  # ECLIPSE's have none for the time
        raise ValueError(
            f"{folder.name} is the network of a diffusion prior alone: name the folder in which it lies beside its "
            "text encoder, or a prior that ECLIPSE published."
        )
    prior: Any = folder.read_network(".", EclipsePrior)
    return prior


def check_eclipse(prior: EclipsePrior, name: str, dim: int, context: int) -> None:
    """ValueError unless it is for embeddings of this size and texts of this length."""
    found = prior.config.embedding_dim, prior.config.num_embeddings
    if found != (dim, context):
        raise ValueError(
            f"{name} is not for this decoder: it makes embeddings of the size {found[0]} of texts of {found[1]} "
            f"tokens, not of the size {dim} of {context} tokens."
        )


def nearest(candidates: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Of candidates (n, k, dim) the one (n, dim) that lies nearest to its text's embedding (n, dim).

    The paper compares by the dot product, of embeddings of one length; ours have none in common.
    """
    nearness = torch.nn.functional.cosine_similarity(candidates.float(), texts[:, None].float(), dim=-1)
    return candidates[torch.arange(len(candidates), device=nearness.device), nearness.argmax(1)]
