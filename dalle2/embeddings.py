"""Pure maths on CLIP embeddings, which are rows of float tensors (..., dim): slerp, paths, mixes.

Nothing here knows a network or a picture. Embeddings are not unit vectors, and their length matters to the
decoder, so every function keeps it.
"""

import math
from collections.abc import Sequence

import torch

# Below this angle, in radians, sin(angle) loses its digits and the straight blend is exact to float32.
SMALL_ANGLE = 1e-3


def slerp(start: torch.Tensor, end: torch.Tensor, weight: float) -> torch.Tensor:
    """Spherical interpolation of rows (..., dim), `weight` 0..1 from `start` to `end` (paper, section 3.2).

    The angle comes from the dot product of the unit vectors. Where there is none to speak of, or the two are
    opposite and no way between them is shortest, the rows are blended straight.
    """
    unit = torch.nn.functional.normalize
    cosine = (unit(start.double(), dim=-1) * unit(end.double(), dim=-1)).sum(-1, keepdim=True).clamp(-1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    straight = sine < SMALL_ANGLE
    sine = torch.where(straight, 1.0, sine)
    first = torch.where(straight, 1 - weight, torch.sin((1 - weight) * angle) / sine)
    second = torch.where(straight, weight, torch.sin(weight * angle) / sine)
    return (first * start + second * end).to(start.dtype)


def path(ends: torch.Tensor, positions: Sequence[float]) -> torch.Tensor:
    """Points (len(positions), dim) on the way through the rows of `ends` (2 or more, dim).

    A position is 0 at the first end and 1 at the last; each leg from one end to the next takes as much of it.
    """
    legs = len(ends) - 1
    points = []
    for position in positions:
        if not 0 <= position <= 1:
            raise ValueError(f"A position on the way must be from 0 to 1, not {position!r}.")
        leg = min(int(position * legs), legs - 1)
        points.append(slerp(ends[leg], ends[leg + 1], position * legs - leg))
    return torch.stack(points)


def mix(parts: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """The weighted mean (dim,) of rows (n, dim), at the weighted mean of their lengths.

    A plain mean of vectors is shorter than they are, and the decoder draws a shorter embedding paler.
    ValueError unless the weights are finite, not negative and not all zero.
    """
    if len(weights) != len(parts) or not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
        raise ValueError("The weights of a mix must be numbers from 0 up, one for each part, and not all 0.")
    shares = torch.tensor(weights, dtype=parts.dtype, device=parts.device)[:, None] / sum(weights)
    length = (shares * parts.norm(dim=-1, keepdim=True)).sum(0)
    return torch.nn.functional.normalize((shares * parts).sum(0), dim=-1) * length
