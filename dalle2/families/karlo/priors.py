"""The priors: read prompts -> image embeddings (paper, section 2.2; the linear one after arXiv 2310.03502)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from diffusers import PriorTransformer

from dalle2 import sampling
from dalle2.ddim import DDIM, invert
from dalle2.families.diffusion import reporter
from dalle2.families.karlo.stages import prior_stage
from dalle2.finiteness import check_finite
from dalle2.networks.autoregressive_prior import AutoregressivePrior
from dalle2.networks.diffusion_prior import denormalise, normalise
from dalle2.networks.linear_prior import LinearPrior
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import OnStep, PriorSettings, Step


def diffuse(
    prior: PriorTransformer,
    scheduler_config: Mapping[str, Any],
    text: EncodedText,
    settings: PriorSettings,
    noise: list[torch.Generator],
    on_step: OnStep | None,
) -> torch.Tensor:
    """Text, under guidance (2n, ...) with the blind half first -> image embeddings (n, dim)."""
    normed = prior_stage(prior, scheduler_config, text).draw(settings, noise, prior.device, on_step)
    return check_finite(denormalise(prior, normed), "prior")


def reword(
    prior: PriorTransformer,
    scheduler_config: Mapping[str, Any],
    embeddings: torch.Tensor,
    old: EncodedText,
    new: EncodedText,
    strength: float,
    settings: PriorSettings,
) -> torch.Tensor:
    """Image embeddings (n, dim) back to noise under `old` (n, ...), and forth under `new`, which is as in `diffuse`.

    `strength` is the share of the steps that are taken: with less than half a step nothing changes.
    """
    taken = round(strength * settings.num_inference_steps)
    if not taken:
        return embeddings
    unguided = replace(settings, guidance_scale=1.0)
    denoise, scheduler = prior_stage(prior, scheduler_config, old).denoiser(unguided, taken)
    assert isinstance(scheduler, DDIM)
    noise = invert(denoise, scheduler, normalise(prior, embeddings), reporter("prior", None))
    denoise, scheduler = prior_stage(prior, scheduler_config, new).denoiser(settings, taken)
    normed = sampling.sample(denoise, scheduler, noise, [], reporter("prior", None))
    return check_finite(denormalise(prior, normed), "prior")


def draw_codes(
    prior: AutoregressivePrior,
    text: EncodedText,
    settings: PriorSettings,
    noise: list[torch.Generator],
    on_step: OnStep | None,
) -> torch.Tensor:
    """Text, under guidance (2n, ...) with the blind half first -> image embeddings (n, dim)."""
    components = prior.config.components
    uniforms = torch.stack([torch.rand(1 + components, generator=generator) for generator in noise])
    guided = sampling.guided_timesteps(torch.arange(components), settings.guidance_interval)

    def report(index: int, total: int) -> None:
        if on_step:
            on_step(Step("prior", index, total))

    codes = prior.sample(text, uniforms.to(prior.device), settings.guidance_scale, guided, report)
    return check_finite(prior.codebook.decode(codes), "prior")


def expect(prior: LinearPrior, text: EncodedText, on_step: OnStep | None) -> torch.Tensor:
    """Text (n, ...) -> image embeddings (n, dim), the same each time."""
    embeddings = check_finite(prior(text), "prior")
    if on_step:
        on_step(Step("prior", 1, 1))
    return embeddings


def nearest(candidates: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Of candidates (n, k, dim) the one (n, dim) that lies nearest to its text's embedding (n, dim).

    The paper compares by the dot product, of embeddings of one length; ours have none in common.
    """
    nearness = torch.nn.functional.cosine_similarity(candidates.float(), texts[:, None].float(), dim=-1)
    return candidates[torch.arange(len(candidates), device=nearness.device), nearness.argmax(1)]
