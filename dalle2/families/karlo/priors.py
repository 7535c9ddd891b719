"""The priors that only this family has: read prompts -> image embeddings.

The autoregressive one is the paper's (section 2.2), the linear one after arXiv 2310.03502.
"""

import torch

from dalle2 import sampling
from dalle2.finiteness import check_finite
from dalle2.networks.autoregressive_prior import AutoregressivePrior
from dalle2.networks.linear_prior import LinearPrior
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import OnStep, Step
from dalle2.stage_settings import PriorSettings


def draw_codes(
    prior: AutoregressivePrior,
    text: EncodedText,
    settings: PriorSettings,
    noise: list[torch.Generator],
    on_step: OnStep | None,
) -> torch.Tensor:
    """Text, under guidance (2n, ...) with the unconditional half first -> image embeddings (n, dim)."""
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
