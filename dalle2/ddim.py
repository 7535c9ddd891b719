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
        here = self.alphas_cumprod[t]
        there = self.last if prev_timestep is None else self.alphas_cumprod[prev_timestep]
        noise = (x - here.sqrt() * clean) / (1 - here).sqrt()
        fresh = self.eta**2 * (1 - there) / (1 - here) * (1 - here / there)  # variance, formula (16)
        x = there.sqrt() * clean + (1 - there - fresh).clamp(min=0).sqrt() * noise
        if self.eta:
            x = x + fresh.sqrt() * randn_tensor(x.shape, generator=generator, device=x.device, dtype=x.dtype)
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
    here = scheduler.last.to(x.device)
    timesteps = scheduler.timesteps.flip(0)  # from the quietest to the noisiest

    def predict(x: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clean prediction and the noise that it leaves."""
        signal = scheduler.alphas_cumprod[t]
        clean = denoise(x, t)[:, :channels]
        return clean, (x - signal.sqrt() * clean) / (1 - signal).sqrt()

    clean, noise = predict(x, timesteps[0])
    for index, t in enumerate(timesteps):
        there = scheduler.alphas_cumprod[t]
        far = _move(x, noise, here, there)
        for _ in range(refinements):
            clean, noise = predict(far, t)
            far = _move(x, noise, here, there)
        x, here = far, there
        if not refinements and index + 1 < len(timesteps):
            clean, noise = predict(x, timesteps[index + 1])
        on_step(index + 1, len(timesteps), clean)
    return x


def _move(x: torch.Tensor, noise: torch.Tensor, here: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """From the signal level (alpha_bar) `here` to `there`, the noise in `x` being known."""
    return there.sqrt() * (x - (1 - here).sqrt() * noise) / here.sqrt() + (1 - there).sqrt() * noise
