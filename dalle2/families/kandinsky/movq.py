"""Pixels <-> MoVQ latents (arXiv 2209.09002), on diffusers' network; nothing is quantised, as Kandinsky draws."""

import warnings

import torch
from diffusers import VQModel

from dalle2.finiteness import check_finite

# Latents a side of a tile, and by how many two tiles overlap: 512 and 128 pixels.
TILE, OVERLAP = 64, 16


def encode(movq: VQModel, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (n, 3, h, w) in [-1, 1] -> latents (n, 4, h / 8, w / 8), float32 on the network's device."""
    latents = movq.encode(pixels.to(movq.device, movq.dtype)).latents
    return check_finite(latents, "MoVQ encoder").float()


def decode(movq: VQModel, latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, 4, h, w) -> pixels (n, 3, 8 h, 8 w) in about [-1, 1], float32, one picture after another.

    Where the memory of a GPU does not suffice, a picture is decoded in tiles, which a warning says: the network looks
    at the whole picture, and tiles come out a little different.
    """
    latents = latents.to(movq.device, movq.dtype)
    try:
        pixels = [_decode(movq, row) for row in latents.split(1)]
    except torch.OutOfMemoryError:
        warnings.warn("The memory does not suffice for a whole picture: it is decoded in tiles.", stacklevel=2)
        pixels = [decode_in_tiles(movq, row) for row in latents.split(1)]
    return check_finite(torch.cat(pixels), "MoVQ decoder")


def decode_in_tiles(movq: VQModel, latents: torch.Tensor, tile: int = TILE, overlap: int = OVERLAP) -> torch.Tensor:
    """Decode latents (n, 4, h, w) as `decode`, but from square tiles, which fade into one another."""
    height, width = latents.shape[-2:]
    factor = 2 ** (len(movq.config.block_out_channels) - 1)
    total = torch.zeros(len(latents), 3, height * factor, width * factor, device=latents.device)
    weight = torch.zeros(1, 1, height * factor, width * factor, device=latents.device)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            pixels = _decode(movq, latents[:, :, top : top + tile, left : left + tile])
            rows, columns = (_fade(side, overlap * factor, latents.device) for side in pixels.shape[-2:])
            fade = rows[:, None] * columns
            place = (..., slice(top * factor, None), slice(left * factor, None))
            total[place][..., : len(rows), : len(columns)] += pixels * fade
            weight[place][..., : len(rows), : len(columns)] += fade
    return total / weight


def _decode(movq: VQModel, latents: torch.Tensor) -> torch.Tensor:
    return movq.decode(latents, force_not_quantize=True).sample.float()


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where the tiles begin, the last of them so that it ends with the picture."""
    return sorted({*range(0, max(length - tile, 0), tile - overlap), max(length - tile, 0)})


def _fade(length: int, overlap: int, device: torch.device) -> torch.Tensor:
    """Return weights (length,) that rise from either end, as far as tiles overlap."""
    place = torch.arange(length, device=device, dtype=torch.float32)
    return torch.minimum(place + 1, length - place).clamp(max=overlap) / overlap
