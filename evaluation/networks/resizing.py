"""How a picture becomes 299 pixels a side for Inception: three ways that published numbers were taken with.

They give different FIDs, so the way is part of a result. All return levels in 0..255 as (3, 299, 299) float32.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from evaluation.networks import NETWORKS

SIDE = 299


def clean(picture: Image.Image) -> torch.Tensor:
    """Resize to (3, 299, 299) by Pillow's bicubic filter on floats, clipped, not rounded (arXiv 2104.11222)."""
    return by_band(picture, (SIDE, SIDE), Image.Resampling.BICUBIC).clip(0, 255)


def by_band(picture: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> torch.Tensor:
    """Return an RGB picture resized by Pillow's filter on floats, not rounded: (3, height, width) float32."""
    bands = [band.convert("F").resize(size, resample) for band in picture.split()]
    return torch.from_numpy(np.stack([np.asarray(band) for band in bands]))


def legacy_tf(picture: Image.Image) -> torch.Tensor:
    """Resize by TensorFlow 1's bilinear interpolation, not antialiased and half a pixel off (TTUR, torch-fidelity)."""
    pixels = np.asarray(picture, dtype=np.float32)
    return torch.from_numpy(_interpolated(_interpolated(pixels, axis=1), axis=0).transpose(2, 0, 1).copy())


def legacy_torch(picture: Image.Image) -> torch.Tensor:
    """Resize to (3, 299, 299) by torch's bilinear interpolation without antialiasing (pytorch-fid)."""
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    return torch.nn.functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]


def _interpolated(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Between the two nearest neighbours on one axis; the order of operations is TensorFlow's, to the last bit."""
    length = pixels.shape[axis]
    places = np.arange(SIDE, dtype=np.float32) * np.float32(length / SIDE)
    low = places.astype(np.int64)
    high = np.minimum(low + 1, length - 1)
    share = np.expand_dims(places - low.astype(np.float32), tuple(range(1, pixels.ndim - axis)))
    before = pixels.take(low, axis)
    return before + (pixels.take(high, axis) - before) * share


RESIZES: dict[str, Callable[[Image.Image], torch.Tensor]] = dict(
    zip(NETWORKS["inception"].resizes, (clean, legacy_tf, legacy_torch), strict=True)
)
