"""Pure maths on CLIP embeddings, which are rows of float tensors (..., dim): slerp, paths, mixes.

Nothing here knows a network or a picture. Embeddings are not unit vectors, and their length matters to the
decoder, so every function keeps it.
"""

import math
from collections.abc import Sequence

import torch

from dalle2.mixing import check_weights
from dalle2.refusal import Refusal

# Below this angle, in radians, sin(angle) loses its digits and the straight blend is exact to float32.
SMALL_ANGLE = 1e-3


def slerp(start: torch.Tensor, end: torch.Tensor, weight: float) -> torch.Tensor:
    """Interpolate rows (..., dim) spherically, `weight` 0..1 from `start` to `end` (paper, section 3.2).

    The angle comes from the dot product of the unit vectors. Where there is none to speak of, the rows are blended
    straight; where they are opposite, and every way between them is as short, one of the ways is taken.
    """
    unit = torch.nn.functional.normalize
    first_unit, second_unit = unit(start.double(), dim=-1), unit(end.double(), dim=-1)
    cosine = (first_unit * second_unit).sum(-1, keepdim=True).clamp(-1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    straight = sine < SMALL_ANGLE
    sine = torch.where(straight, 1.0, sine)
    first = torch.where(straight, 1 - weight, torch.sin((1 - weight) * angle) / sine)
    second = torch.where(straight, weight, torch.sin(weight * angle) / sine)
    point = first * start + second * end
    if (opposite := straight & (cosine < 0)).any():
        length = (1 - weight) * start.norm(dim=-1, keepdim=True) + weight * end.norm(dim=-1, keepdim=True)
        turned = math.cos(weight * math.pi) * first_unit + math.sin(weight * math.pi) * _upright(first_unit)
        point = torch.where(opposite, length * turned, point)
    return point.to(start.dtype)


def _upright(rows: torch.Tensor) -> torch.Tensor:
    """Return unit vectors at a right angle to unit rows (..., dim): from the coordinate axis that is nearest to one."""
    axis = torch.nn.functional.one_hot(rows.abs().argmin(-1), rows.shape[-1]).to(rows.dtype)
    return torch.nn.functional.normalize(axis - (axis * rows).sum(-1, keepdim=True) * rows, dim=-1)


def path(ends: torch.Tensor, positions: Sequence[float]) -> torch.Tensor:
    """Return points (len(positions), dim) on the way through the rows of `ends` (2 or more, dim).

    A position is 0 at the first end and 1 at the last, ValueError beyond; each leg takes as much of the way.
    """
    legs = len(ends) - 1
    points = []
    for position in positions:
        if not 0 <= position <= 1:
            raise Refusal(f"A position on the way must be from 0 to 1, not {position!r}.")
        leg = min(int(position * legs), legs - 1)
        points.append(slerp(ends[leg], ends[leg + 1], position * legs - leg))
    return torch.stack(points)


def mix(parts: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """Return the weighted sum (dim,) of rows (n, dim), at the weighted mean of their lengths.

    A negative weight takes a content away. A plain mean of vectors is shorter than they are, and the decoder
    draws a shorter embedding paler: so, as the paper does with text diffs, the direction of the sum is taken,
    and the length by the weights' sizes. ValueError for other weights than `check_weights` lets pass, and for parts
    that cancel one another.
    """
    check_weights(weights, len(parts))
    factors = torch.tensor(weights, dtype=parts.dtype, device=parts.device)[:, None]
    factors = factors / factors.sum()
    together = (factors * parts).sum(0)
    lengths = factors.abs() * parts.norm(dim=-1, keepdim=True)
    if together.norm() <= 1e-4 * lengths.sum():
        raise Refusal("The parts of this mix cancel one another: change a weight.")
    return torch.nn.functional.normalize(together, dim=-1) * lengths.sum() / factors.abs().sum()


def text_diff(new: torch.Tensor, old: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Return the direction (n, dim) from one text embedding to another, of a given length (n, 1) (paper, section 3.3).

    ValueError when the two texts are the same to CLIP.
    """
    difference = new - old
    if (difference.norm(dim=-1) <= 1e-4 * new.norm(dim=-1)).any():
        raise Refusal("The two texts of a text diff mean the same: change one of them.")
    return torch.nn.functional.normalize(difference, dim=-1) * length


def principal_axes(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (n, dim) -> their mean (dim,) and orthonormal axes (min(n - 1, dim), dim), widest spread first.

    ValueError for fewer than two rows.
    """
    if len(rows) < 2:
        raise Refusal("Principal axes need at least two embeddings.")
    mean = rows.double().mean(0)
    axes = torch.linalg.svd(rows.double() - mean, full_matrices=False).Vh
    return mean, axes[: min(len(rows) - 1, rows.shape[1])]


def project(row: torch.Tensor, mean: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """Return the point nearest to the row (dim,) that can be reached from `mean` (dim,) along `axes` (k, dim)."""
    return (mean + axes.T @ (axes @ (row.double() - mean))).to(row.dtype)
