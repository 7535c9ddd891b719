"""How alike two pictures are, pixel by pixel: SSIM, MS-SSIM and PSNR, on all three channels of 0..255.

SSIM as published (Wang et al. 2004) and as in scikit-image: a Gaussian window of 11 pixels and deviation 1.5, and only
where the window lies inside the picture. torchmetrics instead reflects the border and averages over all of it, which
is the other rule here. No arguments make these two agree, so a number is told with its rule.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from PIL import Image

WINDOW, SIGMA = 11, 1.5
Border = Literal["inside", "reflected"]
RANGE = 255.0
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
# Wang et al. 2003, table 1.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST = WINDOW * 2 ** (len(WEIGHTS) - 1)  # pixels a side, so that the window fits into the last scale
CAP = 100.0  # dB, where two pictures are identical and the ratio is infinite


@dataclass(frozen=True)
class Likeness:
    """Of one pair; `ms_ssim` is None for pictures smaller than `LEAST` pixels a side."""

    ssim: float
    ms_ssim: float | None
    psnr: float
    identical: bool


def compare(a: Image.Image, b: Image.Image, border: Border = "inside") -> Likeness:
    """Return the likeness of two RGB pictures; ValueError unless both have one size, at least that of the window.

    `border` is SSIM's rule; MS-SSIM looks inside whatever it is.
    """
    if a.size != b.size:
        raise ValueError(f"Pictures of {a.width}×{a.height} and {b.width}×{b.height} pixels: bring both to one --size.")
    if min(a.size) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW} pixels a side, not {a.width}×{a.height}.")
    x, y = _levels(a), _levels(b)
    error = float((x - y).square().mean())
    psnr = CAP if error == 0 else min(CAP, 10 * math.log10(RANGE**2 / error))
    scales = len(WEIGHTS) if min(a.size) >= LEAST else 1
    whole, structure = [], []
    for scale in range(scales):
        if scale:
            x, y = (torch.nn.functional.avg_pool2d(levels, 2) for levels in (x, y))
        ssim, contrast = _ssim(x, y)
        whole.append(ssim)
        structure.append(contrast)
    ms_ssim = _multiscale(structure, whole[-1]) if scales > 1 else None
    ssim = whole[0] if border == "inside" else _ssim(*(_reflected(_levels(picture)) for picture in (a, b)))[0]
    return Likeness(float(ssim.mean()), ms_ssim, psnr, error == 0)


def _ssim(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 1, height, width) -> mean SSIM and mean contrast-structure of each channel (3,)."""
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x * mean_x
    variance_y = _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    contrast = (2 * covariance + C2) / (variance_x + variance_y + C2)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _reflected(levels: torch.Tensor) -> torch.Tensor:
    """(3, 1, height, width) -> the same with half a window more on each side."""
    return torch.nn.functional.pad(levels, [WINDOW // 2] * 4, mode="reflect")


def _multiscale(structure: list[torch.Tensor], last: torch.Tensor) -> float:
    """Contrast and structure of all scales but the last, SSIM of the last, each to its weight; then over channels."""
    values = torch.stack([*structure[:-1], last]).clamp(min=0)  # a negative one has no power
    return float((values ** torch.tensor(WEIGHTS, dtype=torch.float64)[:, None]).prod(0).mean())


def _blur(x: torch.Tensor) -> torch.Tensor:
    line = _window()
    rows = torch.nn.functional.conv2d(x, line.view(1, 1, 1, WINDOW))
    return torch.nn.functional.conv2d(rows, line.view(1, 1, WINDOW, 1))


@cache
def _window() -> torch.Tensor:
    """Return a Gaussian along one side; the window is its product with itself."""
    places = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _levels(picture: Image.Image) -> torch.Tensor:
    """(3, 1, height, width) float64 in 0..255."""
    return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float64)).permute(2, 0, 1)[:, None]
