"""The losses against independent formulas."""

import math

import pytest
import torch
from diffusers import UnCLIPScheduler
from torch.distributions import Normal, kl_divergence

from dalle2.training.losses import contrastive, edges, snr_weight, true_pairs, variational


def test_a_caption_is_true_of_what_it_names() -> None:
    red, white = 0xFF0000, 0xFFFFFF
    facts = torch.tensor(
        [
            [1, 0, white, 0, -1],  # concept 1 in style 0, caption names the style
            [1, 1, white, -1, -1],  # concept 1 in style 1, caption names neither
            [1, 0, red, 0, red],  # concept 1 in style 0 on red, caption names both
            [2, 0, white, -1, -1],  # another concept
        ]
    )
    assert true_pairs(facts).tolist() == [
        [True, True, False, False],
        [False, True, False, False],
        [True, True, True, False],
        [False, False, False, True],
    ]


def test_contrast_with_one_true_caption_each_is_cross_entropy() -> None:
    pictures, texts = torch.nn.functional.normalize(torch.randn(2, 6, 5), dim=-1)
    logits = 7 * pictures @ texts.T
    labels = torch.arange(6)
    expected = (
        torch.nn.functional.cross_entropy(logits, labels) + torch.nn.functional.cross_entropy(logits.T, labels)
    ) / 2
    assert torch.isclose(contrastive(pictures, texts, torch.eye(6, dtype=torch.bool), torch.tensor(7.0)), expected)


def test_contrast_of_equal_rows_is_the_logarithm_of_the_batch() -> None:
    same = torch.nn.functional.normalize(torch.ones(8, 3), dim=-1)
    loss = contrastive(same, same, torch.eye(8, dtype=torch.bool), torch.tensor(10.0))
    assert float(loss) == pytest.approx(math.log(8), abs=1e-5)


def test_weights_are_clamped_signal_to_noise_with_mean_one() -> None:
    alphas = UnCLIPScheduler().alphas_cumprod
    weights = snr_weight(alphas, torch.arange(1000))
    assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
    assert float(weights[0] / weights[999]) == pytest.approx(5, rel=1e-5)
    middle = int((alphas - 0.75).abs().argmin())
    snr = alphas[middle] / (1 - alphas[middle])
    assert float(weights[middle] / weights[999]) == pytest.approx(float(snr), rel=1e-5)


@pytest.mark.parametrize("t", [1, 50, 500, 999])
def test_the_variational_term_is_the_divergence_of_two_gaussians(t: int) -> None:
    scheduler = UnCLIPScheduler(variance_type="learned_range", prediction_type="sample")
    generator = torch.Generator().manual_seed(t)
    clean, noise, predicted, variance = torch.randn(4, 2, 3, 4, 4, generator=generator)
    timesteps = torch.tensor([t, t])
    noisy = scheduler.add_noise(clean, noise, timesteps)
    alphas = scheduler.alphas_cumprod.double()
    beta = 1 - alphas[t] / alphas[t - 1]
    small = (1 - alphas[t - 1]) / (1 - alphas[t]) * beta
    share = (variance.double() + 1) / 2
    deviation = torch.exp(0.5 * (share * beta.log() + (1 - share) * small.log()))

    def mean(x0: torch.Tensor) -> torch.Tensor:
        first = alphas[t - 1].sqrt() * beta / (1 - alphas[t])
        second = (1 - beta).sqrt() * (1 - alphas[t - 1]) / (1 - alphas[t])
        return first * x0.double() + second * noisy.double()

    divergence = kl_divergence(Normal(mean(clean), small.sqrt()), Normal(mean(predicted), deviation))
    expected = divergence.flatten(1).mean(1) / math.log(2)
    actual = variational(scheduler, timesteps, clean, noisy, predicted, variance)
    torch.testing.assert_close(actual.double(), expected, rtol=2e-3, atol=1e-5)


def test_the_variational_term_trains_the_variance_only() -> None:
    scheduler = UnCLIPScheduler(variance_type="learned_range", prediction_type="sample")
    clean, noisy = torch.rand(2, 2, 3, 4, 4) * 2 - 1
    predicted = torch.zeros(2, 3, 4, 4, requires_grad=True)
    variance = torch.zeros(2, 3, 4, 4, requires_grad=True)
    variational(scheduler, torch.tensor([0, 400]), clean, noisy, predicted, variance).sum().backward()
    assert predicted.grad is None
    assert variance.grad.abs().sum() > 0


def test_edges_see_blur_that_means_do_not() -> None:
    clean = torch.zeros(1, 3, 8, 8)
    clean[..., 4:] = 1
    shifted_mean, blurred = clean + 0.1, clean.clone()
    blurred[..., 3:5] = 0.5
    assert float(edges(shifted_mean, clean)) == pytest.approx(0.1, abs=1e-6)
    assert float(edges(blurred, clean)) > float((blurred - clean).abs().mean())
