"""What DALLE2-pytorch's networks denoise, and under which conditions."""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import DDPMScheduler

from dalle2 import images, sampling
from dalle2.families.dalle2_pytorch.prior import PriorNetwork
from dalle2.families.dalle2_pytorch.unet import CascadeUnet
from dalle2.families.diffusion import DiffusionStage
from dalle2.finiteness import check_finite
from dalle2.networks.text_encoder import EncodedText
from dalle2.pixels import KnownPixels
from dalle2.settings import OnStep
from dalle2.stage_settings import PriorSettings

# By which a small picture was made noisy for a U-Net that enlarges it.
LOWRES_SCHEDULE = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}


def prior_stage(
    prior: PriorNetwork, schedule: Mapping[str, Any], text: EncodedText, keep: torch.Tensor
) -> DiffusionStage:
    """Return the stage that draws image embeddings which are `image_embed_scale` long.

    `keep` (n,) is false where the text is not seen; under guidance both are (2n, ...), the unconditional half first.
    """
    mask = text.mask & prior.config.condition_on_text_encodings

    def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        return prior(x.to(prior.dtype), t.expand(len(x)).to(x.device), **conditions)

    embeds = torch.nn.functional.normalize(text.embeddings.float(), dim=-1).to(prior.dtype)
    conditions = {"text_embeds": embeds, "tokens": text.tokens, "mask": mask, "keep": keep.to(mask.device)}
    return DiffusionStage("prior", network, conditions, schedule, (prior.config.dim,))


def draw_embeddings(
    prior: PriorNetwork,
    stage: DiffusionStage,
    settings: PriorSettings,
    noise: list[torch.Generator],
    device: torch.device,
    on_step: OnStep | None,
) -> torch.Tensor:
    """From the pictures' own noise to image embeddings (n, dim) of about length 1."""
    config = prior.config
    start = sampling.draw_noise(stage.shape, noise, device)
    if config.init_image_embed_l2norm:
        start = _as_long(start, config.image_embed_scale)
    predicts = stage.scheduler_config["prediction_type"] == "sample"
    clamp = predicts and config.sampling_clamp_l2norm
    drawn = stage.draw(settings, noise, device, on_step, start, _clamped(config.image_embed_scale) if clamp else None)
    if predicts and config.sampling_final_clamp_l2norm:
        drawn = _as_long(drawn, config.image_embed_scale)
    return check_finite(drawn / config.image_embed_scale, "prior")


def _as_long(rows: torch.Tensor, length: float) -> torch.Tensor:
    return torch.nn.functional.normalize(rows, dim=-1) * length


def _clamped(length: float) -> Any:
    """Return what brings each clean prediction to this length, as `DiffusionStage.draw` takes it."""
    return lambda denoise: lambda x, t: _as_long(denoise(x, t), length)


def unet_stage(
    unet: CascadeUnet,
    scheduler: DDPMScheduler,
    conditions: Mapping[str, torch.Tensor],
    side: int,
    name: str = "decoder",
) -> DiffusionStage:
    """Return the stage that draws pictures of `side` pixels; the conditions are named as the U-Net's."""
    channels = unet.config.channels

    def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        noisy = x.to(unet.dtype, memory_format=torch.channels_last)
        predicted = unet(noisy, t.expand(len(x)).to(x.device), **conditions)
        if unet.config.sigmoid_variance:  # of the share 0..1, which the schedulers have as -1..1
            share = torch.sigmoid((predicted[:, channels:] + 1) / 2)
            predicted = torch.cat([predicted[:, :channels], 2 * share - 1], dim=1)
        return predicted

    shape = (channels, side, side)
    return DiffusionStage(name, network, conditions, scheduler.config, shape, images.to_pictures)


def small_conditions(
    unet: CascadeUnet, small: torch.Tensor, side: int, noise: list[torch.Generator], device: torch.device
) -> dict[str, torch.Tensor]:
    """Small pixels (n, 3, s, s) in [-1, 1] -> what a U-Net that enlarges sees of them, at its own side."""
    seen = torch.nn.functional.interpolate(small.clamp(-1, 1), size=(side, side), mode="nearest").to(device)
    level = unet.config.lowres_noise_level
    if level is None:
        return {"small": seen.to(unet.dtype)}
    levels = torch.full((len(seen),), int(level * LOWRES_SCHEDULE["num_train_timesteps"]), device=device)
    fresh = sampling.draw_noise(tuple(seen.shape[1:]), noise, device)
    seen = DDPMScheduler(**LOWRES_SCHEDULE).add_noise(seen, fresh, levels)
    return {"small": seen.to(unet.dtype), "noise_level": levels}


def keep(denoise: sampling.Denoise, known: KnownPixels, size: int, device: torch.device) -> sampling.Denoise:
    """Predict the kept pixels at a stage's size.

    A small pixel is kept only where nothing of what it stands for is repainted.
    """
    repaint = torch.nn.functional.adaptive_max_pool2d(known.repaint, size).to(device)
    pixels = torch.nn.functional.interpolate(known.pixels, size=(size, size), mode="area").to(device)
    return sampling.keep(denoise, pixels, repaint)
