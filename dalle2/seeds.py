"""A seed belongs to a picture: its noise, wherever it is drawn and with whom, comes from a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from dalle2.settings import check_seed

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

# A seed, or the generator of a picture that goes on where an earlier stage left it.
Seed: TypeAlias = "int | torch.Generator"


def generators(seeds: Sequence[Seed]) -> list[torch.Generator]:
    """Return one CPU generator a picture, so that it depends on its own seed only; ValueError without seeds."""
    import torch

    if not seeds:
        raise ValueError("Give at least one seed: each seed is one picture.")
    return [
        seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(check_seed(seed)) for seed in seeds
    ]
