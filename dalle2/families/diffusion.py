"""A stage that denoises, from its noise to its result: what the stages of all families have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from dalle2 import sampling
from dalle2.ddim import DDIM, invert
from dalle2.finiteness import check_finite
from dalle2.settings import OnStep, Step
from dalle2.stage_settings import GuidedSettings, StageSettings

Preview = Callable[[torch.Tensor], list[Image.Image]]


@dataclass(frozen=True)
class DiffusionStage:
    """What the denoising loop needs of one stage.

    Attributes:
        name: as in `Settings`.
        network: `network(x, t, **conditions)`, its prediction in any dtype.
        conditions: as `sampling.guide` wants them.
        scheduler_config: the checkpoint's own, from which the noise schedule comes.
        shape: of one row, such as (channels, height, width): pixels, latents or an embedding.
        preview: clean rows -> pictures; None where they are none.
        ends_at_zero: whether every scheduler's last step is at t = 0.
    """

    name: str
    network: sampling.Network
    conditions: Mapping[str, torch.Tensor]
    scheduler_config: Mapping[str, Any]
    shape: tuple[int, ...]
    preview: Preview | None = None
    ends_at_zero: bool = False

    def denoiser(self, settings: StageSettings, last: int | None = None) -> tuple[sampling.Denoise, sampling.Scheduler]:
        """Return the network as clean predictions, guided as the settings say, and the scheduler that they belong to.

        With `last` the scheduler has so many of its steps only, the quietest.
        """
        config = self.scheduler_config
        scheduler = sampling.build_scheduler(
            config, settings.scheduler, settings.num_inference_steps, self.ends_at_zero, settings.eta
        )
        scale, guided = 1.0, set()
        if isinstance(settings, GuidedSettings):
            scale = settings.guidance_scale
            guided = sampling.guided_timesteps(scheduler.timesteps, settings.guidance_interval)
        if last is not None:
            scheduler.timesteps = scheduler.timesteps[-last:]

        def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
            # Each time, for what is infinite would be clamped to a colour.
            return check_finite(self.network(x, t, **conditions), self.name)

        predict = sampling.guide(network, self.conditions, scale, guided)
        return sampling.clean_predictions(predict, scheduler, config), scheduler

    def draw(
        self,
        settings: StageSettings,
        noise: list[torch.Generator],
        device: torch.device,
        on_step: OnStep | None,
        start: torch.Tensor | None = None,
        keep: Callable[[sampling.Denoise], sampling.Denoise] | None = None,
        hold: Callable[[torch.Tensor], sampling.After] | None = None,
    ) -> torch.Tensor:
        """From the pictures' own noise, or from `start`, to the result (n, *shape).

        Two ways to paint only a part: `keep` changes the clean predictions, as `sampling.keep` does, and `hold` makes
        of the starting noise what changes the rows after each step.
        """
        denoise, scheduler = self.denoiser(settings)
        if keep is not None:
            denoise = keep(denoise)
        if start is None:
            start = sampling.draw_noise(self.shape, noise, device)
        report = reporter(self.name, on_step, self.preview)
        after = None if hold is None else hold(start)
        drawn = sampling.sample(denoise, scheduler, start, noise, report, settings.times, after)
        return check_finite(drawn, self.name)

    def invert(
        self, settings: StageSettings, clean: torch.Tensor, on_step: OnStep | None, refinements: int = 1
    ) -> torch.Tensor:
        """Return the noise (n, *shape) from which `draw` makes `clean`, under settings that are `invertible`."""
        denoise, scheduler = self.denoiser(settings)
        assert isinstance(scheduler, DDIM)
        return invert(denoise, scheduler, clean, reporter("inversion", on_step, self.preview), refinements)


def reporter(
    stage: str, on_step: OnStep | None, preview: Preview | None = None
) -> Callable[[int, int, torch.Tensor], None]:
    """Return what tells `on_step` of a stage's steps, with the clean pictures where there are any."""

    def report(index: int, total: int, clean: torch.Tensor) -> None:
        if on_step is not None:
            on_step(Step(stage, index, total, list if preview is None else lambda: preview(clean)))

    return report


def check_rows(embeddings: torch.Tensor, prompts: Sequence[str] | None, rows: int, dim: int) -> None:
    """ValueError unless these are so many embeddings (rows, dim) of finite numbers, and as many prompts if any."""
    if prompts is not None and len(prompts) != rows:
        raise ValueError(f"decode takes as many prompts as seeds, not {len(prompts)} and {rows}.")
    if embeddings.shape != (rows, dim):
        raise ValueError(
            f"decode takes embeddings of the shape ({rows}, {dim}), one row for each seed, "
            f"not {tuple(embeddings.shape)}."
        )
    if not torch.isfinite(embeddings).all():
        raise ValueError("decode takes embeddings of finite numbers only.")
