"""Pictures moved, turned, scaled and mirrored, as training augmentation."""

import math

import torch
import torch.nn.functional as F

_SCALE, _SHIFT, _TURN = 0.2, 0.12, math.radians(12)  # at most: of the size, of the side, either way


def moved(pictures: torch.Tensor, chosen: torch.Tensor, mirrored: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Pictures (n, c, h, w), the chosen ones (n,) under an affine map; what comes in from outside repeats the border.

    Args:
        mirrored: (n,) which of them are mirrored left to right.
        draws: (n, 4) in [-1, 1]: scale, turn, shift to the right and down, as shares of the largest.
    """
    scale, turn, right, down = draws.to(pictures).unbind(1)
    zoom, turn = 2 ** (-scale * math.log2(1 + _SCALE)), turn * _TURN
    sign = torch.where(mirrored.to(zoom.device, non_blocking=True), -1.0, 1.0)
    cos, sin = zoom * turn.cos(), zoom * turn.sin()
    # From places of the result to places of the source, both in [-1, 1].
    rows = (
        torch.stack([sign * cos, -sin, -2 * _SHIFT * right], 1),
        torch.stack([sign * sin, cos, -2 * _SHIFT * down], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    warped = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return torch.where(chosen.to(pictures.device, non_blocking=True)[:, None, None, None], warped, pictures)
