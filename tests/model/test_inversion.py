"""From pictures to noise and back: DDIM against diffusers' own, inversion against a denoiser known exactly."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UnCLIPScheduler
from PIL import Image

from dalle2 import images, sampling
from dalle2.ddim import invert
from dalle2.families import EMBEDDED, load
from dalle2.model import UnclipModel
from dalle2.settings import Settings, Step
from dalle2.stage_settings import DecoderSettings

CONFIG = UnCLIPScheduler(prediction_type="sample").config
SIGNALS = UnCLIPScheduler().alphas_cumprod
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))


def gaussian(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The exact denoiser of pictures of mean 0.3 and deviation 0.5."""
    signal = SIGNALS[t]
    return 0.3 + 0.25 * signal**0.5 * (x - 0.3 * signal**0.5) / (0.25 * signal + 1 - signal)


def round_trip(steps: int, refinements: int) -> float:
    """The relative error of a picture that went to its noise and back."""
    truth = 0.3 + 0.5 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    scheduler = sampling.build_scheduler(CONFIG, "ddim", steps)
    noise = invert(gaussian, scheduler, truth, lambda *_: None, refinements)
    assert noise.std() == pytest.approx(1, abs=0.1)
    back = sampling.sample(gaussian, scheduler, noise, [torch.Generator()] * 4, lambda *_: None)
    return ((back - truth).norm() / truth.norm()).item()


def test_refinement_finds_the_way_back() -> None:
    plain, once, often = (round_trip(50, refinements) for refinements in (0, 1, 6))
    assert often < once < plain / 4
    assert often < 1e-3
    assert round_trip(100, 1) < once


def test_an_inversion_tells_its_steps_and_its_cost() -> None:
    calls, told = [], []
    scheduler = sampling.build_scheduler(CONFIG, "ddim", 7)

    def counting(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(int(t))
        return gaussian(x, t)

    def tell(index: int, total: int, clean: torch.Tensor) -> None:
        told.append((index, total, tuple(clean.shape)))

    for refinements, evaluations in ((0, 7), (1, 8), (3, 22)):
        calls.clear()
        invert(counting, scheduler, torch.zeros(1, 3, 2, 2), tell, refinements)
        assert len(calls) == evaluations and calls == sorted(calls)
    assert told[:7] == [(index, 7, (1, 3, 2, 2)) for index in range(1, 8)]


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_eta_is_diffusers_eta(eta: float) -> None:
    """On a spacing that diffusers' class knows, and with the same noise."""
    theirs = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False, timestep_spacing="trailing"
    )
    theirs.set_timesteps(20)
    ours = sampling.build_scheduler(CONFIG, "ddim", 20, eta=eta)
    x = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    drawn = [torch.Generator().manual_seed(2) for _ in range(2)]
    first = second = x
    for index, t in enumerate(ours.timesteps[:-1]):  # at the last step theirs adds noise to the finished picture
        after = ours.timesteps[index + 1]
        first = ours.step(gaussian(first, t), t, first, prev_timestep=after, generator=drawn[:1]).prev_sample
        second = theirs.step(gaussian(second, t), t, second, eta=eta, generator=drawn[1]).prev_sample
    assert torch.allclose(first, second, atol=1e-4)


def test_eta_one_is_ancestral_in_its_variance() -> None:
    """Each step at eta 1 adds the variance (1 - a_s) / (1 - a_t) * (1 - a_t / a_s) of formula (7) of DDPM."""
    ours = sampling.build_scheduler(CONFIG, "ddim", 10, eta=1.0)
    t, s = ours.timesteps[4], ours.timesteps[5]
    x = torch.zeros(1, 1, 200, 200)
    noisy = ours.step(x, t, x, prev_timestep=s, generator=[torch.Generator().manual_seed(0)]).prev_sample
    expected = (1 - SIGNALS[s]) / (1 - SIGNALS[t]) * (1 - SIGNALS[t] / SIGNALS[s])
    assert noisy.var().item() == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_variations"])
def test_eta_zero_is_the_reconstruction(fixture: str, quick: Settings, request: pytest.FixtureRequest) -> None:
    model = load(request.getfixturevalue(fixture))
    settings = quick.for_inversion(5)
    (back,) = model.reconstruct([PICTURE], seeds=[3], settings=settings)
    (still,) = model.variations(PICTURE, seeds=[3], settings=settings, eta=0)
    (free,) = model.variations(PICTURE, seeds=[3], settings=settings, eta=1)
    assert back.tobytes() == still.tobytes() != free.tobytes()
    assert images.read_record(back)["task"] == "reconstruct" and images.read_record(still)["inverted"]
    assert images.read_record(free)["settings"]["decoder"]["eta"] == 1


def test_the_noise_decides_the_drawing(model: UnclipModel, quick: Settings) -> None:
    """`decode(noise=…)` is deterministic DDIM from that noise; its own noise given from outside changes nothing."""
    settings = dataclasses.replace(quick, decoder=DecoderSettings(4, scheduler="ddim"))
    embedding = model.embed_image([PICTURE])
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(8))
    steps: list[Step] = []
    model.decode(embedding, [8], None, settings, steps.append)
    again: list[Step] = []
    model.decode(embedding, [9], None, settings, again.append, noise)
    small, same = (next(s for s in told if (s.stage, s.index) == ("decoder", 4)) for told in (steps, again))
    assert small.pictures()[0].tobytes() == same.pictures()[0].tobytes()


def test_a_seed_does_not_depend_on_its_neighbours(model: UnclipModel, quick: Settings) -> None:
    settings = quick.for_inversion(4)
    together = model.variations(PICTURE, seeds=[1, 2, 3], settings=settings, eta=0.7)
    alone = model.variations(PICTURE, seeds=[2], settings=settings, eta=0.7)
    difference = np.asarray(together[1]).astype(int) - np.asarray(alone[0])
    assert np.abs(difference).max() <= 1
    # Rounding makes a whole level of a difference that lies across its edge; before it there is next to none.
    embedding = model.embed_image([PICTURE])
    noise = model.invert([PICTURE], embedding, None, settings)
    how = (None, settings.changed({"decoder": {"eta": 0.7}}), None, noise)
    three = model.decode_pixels(embedding.expand(3, -1), [1, 2, 3], *how)
    assert (three[1:2] - model.decode_pixels(embedding, [2], *how)).abs().max() <= 1e-4


def test_only_plain_ddim_is_inverted(model: UnclipModel, quick: Settings) -> None:
    for decoder in (
        DecoderSettings(4),
        DecoderSettings(4, scheduler="ddim", guidance_scale=2.0),
        DecoderSettings(4, scheduler="ddim", eta=0.5),
    ):
        with pytest.raises(ValueError, match=r"settings\.for_inversion"):
            model.reconstruct([PICTURE], seeds=[1], settings=dataclasses.replace(quick, decoder=decoder))
    with pytest.raises(ValueError, match="as many seeds"):
        model.reconstruct([PICTURE], seeds=[1, 2])
    with pytest.raises(ValueError, match="eta must be"):
        model.variations(PICTURE, seeds=[1], settings=quick.for_inversion(2), eta=1.5)


def test_a_checkpoint_without_eyes_cannot_invert(karlo_text: Path) -> None:
    with pytest.raises(ValueError, match="cannot do reconstruct"):
        load(karlo_text).reconstruct([PICTURE], seeds=[1])


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="the embedded checkpoint is not in this tree")
def test_the_embedded_checkpoint_brings_a_picture_back(embedded: UnclipModel) -> None:
    model = embedded
    (picture,) = model.text_to_image(["a cat face"], seeds=[1])
    small = images.to_tensor([images.square(picture, model.parts.decoder.config.sample_size)])
    errors = []
    for refinements in (0, 1):
        steps: list[Step] = []
        model.reconstruct([picture], seeds=[1], on_step=steps.append, refinements=refinements)
        (back,) = [step for step in steps if (step.stage, step.index) == ("decoder", step.total)]
        errors.append((images.to_tensor(back.pictures()) - small).div(2).square().mean().item())
    assert errors[1] < errors[0]
    assert errors[1] < 1e-3  # 30 dB


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="the embedded checkpoint is not in this tree")
def test_a_trained_prior_finds_back_in_the_old_words(embedded: UnclipModel) -> None:
    model = embedded
    prompt, other = "a cat face, twemoji style", "a pizza, openmoji style"
    (picture,) = model.text_to_image([prompt], seeds=[5], settings=model.settings.for_draft())
    embedding, mean = model.embed_image([picture]), model.prior("diffusion").clip_mean
    settings = model.settings.for_text_diff()
    unguided = dataclasses.replace(settings, prior=dataclasses.replace(settings.prior, guidance_scale=1.0))
    back = model.edit_embedding(embedding, prompt, prompt, [0.3, 0.6, 0.9], unguided)
    away = model.edit_embedding(embedding, prompt, other, [0.3, 0.6, 0.9], unguided)
    nearness = torch.nn.functional.cosine_similarity
    assert (nearness(back - mean, embedding - mean) > 0.99).all()
    assert (nearness(away - mean, embedding - mean).diff() < 0).all()
    text = model.embed_text([other])
    assert nearness(away[-1:], text) > nearness(embedding, text) + 0.1
