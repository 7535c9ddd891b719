"""AdamW, or Muon for kernels and matrices with AdamW for the rest."""

from typing import Any

import torch
from torch import nn

from dalle2.training.recipe import Fit
from dalle2.training.stage import TrainingStage

# Where rows are looked up or pixels enter and leave, orthogonal updates make no sense.
_NEVER_MUON = ("embedding", "wte", "wpe", "conv_in", "conv_out", "thumbnail")


class Optimizers:
    """All optimisers of a stage behind one step, one state and one learning rate.

    Muon (torch.optim.Muon) takes matrices only, so it is given each kernel as a matrix that shares the
    kernel's memory, one row an output channel. Its updates are scaled to AdamW's size, so both take the
    same learning rate.
    """

    def __init__(self, stage: TrainingStage, plan: Fit) -> None:
        trained = stage.trained()
        self._kernels: list[tuple[nn.Parameter, nn.Parameter]] = []
        if plan.optimizer == "muon":
            for name, parameter in trained.items():
                if parameter.ndim >= 2 and not any(part in name for part in _NEVER_MUON):
                    self._kernels.append((parameter, nn.Parameter(_matrix(parameter.detach(), parameter))))
        by_muon = {id(parameter) for parameter, _ in self._kernels}
        rest = [parameter for parameter in trained.values() if id(parameter) not in by_muon]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": plan.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)
        ]
        if self._kernels:
            matrices = [matrix for _, matrix in self._kernels]
            self._all.append(
                torch.optim.Muon(
                    matrices,
                    lr=plan.learning_rate,
                    weight_decay=plan.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, rate: float) -> None:
        """Move the weights by their gradients with this learning rate, then drop the gradients."""
        for parameter, matrix in self._kernels:
            assert parameter.grad is not None, "a step follows a backward pass"
            matrix.grad = _matrix(parameter.grad, parameter)
            parameter.grad = None
        for optimizer in self._all:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self._all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)


def _matrix(values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Values in the shape of a kernel as a matrix (outputs, rest), columns in the order of the kernel's memory."""
    if kernel.ndim == 4 and kernel.is_contiguous(memory_format=torch.channels_last) and not kernel.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.flatten(1)
