"""The one denoising loop over diffusers' schedulers; their timesteps, guidance as a closure, and noise.

Nothing here knows a prompt, an embedding or a network: the loop is handed `denoise(x, t)` and a scheduler.
All of it runs in float32, whatever the networks compute in.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UnCLIPScheduler, UniPCMultistepScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from dalle2.ddim import DDIM, Denoise
from dalle2.pndm import PNDM
from dalle2.refusal import Refusal

# As Denoise, with the network's conditions, stacked along the batch, as keywords; what it predicts is free.
Network = Callable[..., torch.Tensor]


# What a scheduler's config says of the noise levels.
SCHEDULE = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
    "rescale_betas_zero_snr",
)
PREDICTIONS = ("epsilon", "sample", "v_prediction")

Scheduler = SchedulerMixin | DDIM | PNDM
# Noisy rows after a step, and the share of signal in their variance (alpha_bar), None at the end -> these rows.
After = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


def build_scheduler(
    config: Mapping[str, Any], name: str, steps: int, ends_at_zero: bool = False, eta: float = 0.0
) -> Scheduler:
    """Build a scheduler for clean predictions on the checkpoint's noise schedule, its timesteps set.

    `config` is the checkpoint's own scheduler config. Where it names no spacing of timesteps, the ancestral schedulers
    use Karlo's, from the noisiest to 0, and the solvers the trailing one, which wastes no evaluation on t = 0, unless
    told to. ValueError for more steps than the checkpoint was trained with, or an unknown scheduler.
    """
    train_steps = config["num_train_timesteps"]
    if steps > train_steps:
        raise Refusal(f"This checkpoint was trained with {train_steps} steps: {steps} are too many.")
    schedule = noise_schedule(config)
    grid = _grid(config, steps, ends_at_zero or name in ("unclip", "ddpm"))
    clean = {"prediction_type": "sample"}
    learned = config.get("variance_type") == "learned_range"
    ancestral = {**clean, "variance_type": "learned_range" if learned else "fixed_small_log", "clip_sample": False}
    match name:
        case "unclip":
            scheduler = UnCLIPScheduler(num_train_timesteps=train_steps, **ancestral)
            levels = DDPMScheduler(**schedule)  # the only schedule that UnCLIPScheduler makes is Karlo's
            scheduler.betas, scheduler.alphas = levels.betas, levels.alphas
            scheduler.alphas_cumprod = levels.alphas_cumprod
        case "ddpm":
            scheduler = DDPMScheduler(**schedule, **ancestral)
        case "ddim" | "pndm":
            levels = DDPMScheduler(**schedule).alphas_cumprod
            last = levels[0] if config.get("set_alpha_to_one") is False else None
            timesteps = torch.from_numpy(grid.copy())
            return DDIM(levels, timesteps, eta, last) if name == "ddim" else PNDM(levels, timesteps, last)
        case "dpm++":
            scheduler = DPMSolverMultistepScheduler(**schedule, **clean)
        case "unipc":
            scheduler = UniPCMultistepScheduler(**schedule, **clean)
        case _:
            raise Refusal(f"There is no scheduler {name!r}.")
    _set_timesteps(scheduler, grid)
    return scheduler


def noise_schedule(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the noise levels of a checkpoint's scheduler config, as arguments of diffusers' schedulers.

    Karlo's published configs name no schedule, for its scheduler had but one.
    """
    named = {name: config[name] for name in SCHEDULE if config.get(name) is not None}
    return {"beta_schedule": "squaredcos_cap_v2"} | named


def clean_predictions(network: Denoise, scheduler: Scheduler, config: Mapping[str, Any]) -> Denoise:
    """Translate what a network predicts, one of PREDICTIONS (else ValueError), to clean ones, clamped as configured."""
    kind = config["prediction_type"]
    if kind not in PREDICTIONS:
        raise Refusal(f"The checkpoint predicts {kind!r}; only {', '.join(PREDICTIONS)} are known.")

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        predicted, variance = _split(network(x, t).float(), x.shape[1])
        signal = scheduler.alphas_cumprod[t]  # alpha_bar
        if kind == "epsilon":  # formula (15) of arXiv 2006.11239
            predicted = (x - (1 - signal) ** 0.5 * predicted) / signal**0.5
        elif kind == "v_prediction":  # appendix D of arXiv 2202.00512
            predicted = signal**0.5 * x - (1 - signal) ** 0.5 * predicted
        if config.get("thresholding"):
            predicted = _threshold(predicted, config["dynamic_thresholding_ratio"], config["sample_max_value"])
        elif config.get("clip_sample"):
            predicted = predicted.clamp(-config["clip_sample_range"], config["clip_sample_range"])
        return torch.cat([predicted, variance], dim=1)

    return denoise


def _threshold(predicted: torch.Tensor, ratio: float, most: float) -> torch.Tensor:
    """Bring each row to -1..1 by the size, in 1..most, that this share of its values has (arXiv 2205.11487, 2.3)."""
    sizes = torch.quantile(predicted.flatten(1).abs(), ratio, dim=1).clamp(1, most)
    sizes = sizes.reshape(-1, *[1] * (predicted.ndim - 1))
    return predicted.clamp(-sizes, sizes) / sizes


def guide(network: Network, conditions: Mapping[str, torch.Tensor], scale: float, guided: Collection[int]) -> Denoise:
    """Apply classifier-free guidance at the timesteps `guided`: unconditional + scale * (conditional - unconditional).

    With a scale other than 1 each condition is (2n, ...), the unconditional half first; with 1 it is (n, ...). The
    learned variance, if any, is that of the conditional half.
    """
    if scale == 1:
        return lambda x, t: network(x, t, **conditions)
    conditional_only = {name: condition.chunk(2)[1] for name, condition in conditions.items()}

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if int(t) not in guided:
            return network(x, t, **conditional_only)
        unconditional, conditional = network(torch.cat([x, x]), t, **conditions).float().chunk(2)
        unconditional, _ = _split(unconditional, x.shape[1])
        conditional, variance = _split(conditional, x.shape[1])
        return torch.cat([unconditional + scale * (conditional - unconditional), variance], dim=1)

    return predict


def keep(denoise: Denoise, pixels: torch.Tensor, repaint: torch.Tensor) -> Denoise:
    """Predict the pixels that are known, (n, channels, ...), wherever `repaint` (n, 1, ...) in 0..1 is 0.

    A known pixel then takes the known way at every noise level, with whichever scheduler.
    """

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        predicted, variance = _split(denoise(x, t), x.shape[1])
        return torch.cat([repaint * predicted + (1 - repaint) * pixels, variance], dim=1)

    return predict


def guided_timesteps(timesteps: torch.Tensor, interval: tuple[float, float]) -> set[int]:
    """Return the timesteps whose place among the steps, 0..1 from first to last, lies in the interval."""
    first, last = interval
    total = len(timesteps)
    return {int(t) for index, t in enumerate(timesteps) if first <= (index + 0.5) / total <= last}


def draw_noise(shape: tuple[int, ...], generators: Sequence[torch.Generator], device: torch.device) -> torch.Tensor:
    """Draw noise (len(generators), *shape), float32: each row from its own CPU generator."""
    return torch.cat([torch.randn((1, *shape), generator=generator) for generator in generators]).to(device)


def sample(
    denoise: Denoise,
    scheduler: Scheduler,
    noise: torch.Tensor,
    generators: Sequence[torch.Generator],
    on_step: Callable[[int, int, torch.Tensor], None],
    times: int = 1,
    after: After | None = None,
) -> torch.Tensor:
    """Denoise (n, channels, ...) along the scheduler's timesteps.

    Step noise comes from the pictures' generators. `on_step(index, total, clean)` hears of each step, from 1
    on, with the clean prediction so far; whatever it raises ends the loop. With `times` above 1 each step but
    the last is undone with fresh noise and taken again, so often in all: RePaint's resampling (arXiv
    2201.09865), by which repainted pixels come to agree with kept ones. Requires a single-step scheduler. `after` may
    change what each step leads to.
    """
    x = noise
    timesteps = scheduler.timesteps
    learned = scheduler.config.get("variance_type") == "learned_range"
    parameters = inspect.signature(scheduler.step).parameters  # not all schedulers draw noise, or step anywhere
    for index, t in enumerate(timesteps):
        next_t = timesteps[index + 1] if index + 1 < len(timesteps) else None
        options: dict[str, Any] = {"generator": list(generators)} if "generator" in parameters else {}
        if "prev_timestep" in parameters:
            options["prev_timestep"] = next_t
        for resampling in range(1 if next_t is None else times):
            if resampling:
                x = _renoise(x, scheduler.alphas_cumprod[t] / scheduler.alphas_cumprod[next_t], generators)
            output = denoise(x, t)
            clean, variance = _split(output, x.shape[1])
            if len(timesteps) == 1:
                x = clean  # the one step goes all the way, which UnCLIPScheduler cannot express
            else:
                x = scheduler.step(output if learned and variance.numel() else clean, t, x, **options).prev_sample
            if after is not None:
                x = after(x, None if next_t is None else scheduler.alphas_cumprod[next_t])
        on_step(index + 1, len(timesteps), clean)
    return x


def _renoise(x: torch.Tensor, signal: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """One step of the forward process, in which the share `signal` of the variance is left."""
    return signal.sqrt() * x + (1 - signal).sqrt() * draw_noise(x.shape[1:], generators, x.device)


def _split(output: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, channels or 2 * channels, ...) -> the prediction, and the variance, which may be empty."""
    return output[:, :channels], output[:, channels:]


def _grid(config: Mapping[str, Any], steps: int, to_zero: bool) -> np.ndarray:
    """Return `steps` timesteps, falling, spaced as the config says (arXiv 2305.08891, table 2)."""
    train_steps = config["num_train_timesteps"]
    match config.get("timestep_spacing"):
        case "leading":
            grid = np.arange(steps)[::-1] * (train_steps // steps) + config.get("steps_offset", 0)
            return grid.clip(max=train_steps - 1).astype(np.int64)
        case "linspace":
            return _karlo_grid(train_steps, steps)
        case None if to_zero:
            return _karlo_grid(train_steps, steps)
    return _trailing_grid(train_steps, steps)


def _karlo_grid(train_steps: int, steps: int) -> np.ndarray:
    """Return `steps` timesteps, evenly from the noisiest to 0: Karlo's respacing."""
    if steps == 1:
        return np.array([train_steps - 1])
    return (np.arange(steps) * ((train_steps - 1) / (steps - 1))).round()[::-1].astype(np.int64)


def _trailing_grid(train_steps: int, steps: int) -> np.ndarray:
    """Return `steps` timesteps, evenly from the noisiest to one interval above the clean picture."""
    return np.linspace(train_steps, 0, steps + 1)[:-1].round().astype(np.int64) - 1


def _set_timesteps(scheduler: SchedulerMixin, grid: np.ndarray) -> None:
    """Give the scheduler our grid: only some of diffusers' schedulers take one as an argument."""
    if isinstance(scheduler, DDPMScheduler):
        scheduler.set_timesteps(timesteps=grid.tolist())
    elif not isinstance(scheduler, UnCLIPScheduler):
        scheduler.set_timesteps(len(grid))  # resets the solver's memory; its own grid is replaced below
        signal = scheduler.alphas_cumprod[torch.from_numpy(grid)]
        scheduler.sigmas = torch.cat([((1 - signal) / signal) ** 0.5, torch.zeros(1)])
    scheduler.timesteps = torch.from_numpy(grid.copy())
