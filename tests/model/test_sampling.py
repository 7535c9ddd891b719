"""The loop against perfect denoisers, whose answers are known, and against diffusers' own schedulers."""

import numpy as np
import pytest
import stable_twin
import torch
from diffusers import DDIMScheduler, DDPMScheduler, PNDMScheduler, UnCLIPScheduler

from dalle2 import sampling
from dalle2.stage_settings import SCHEDULERS, StageSettings

CONFIG = UnCLIPScheduler(prediction_type="sample").config
NOISY = UnCLIPScheduler(prediction_type="epsilon").config
LEARNED = UnCLIPScheduler(prediction_type="sample", variance_type="learned_range").config
CPU = torch.device("cpu")


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def run(denoise: sampling.Denoise, scheduler: object, seeds: tuple[int, ...] = (1, 2), size: int = 4) -> torch.Tensor:
    noise = generators(*seeds)
    start = sampling.draw_noise((3, size, size), noise, CPU)
    return sampling.sample(denoise, scheduler, start, noise, lambda *_: None)


def grid(scheduler: sampling.Scheduler) -> list[int]:
    """Its timesteps, each of them once: pndm looks twice at its second one."""
    return list(dict.fromkeys(scheduler.timesteps.tolist()))


def tolerance(name: str, steps: int) -> float:
    """How close a perfect denoiser's answer is: formula (7) of DDPM rounds 1 - alpha_bar at t = 0, in diffusers too.

    What pndm averages turns with the noise level, by so much a step on a cosine schedule.
    """
    return 2 * (np.pi / 2 / steps) ** 2 if name == "pndm" and steps > 1 else 1e-3


def curve(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A denoiser that is not perfect, so that grids and solvers matter."""
    return torch.tanh(x * (1 - t / 1200) + 0.2)


@pytest.mark.parametrize("ends_at_zero", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 25])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_perfect_denoiser_is_recovered(name: str, steps: int, ends_at_zero: bool) -> None:
    truth = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    scheduler = sampling.build_scheduler(CONFIG, name, steps, ends_at_zero)
    assert len(grid(scheduler)) == steps
    assert torch.allclose(run(lambda x, t: truth, scheduler), truth, atol=tolerance(name, steps))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_perfect_denoiser_of_noise_is_recovered(name: str) -> None:
    truth = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8
    scheduler = sampling.build_scheduler(NOISY, name, 12)

    def noise_in(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal = scheduler.alphas_cumprod[t]
        return (x - signal**0.5 * truth) / (1 - signal) ** 0.5

    drawn = run(sampling.clean_predictions(noise_in, scheduler, NOISY), scheduler)
    assert torch.allclose(drawn, truth, atol=2 * tolerance(name, 12))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_number_of_steps_has_its_grid(name: str) -> None:
    for steps in [*range(1, 60), 250, 400, 600, 999, 1000]:
        for ends_at_zero in (False, True):
            timesteps = np.array(grid(sampling.build_scheduler(CONFIG, name, steps, ends_at_zero)))
            assert len(timesteps) == steps and timesteps[0] == 999 and timesteps[-1] >= 0
            assert (np.diff(timesteps) < 0).all()
            if steps > 1 and (ends_at_zero or name in ("unclip", "ddpm")):
                assert timesteps[-1] == 0


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_thousand_steps(name: str) -> None:
    assert run(curve, sampling.build_scheduler(CONFIG, name, 1000), size=2).isfinite().all()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_noise_schedule_is_the_checkpoints(name: str) -> None:
    published = {key: value for key, value in CONFIG.items() if key != "beta_schedule"}
    scheduler = sampling.build_scheduler(published, name, 5)
    assert torch.equal(scheduler.alphas_cumprod, UnCLIPScheduler().alphas_cumprod)


# As Kandinsky's decoder and Stable unCLIP have them.
LINEAR = DDPMScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012, prediction_type="epsilon").config
VELOCITY = DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction", clip_sample=False).config


@pytest.mark.parametrize("config", [LINEAR, VELOCITY])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_other_noise_schedules_come_from_the_config(name: str, config: dict[str, object]) -> None:
    kind = DDPMScheduler if config is LINEAR else DDIMScheduler
    scheduler = sampling.build_scheduler(config, name, 12)
    assert torch.equal(scheduler.alphas_cumprod, kind.from_config(config).alphas_cumprod)
    assert grid(scheduler) == list(range(11 * 83, -1, -83))  # "leading", as both configs say
    truth = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 1.6 - 0.8

    def predicted(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal = scheduler.alphas_cumprod[t]
        noise = (x - signal**0.5 * truth) / (1 - signal) ** 0.5
        return noise if config is LINEAR else signal**0.5 * noise - (1 - signal) ** 0.5 * truth

    drawn = run(sampling.clean_predictions(predicted, scheduler, config), scheduler)
    assert torch.allclose(drawn, truth, atol=2 * tolerance(name, 12))


def test_ddim_on_linear_betas_is_diffusers_ddim() -> None:
    theirs = DDIMScheduler.from_config(LINEAR, prediction_type="sample", clip_sample=False)
    theirs.set_timesteps(20)
    ours = sampling.build_scheduler(LINEAR, "ddim", 20)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert torch.allclose(run(curve, ours), run(curve, theirs), atol=1e-4)


@pytest.mark.parametrize(("spacing", "ends"), [("trailing", [999, 749, 499, 249]), ("linspace", [999, 666, 333, 0])])
def test_the_spacing_of_timesteps_comes_from_the_config(spacing: str, ends: list[int]) -> None:
    for name in SCHEDULERS:
        config = DDPMScheduler(timestep_spacing=spacing).config
        assert grid(sampling.build_scheduler(config, name, 4)) == ends


def test_unclip_is_diffusers_grid() -> None:
    for steps in range(2, 101):
        theirs = UnCLIPScheduler()
        theirs.set_timesteps(steps)
        assert torch.equal(sampling.build_scheduler(CONFIG, "unclip", steps).timesteps, theirs.timesteps)


@pytest.mark.parametrize("config", [CONFIG, LEARNED])
def test_ddpm_is_unclip(config: dict[str, object]) -> None:
    """Two implementations of the same ancestral step: diffusers says one replaces the other."""

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.cat([curve(x, t), torch.cos(3 * x)], dim=1)

    drawn = [run(denoise, sampling.build_scheduler(config, name, 20)) for name in ("unclip", "ddpm")]
    # They round 1 - alpha_bar at t = 0 differently, a factor of 1 +- 7e-4 in the last step.
    assert torch.allclose(*drawn, atol=1e-3)
    plain = run(curve, sampling.build_scheduler(CONFIG, "unclip", 20))
    assert torch.allclose(drawn[0], plain, atol=1e-3) == (config is CONFIG)


def test_ddim_is_diffusers_ddim_where_that_is_exact() -> None:
    theirs = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    theirs.set_timesteps(20)
    ours = sampling.build_scheduler(CONFIG, "ddim", 20)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    assert torch.allclose(run(curve, ours), run(curve, theirs), atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 20, 50])
def test_pndm_is_diffusers_pndm(steps: int) -> None:
    """On the published config of Stable unCLIP, whose network predicts velocities."""
    theirs = PNDMScheduler.from_config(stable_twin.SCHEDULER)
    theirs.set_timesteps(steps)
    ours = sampling.build_scheduler(theirs.config, "pndm", steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    start = sampling.draw_noise((3, 4, 4), generators(1, 2), CPU)
    drawn = sampling.sample(sampling.clean_predictions(curve, ours, theirs.config), ours, start, [], lambda *_: None)
    x = start
    for t in theirs.timesteps:
        x = theirs.step(curve(x, t), t, x).prev_sample
    if steps == 1:  # the one step goes all the way
        x = sampling.clean_predictions(curve, ours, theirs.config)(start, theirs.timesteps[0])
    assert torch.allclose(drawn, x, atol=1e-5) and drawn.std() > 0.1


def test_higher_orders_come_closer() -> None:
    """Against the denoiser of a Gaussian (mean 0.3, deviation 0.5), whose answer is exact."""
    signals = UnCLIPScheduler().alphas_cumprod

    def posterior_mean(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal = signals[t]
        return 0.3 + 0.25 * signal**0.5 * (x - 0.3 * signal**0.5) / (0.25 * signal + 1 - signal)

    truth = run(posterior_mean, sampling.build_scheduler(CONFIG, "ddim", 1000))
    errors = {
        name: (run(posterior_mean, sampling.build_scheduler(CONFIG, name, 25)) - truth).abs().mean().item()
        for name in ("ddim", "dpm++", "unipc")
    }
    assert errors["unipc"] < errors["dpm++"] < 0.002 and 0.01 < errors["ddim"] < 0.05


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_picture_depends_on_its_own_seed_only(name: str) -> None:
    together = run(curve, sampling.build_scheduler(CONFIG, name, 6), (3, 7, 9))
    alone = run(curve, sampling.build_scheduler(CONFIG, name, 6), (7,))
    assert torch.equal(together[1:2], alone) and not torch.equal(together[0], together[1])


def test_guidance() -> None:
    """1 is the plain network, 0 the unconditional one, and between and beyond it is linear."""
    x, t = torch.randn(2, 3, 4, 4), torch.tensor(5)
    unconditional, conditional = torch.randn(2, 1, 1, 1), torch.randn(2, 1, 1, 1)
    calls = []

    def network(x: torch.Tensor, t: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return torch.cat([x + shift, x * shift], dim=1)

    def guided(scale: float, timesteps: set[int]) -> torch.Tensor:
        shifts = conditional if scale == 1 else torch.cat([unconditional, conditional])
        return sampling.guide(network, {"shift": shifts}, scale, timesteps)(x, t)

    assert torch.equal(guided(1, {5}), network(x, t, conditional))
    assert torch.equal(guided(0, {5})[:, :3], network(x, t, unconditional)[:, :3])
    assert torch.allclose(guided(3, {5})[:, :3], x + unconditional + 3 * (conditional - unconditional), atol=1e-5)
    assert torch.equal(guided(3, {5})[:, 3:], x * conditional)  # the variance is the conditional one's
    calls.clear()  # outside of the interval there is no unconditional half
    assert torch.equal(guided(3, {6}), network(x, t, conditional)) and calls[0] == 2
    calls.clear()
    assert guided(1, {5}) is not None and calls == [2]


def test_the_guidance_interval_is_a_share_of_the_steps() -> None:
    timesteps = torch.tensor([900, 700, 500, 300])
    assert sampling.guided_timesteps(timesteps, (0.0, 1.0)) == {900, 700, 500, 300}
    assert sampling.guided_timesteps(timesteps, (0.25, 0.75)) == {700, 500}
    assert sampling.guided_timesteps(timesteps, (0.0, 0.0)) == set()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steps_are_told_and_can_stop(name: str) -> None:
    told = []

    def tell(index: int, total: int, clean: torch.Tensor) -> None:
        told.append((index, total, clean.shape))
        if index == 3:
            raise InterruptedError

    noise = generators(1)
    start = sampling.draw_noise((3, 4, 4), noise, CPU)
    with pytest.raises(InterruptedError):
        sampling.sample(curve, sampling.build_scheduler(CONFIG, name, 5), start, noise, tell)
    total = StageSettings(5, scheduler=name).loop_steps
    assert told == [(index, total, (1, 3, 4, 4)) for index in (1, 2, 3)] and total == 5 + (name == "pndm")


def test_predictions_are_clamped_as_configured() -> None:
    scheduler = sampling.build_scheduler(CONFIG, "ddim", 3)
    x, t = torch.zeros(1, 3, 2, 2), torch.tensor(999)
    wide = UnCLIPScheduler(prediction_type="sample", clip_sample_range=5.0).config
    free = UnCLIPScheduler(prediction_type="sample", clip_sample=False).config
    for config, largest in ((CONFIG, 1.0), (wide, 5.0), (free, 9.0)):
        assert sampling.clean_predictions(lambda x, t: x + 9, scheduler, config)(x, t).max() == largest


def test_unknown_predictions_and_too_many_steps_are_refused() -> None:
    scheduler = sampling.build_scheduler(CONFIG, "ddim", 3)
    with pytest.raises(ValueError, match="flow_prediction"):
        sampling.clean_predictions(curve, scheduler, {**CONFIG, "prediction_type": "flow_prediction"})
    with pytest.raises(ValueError, match="100 steps"):
        sampling.build_scheduler({**CONFIG, "num_train_timesteps": 100}, "ddim", 101)
