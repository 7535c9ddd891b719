"""A batch of captioned pictures, and how pictures become tensors for it."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from dalle2.datasets.scenes import Scene

WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Batch:
    """Pictures with one caption each.

    Attributes:
        pictures: (n, 3, size, size) in [-1, 1].
        captions: n texts.
        facts: (n, 5) integers: concept, style, background of the picture, then the style and the background
            that its caption names (-1: names none), on the CPU. They decide which caption is true of which picture.
            A scene is a concept of its own.
    """

    pictures: torch.Tensor
    captions: list[str]
    facts: torch.Tensor


@dataclass(frozen=True)
class BatchPlan:
    """What a batch shows and says, before it is made of pixels: small enough to come from another process.

    Attributes:
        indices: rows, or what a scene stands in for. scenes: what each row shows in place of its picture.
        grounds: RGB. captions, facts: as in `Batch`.
    """

    indices: list[int]
    scenes: list[Scene | None]
    grounds: list[tuple[int, int, int]]
    captions: list[str]
    facts: list[tuple[int, ...]]


def composite(rgba: torch.Tensor, grounds: torch.Tensor) -> torch.Tensor:
    """Pictures with alpha, uint8 (n, 4, h, w), over plain grounds (n, 3) in 0..255 -> (n, 3, h, w) in [-1, 1]."""
    alpha = rgba[:, 3:].float() / 255
    ground = grounds.to(alpha)[:, :, None, None]
    return (rgba[:, :3].float() * alpha + ground * (1 - alpha)) / 127.5 - 1


def square(picture: Image.Image, size: int) -> torch.Tensor:
    """Return an RGBA picture, its middle square scaled to `size` by area averaging -> uint8 (4, size, size)."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    middle = picture.crop((left, top, left + side, top + side))
    if side != size:
        resampling = Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC
        middle = middle.resize((size, size), resampling)
    return torch.from_numpy(np.array(middle)).permute(2, 0, 1)


def pack(colour: tuple[int, int, int]) -> int:
    """Return an RGB colour as one integer."""
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]
