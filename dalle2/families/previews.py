"""Previews of latents: a linear map to colours, a pixel for each latent, which costs nothing and is about right."""

from collections.abc import Callable

import torch

from dalle2 import images
from dalle2.families.diffusion import Preview

SAMPLES, SAMPLE_SIDE = 8, 64  # of the pictures by which the map is found


def linear_preview(encode: Callable[[torch.Tensor], torch.Tensor]) -> Preview:
    """Return what makes small pictures of latents: the map that fits smooth colours best, as `encode` has them.

    `encode` takes pixels (n, 3, h, w) in [-1, 1] to latents (n, channels, h / factor, w / factor).
    """
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand((SAMPLES, 3, 4, 4), generator=generator) * 2 - 1
    pixels = torch.nn.functional.interpolate(colours, size=SAMPLE_SIDE, mode="bilinear")
    latents = _with_ones(encode(pixels).float().cpu())
    small = torch.nn.functional.adaptive_avg_pool2d(pixels, latents.shape[-1])
    rows, wanted = (values.movedim(1, -1).flatten(0, 2) for values in (latents, small))
    matrix = torch.linalg.lstsq(rows, wanted).solution

    def preview(latents: torch.Tensor) -> list:
        return images.to_pictures(torch.einsum("lc,nlhw->nchw", matrix, _with_ones(latents.float().cpu())))

    return preview


def _with_ones(latents: torch.Tensor) -> torch.Tensor:
    return torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1)
