"""From noise to clean rows: the noise levels of a stage, and the steps along them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dalle2_runner.noise import Noise

Array = np.ndarray
Denoise = Callable[[Array, int], Array]  # noisy rows, timestep -> clean rows, and behind them the variance, if any
OnStep = Callable[[int, int], None]  # number of the step, of how many
SCHEDULERS = ("unclip", "ddim", "unipc")


class Schedule:
    """The noise levels of a stage, squared cosines, and how a step is taken."""

    def __init__(self, config: Mapping[str, Any], settings: Mapping[str, Any], to_zero: bool = False) -> None:
        self.config, self.name = config, settings["scheduler"]
        if self.name not in SCHEDULERS or settings.get("eta") or settings.get("times", 1) != 1:
            raise ValueError(f"The runner steps by {', '.join(SCHEDULERS)} alone, plainly, not by {settings}.")
        count, steps = config["num_train_timesteps"], settings["num_inference_steps"]
        level = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * math.pi / 2) ** 2
        self.betas = np.minimum(1 - level[1:] / level[:-1], 0.999).astype(np.float32)
        self.signal = np.cumprod((1 - self.betas).astype(np.float64)).astype(np.float32)  # as torch rounds
        if to_zero or self.name == "unclip":
            grid = np.linspace(0, count - 1, steps).round()[::-1] if steps > 1 else np.array([count - 1])
        else:
            grid = np.linspace(count, 0, steps + 1)[:-1].round() - 1
        self.timesteps = [int(t) for t in grid]
        first, last = settings.get("guidance_interval", (0, 1))
        places = {t: (index + 0.5) / steps for index, t in enumerate(self.timesteps)}
        self.guided = {t for t, place in places.items() if first <= place <= last}

    def sample(self, denoise: Denoise, noise: Sequence[Noise], shape: Sequence[int], on_step: OnStep) -> Array:
        """From noise to clean rows (n, *shape); `on_step` hears of each step."""
        x = np.stack([one.normal(*shape) for one in noise])
        solver = UniPC(self.signal, self.timesteps)
        for index, t in enumerate(self.timesteps):
            output = self._clean(x, t, denoise(x, t))
            clean, variance = output[:, : x.shape[1]], output[:, x.shape[1] :]
            there = self.timesteps[index + 1] if index + 1 < len(self.timesteps) else None
            if len(self.timesteps) == 1:
                x = clean
            elif self.name == "unipc":
                x = solver.step(clean, x)
            elif self.name == "ddim":
                x = clean if there is None else self._ddim(clean, x, t, there)
            else:
                x = self._ancestral(clean, variance, x, t, there, noise)
            x = x.astype(np.float32)
            on_step(index + 1, len(self.timesteps))
        return x

    def _clean(self, x: Array, t: int, output: Array) -> Array:
        predicted, variance = output[:, : x.shape[1]], output[:, x.shape[1] :]
        if self.config["prediction_type"] == "epsilon":
            predicted = (x - (1 - self.signal[t]) ** 0.5 * predicted) / self.signal[t] ** 0.5
        if self.config.get("clip_sample"):
            predicted = predicted.clip(-self.config["clip_sample_range"], self.config["clip_sample_range"])
        return np.concatenate([predicted, variance], axis=1)

    def _ddim(self, clean: Array, x: Array, t: int, there: int) -> Array:
        here, next_ = self.signal[t], self.signal[there]
        return next_**0.5 * clean + (1 - next_) ** 0.5 * (x - here**0.5 * clean) / (1 - here) ** 0.5

    def _ancestral(self, clean: Array, variance: Array, x: Array, t: int, there: int | None, noise: Any) -> Array:
        """One step of Karlo's: the posterior's mean, and noise of the variance that is fixed, or that was learned."""
        before = t - 1 if there is None else there
        here, next_ = self.signal[t], self.signal[before] if before >= 0 else np.float32(1)
        beta = self.betas[t] if before == t - 1 else 1 - here / next_
        mean = next_**0.5 * beta / (1 - here) * clean + (1 - beta) ** 0.5 * (1 - next_) / (1 - here) * x
        if t == 0:
            return mean
        least = math.log(max((1 - next_) / (1 - here) * beta, 1e-20))
        share = (variance + 1) / 2 if variance.shape[1] else 0.0
        fresh = np.stack([one.normal(*x.shape[1:]) for one in noise])
        return mean + np.exp(0.5 * (share * math.log(beta) + (1 - share) * least)) * fresh


class UniPC:
    """The solver UniPC (arXiv 2302.04867) of second order, B(h) = exp(h) - 1, for clean predictions."""

    def __init__(self, signal: Array, timesteps: Sequence[int]) -> None:
        self.sigmas = [((1 - signal[t]) / signal[t]) ** 0.5 for t in timesteps] + [np.float32(0)]
        self.index, self.order = 0, 0
        self.seen: list[Array] = []  # the last two clean predictions
        self.last: Array | None = None

    def step(self, clean: Array, x: Array) -> Array:
        if self.last is not None:
            x = self._move(self.last, self.index - 1, self.order, clean)
        self.seen = [*self.seen, clean][-2:]
        self.order = min(2, len(self.sigmas) - 1 - self.index, self.index + 1)
        self.last = x
        moved = self._move(x, self.index, self.order, None)
        self.index += 1
        return moved

    def _move(self, x: Array, start: int, order: int, after: Array | None) -> Array:
        """From the noise level `start` to the next; corrected by the prediction `after` it, where that is known."""
        (alpha, sigma, level), (_, sigma_0, level_0) = self._at(start + 1), self._at(start)
        step, now = level - level_0, self.seen[-1]
        grown = math.expm1(-step)
        moved = sigma / sigma_0 * x - alpha * grown * now
        slope, ratio = 0.0, 0.0
        if order == 2:
            ratio = (self._at(start - 1)[2] - level_0) / step
            slope = (self.seen[-2] - now) / ratio
        if after is None:
            return moved - alpha * grown * 0.5 * slope if order == 2 else moved
        if order == 1:
            return moved - alpha * grown * 0.5 * (after - now)
        first = grown / -step - 1
        sides = np.array([first / grown, (first / -step - 0.5) * 2 / grown])
        before, behind = np.linalg.solve(np.array([[1.0, 1.0], [ratio, 1.0]]), sides)
        return moved - alpha * grown * (before * slope + behind * (after - now))

    def _at(self, index: int) -> tuple[float, float, float]:
        sigma = self.sigmas[index]
        alpha = 1 / (sigma**2 + 1) ** 0.5
        return alpha, sigma * alpha, math.inf if sigma == 0 else -math.log(sigma)
