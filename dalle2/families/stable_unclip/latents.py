"""Pixels <-> latents of Stable Diffusion's autoencoder."""

import torch
from diffusers import AutoencoderKL

from dalle2.finiteness import check_finite


def encode(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (n, 3, h, w) in [-1, 1] -> latents (n, 4, h / 8, w / 8), scaled as the decoder knows them, float32.

    The most likely latents, not a sample, so that a picture always has the same.
    """
    latents = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode()
    return check_finite(latents.float() * vae.config.scaling_factor, "image autoencoder")


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, h, w) -> pixels (n, 3, 8 h, 8 w) in about [-1, 1], float32.

    One picture after another, and what is larger than the network was trained for in tiles, for want of memory.
    """
    vae.enable_slicing()
    vae.enable_tiling()
    pixels = vae.decode((latents / vae.config.scaling_factor).to(vae.device, vae.dtype)).sample
    return check_finite(pixels.float(), "image autoencoder")
