"""What a stage of training is: a module whose forward pass is its loss."""

from abc import abstractmethod
from pathlib import Path

import torch
from torch import nn

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness


class TrainingStage(nn.Module):
    """One stage: networks to train (those that require gradients), networks it leans on (frozen), and a loss.

    Attributes:
        name: of its snapshots and logs. per_concept: how many pictures of a concept stand in a batch together.
    """

    name: str
    per_concept: int = 1

    @abstractmethod
    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        """Return the step's losses; "loss" is what is minimised, the others are for the log."""

    @abstractmethod
    def compiled(self) -> None:
        """Compile, in place, the network that takes the time."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the trained parts in the layout of a checkpoint folder."""

    def samples(self, batch: Batch) -> torch.Tensor | None:
        """Return a grid of pictures for the log, (3, height, width) in [0, 1]; None where there is nothing to see."""
        return None

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that the optimiser moves, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


def grid(pictures: torch.Tensor, columns: int = 8) -> torch.Tensor:
    """Pictures (n, 3, h, w) in [-1, 1], n a multiple of `columns` -> one picture (3, rows * h, columns * w)."""
    n, channels, height, width = pictures.shape
    rows = pictures.clamp(-1, 1).reshape(n // columns, columns, channels, height, width)
    return rows.permute(2, 0, 3, 1, 4).reshape(channels, -1, columns * width) * 0.5 + 0.5
