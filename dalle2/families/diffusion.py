"""One stage of Karlo's layout, from its noise to its result: what prior, decoder and upsampler have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from dalle2 import images, sampling
from dalle2.finiteness import check_finite
from dalle2.settings import GuidedSettings, OnStep, StageSettings, Step
from dalle2.verbs import Kept


@dataclass(frozen=True)
class Stage:
    """What the loop needs of one stage, whoever draws; `conditions` are as `sampling.guide` wants them."""

    name: str
    network: sampling.Network
    conditions: Mapping[str, torch.Tensor]
    scheduler_config: Mapping[str, Any]
    shape: tuple[int, ...]  # of one row
    ends_at_zero: bool = False

    def denoiser(self, settings: StageSettings, last: int | None = None) -> tuple[sampling.Denoise, sampling.Scheduler]:
        """The network as clean predictions, guided as the settings say, and the scheduler that they belong to.

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
        kept: Kept | None = None,
    ) -> torch.Tensor:
        """From the pictures' own noise, or from `start`, to the result (n, *shape)."""
        denoise, scheduler = self.denoiser(settings)
        if kept is not None:
            side = self.shape[-1]
            # A small pixel is kept only where nothing of what it stands for is repainted.
            repaint = torch.nn.functional.adaptive_max_pool2d(kept.repaint, side).to(device)
            pixels = torch.nn.functional.interpolate(kept.pixels, size=(side, side), mode="area").to(device)
            denoise = sampling.keep(denoise, pixels, repaint)
        if start is None:
            start = sampling.draw_noise(self.shape, noise, device)
        drawn = sampling.sample(denoise, scheduler, start, noise, reporter(self.name, on_step), settings.times)
        return check_finite(drawn, self.name)


def reporter(stage: str, on_step: OnStep | None) -> Callable[[int, int, torch.Tensor], None]:
    """What tells `on_step` of a stage's steps, with the clean pictures where there are any."""

    def report(index: int, total: int, clean: torch.Tensor) -> None:
        if on_step is not None:
            on_step(Step(stage, index, total, list if stage == "prior" else lambda: images.to_pictures(clean)))

    return report
