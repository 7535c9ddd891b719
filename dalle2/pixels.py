"""What a decoder is told of pixels that stay, and what it tells of where it looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait


@dataclass(frozen=True)
class KnownPixels:
    """Pixels that every picture of a batch shares, and where they may be painted over.

    They are at the picture's size; a family brings them to its own, or to latents.

    Attributes:
        pixels: (1, 3, size, size) in [-1, 1].
        repaint: (1, 1, size, size) in 0..1, 1 where it is painted anew.
    """

    pixels: torch.Tensor
    repaint: torch.Tensor


@dataclass(frozen=True)
class AttentionMaps:
    """Where the decoder looked when it read each word of one prompt.

    Attributes:
        words: as they stand in the prompt.
        maps: (len(words), size, size) at the decoder's size: the share of attention, averaged over steps and layers.
    """

    words: tuple[str, ...]
    maps: torch.Tensor
