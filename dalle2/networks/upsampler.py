"""How the upsampler's networks are called (paper, section 2.1), in training and in drawing."""

import torch
from diffusers import UNet2DModel


def enlarge(small: torch.Tensor, size: int) -> torch.Tensor:
    """Resize small pictures (n, 3, s, s), float32, to the smooth large ones from which an upsampler starts.

    A half precision has no such resize on a CPU.
    """
    return torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic", antialias=True)


def predict(
    unet: UNet2DModel, noisy: torch.Tensor, timesteps: torch.Tensor, low_resolution: torch.Tensor
) -> torch.Tensor:
    """Predict from noisy large pictures and enlarged small ones, (n, 3, h, w) each, in the network's dtype."""
    both = torch.cat([noisy, low_resolution], dim=1)
    return unet(both.to(unet.dtype, memory_format=torch.channels_last), timesteps).sample
