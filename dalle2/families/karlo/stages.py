"""Karlo's stages after the prior, all of them on pixels: what each one denoises, and under which conditions."""

import torch

from dalle2 import images, sampling
from dalle2.families.diffusion import DiffusionStage
from dalle2.families.karlo.layout import Parts
from dalle2.finiteness import check_finite
from dalle2.networks import decoder, upsampler
from dalle2.networks.text_encoder import EncodedText
from dalle2.pixels import KnownPixels


def decoder_stage(parts: Parts, embeddings: torch.Tensor, text: EncodedText) -> DiffusionStage:
    """Return the stage that draws small pictures (n, 3, size, size).

    Under guidance the text is (2n, ...), and its unconditional half sees no embedding.
    """
    project = parts.text_proj
    if len(text.embeddings) > len(embeddings):
        nothing = project.learned_classifier_free_guidance_embeddings.to(embeddings.device).expand_as(embeddings)
        embeddings = torch.cat([nothing, embeddings])
    conditions = decoder.conditions(project, embeddings, text)
    for values in conditions.values():
        check_finite(values, "text projection")

    def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
        return decoder.predict(parts.decoder, x, t, **conditions)

    config, size = parts.decoder.config, parts.decoder.config.sample_size
    shape = (config.in_channels, size, size)
    schedule = parts.decoder_scheduler.config
    return DiffusionStage("decoder", network, conditions, schedule, shape, images.to_pictures)


def upsampler_stage(parts: Parts, small: torch.Tensor, size: int) -> DiffusionStage:
    """Return the stage that enlarges (n, 3, s, s) to `size`: one network for most steps, another for the last."""
    first, last = parts.super_res_first, parts.super_res_last

    def network(x: torch.Tensor, t: torch.Tensor, low_resolution: torch.Tensor) -> torch.Tensor:
        return upsampler.predict(first if t > 0 else last, x, t, low_resolution)

    conditions = {"low_resolution": upsampler.enlarge(small, size)}
    shape = (first.config.in_channels // 2, size, size)
    schedule = parts.super_res_scheduler.config
    return DiffusionStage("upsampler", network, conditions, schedule, shape, images.to_pictures, ends_at_zero=True)


def keep(denoise: sampling.Denoise, known: KnownPixels, size: int, device: torch.device) -> sampling.Denoise:
    """Predict the kept pixels at a stage's size.

    A small pixel is kept only where nothing of what it stands for is repainted.
    """
    repaint = torch.nn.functional.adaptive_max_pool2d(known.repaint, size).to(device)
    pixels = torch.nn.functional.interpolate(known.pixels, size=(size, size), mode="area").to(device)
    return sampling.keep(denoise, pixels, repaint)
