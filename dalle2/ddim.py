"""DDIM (arXiv 2010.02502) at any eta, and its way back from a picture to the noise that it came from.

Nothing here knows a network: `denoise(x, t)` gives the clean prediction.
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from diffusers.utils.torch_utils import randn_tensor

# (n, channels, ...) at timestep t -> the clean prediction, which may have the learned variance behind it.
Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class DDIM:
    """Steps between any two timesteps, for clean predictions.

    diffusers' own class assumes a spacing of T // steps, and is wrong wherever that is not a whole number.
    `eta` is 0 for the deterministic way and 1 for as much fresh noise as ancestral sampling adds. `last` is the signal
    level (alpha_bar) at which the way ends: 1 for the clean picture, or a little less where a checkpoint's config has
    `set_alpha_to_one` false, whose pictures keep the quietest noise.
    """

    def __init__(
        self, alphas_cumprod: torch.Tensor, timesteps: torch.Tensor, eta: float, last: torch.Tensor | None = None
    ) -> None:
        self.alphas_cumprod, self.timesteps, self.eta = alphas_cumprod, timesteps, eta
        self.last = torch.ones(()) if last is None else last
        self.config: dict[str, object] = {}

    def step(
        self,
        clean: torch.Tensor,
        t: torch.Tensor,
        x: torch.Tensor,
        prev_timestep: torch.Tensor | None,
        generator: list[torch.Generator],
    ) -> SimpleNamespace:
        """Step from `t` to `prev_timestep`, or to the end where that is None; see formula (12)."""
        if prev_timestep is None and self.last == 1:
            return SimpleNamespace(prev_sample=clean)
        # 1. The signal levels that the step leads from and to.
        alpha_bar = self.alphas_cumprod[t]
        alpha_bar_prev = self.last if prev_timestep is None else self.alphas_cumprod[prev_timestep]
        # 2. The noise in x, if the clean prediction is right.
        noise = (x - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()
        # 3. The variance of the noise that is drawn afresh: formula (16), sigma squared.
        variance = self.eta**2 * (1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev)
        # 4. The clean prediction, and of its noise as much as the fresh one leaves room for ("direction to x_t").
        x = alpha_bar_prev.sqrt() * clean + (1 - alpha_bar_prev - variance).clamp(min=0).sqrt() * noise
        # 5. The fresh noise, from the generators of the pictures.
        if self.eta:
            x = x + variance.sqrt() * randn_tensor(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return SimpleNamespace(prev_sample=x)


def invert(
    denoise: Denoise,
    scheduler: DDIM,
    pictures: torch.Tensor,
    on_step: Callable[[int, int, torch.Tensor], None],
    refinements: int = 1,
) -> torch.Tensor:
    """Return the noise from which DDIM at eta 0 draws `pictures` (n, channels, ...) (paper, section 3.1).

    A step back needs the prediction at its far end, which is not known yet: it is guessed from the last
    prediction (`refinements` 0, the plain inversion), and then improved by as many fixed-point iterations. Each
    costs one evaluation a step. `on_step` hears of each step with the clean prediction.
    """
    x, channels = pictures, pictures.shape[1]
    alpha_bar = scheduler.last.to(x.device)
    timesteps = scheduler.timesteps.flip(0)  # from the quietest to the noisiest

    def predict(x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clean prediction and the noise that it leaves."""
        level = scheduler.alphas_cumprod[t]
        clean = denoise(x, t)[:, :channels]
        return clean, (x - level.sqrt() * clean) / (1 - level).sqrt()

    clean, noise = predict(x, timesteps[0])
    for index, t in enumerate(timesteps):
        alpha_bar_next = scheduler.alphas_cumprod[t]
        # 1. Step with the noise predicted at the near end of the step.
        noisier = _move(x, noise, alpha_bar, alpha_bar_next)
        # 2. Step again with the noise predicted at its far end, until both agree.
        for _ in range(refinements):
            clean, noise = predict(noisier, t)
            noisier = _move(x, noise, alpha_bar, alpha_bar_next)
        x, alpha_bar = noisier, alpha_bar_next
        # 3. Without refinements, the next step begins with a prediction of its own.
        if not refinements and index + 1 < len(timesteps):
            clean, noise = predict(x, timesteps[index + 1])
        on_step(index + 1, len(timesteps), clean)
    return x


def _move(x: torch.Tensor, noise: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Take `x` from the signal level (alpha_bar) `start` to `end`, given the noise in it."""
    return end.sqrt() * (x - (1 - start).sqrt() * noise) / start.sqrt() + (1 - end).sqrt() * noise
