"""PNDM as Stable unCLIP is published with (arXiv 2202.09778, the linear multistep part), for clean predictions.

Nothing here knows a network: what it is handed is the clean prediction.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import torch

# Adams-Bashforth: how much of the latest prediction counts, and of those before it.
WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


class PNDM:
    """Steps that look back at the three before them; the first one is taken twice, so that there is one look more.

    What is averaged is the velocity v (arXiv 2202.00512, appendix D), which is what Stable unCLIP's decoder predicts,
    and diffusers' PNDMScheduler averages for it. It is averaged here for every network: noise, which diffusers averages
    for networks that predict it, cannot be where a schedule begins in hardly anything else (Karlo's). With few steps
    that is rough: from about 20 on it is what it should be. `last` is as in `ddim.DDIM`.
    """

    def __init__(self, alphas_cumprod: torch.Tensor, timesteps: torch.Tensor, last: torch.Tensor | None = None) -> None:
        self.alphas_cumprod = alphas_cumprod
        self.timesteps = torch.cat([timesteps[:2], timesteps[1:2], timesteps[2:]])
        self.last = torch.ones(()) if last is None else last
        self.config: dict[str, object] = {}
        self._steps = 0
        self._velocities: list[torch.Tensor] = []  # the latest first
        self._start: tuple[torch.Tensor, torch.Tensor] | None = None

    def step(
        self, clean: torch.Tensor, t: torch.Tensor, x: torch.Tensor, prev_timestep: torch.Tensor | None
    ) -> SimpleNamespace:
        """Step rows (n, ...) from `t` to `prev_timestep`, or to the end where that is None; in the timesteps' order."""
        self._steps += 1
        alpha_bar = self.alphas_cumprod[t]
        velocity = (alpha_bar.sqrt() * x - clean) / (1 - alpha_bar).sqrt()
        if self._start is not None and self._steps == 2:  # the first step again, now that both its ends are known
            origin, before = self._start
            self._start = None
            mean = (self._velocities[0] + velocity) / 2
            return SimpleNamespace(prev_sample=_move(origin, mean, before, alpha_bar))
        if self._steps == 1:
            self._start = x, alpha_bar
        self._velocities = [velocity, *self._velocities[:3]]
        alpha_bar_prev = self.last if prev_timestep is None else self.alphas_cumprod[prev_timestep]
        return SimpleNamespace(prev_sample=_move(x, _weighted(self._velocities), alpha_bar, alpha_bar_prev))


def _weighted(velocities: Sequence[torch.Tensor]) -> torch.Tensor:
    weights = WEIGHTS[len(velocities) - 1]
    return sum((weight * velocity for weight, velocity in zip(weights, velocities, strict=True)), torch.zeros(()))


def _move(x: torch.Tensor, velocity: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Take `x` from the signal level (alpha_bar) `start` to `end`, given the velocity in it."""
    clean = start.sqrt() * x - (1 - start).sqrt() * velocity
    noise = start.sqrt() * velocity + (1 - start).sqrt() * x
    return end.sqrt() * clean + (1 - end).sqrt() * noise
