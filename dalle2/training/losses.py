"""The losses of the stages: contrast for CLIP, predicted clean signals and learned variance for diffusion."""

import torch
import torch.nn.functional as F
from diffusers import UnCLIPScheduler


def contrastive(pictures: torch.Tensor, texts: torch.Tensor, true: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the softmax contrast in both directions with several true pairs a row (UniCL, arXiv 2204.03610).

    Args:
        pictures, texts: unit vectors (n, dim). true: (n, n) booleans, caption j is true of picture i; each row
            and column holds at least one. scale: inverse temperature.
    """
    with torch.autocast(pictures.device.type, enabled=False):  # half precision would round the logits
        logits = scale * pictures @ texts.T
    target = true.to(logits)
    rows = -(logits.log_softmax(1) * target).sum(1) / target.sum(1)
    columns = -(logits.log_softmax(0) * target).sum(0) / target.sum(0)
    return (rows.mean() + columns.mean()) / 2


def true_pairs(facts: torch.Tensor) -> torch.Tensor:
    """Return which caption is true of which picture, (n, n), from the (n, 5) facts of a batch.

    Caption j is true of picture i when they share the concept and picture i has the style and the background
    that caption j names, if it names any.
    """
    concept, style, ground, named_style, named_ground = facts.unbind(1)
    same = concept[:, None] == concept[None]
    style_true = (named_style[None] == -1) | (named_style[None] == style[:, None])
    ground_true = (named_ground[None] == -1) | (named_ground[None] == ground[:, None])
    return same & style_true & ground_true


def snr_weight(alphas_cumprod: torch.Tensor, timesteps: torch.Tensor, ceiling: float = 5.0) -> torch.Tensor:
    """Return the weight of the squared x0 error, clamp(SNR, 1, ceiling) scaled to mean 1 over the timesteps, (n,).

    The ceiling is Min-SNR's (arXiv 2303.09556), the floor the truncated SNR of progressive distillation
    (arXiv 2202.00512): without it the noisy steps, which decide layout and colour, are never trained.
    """
    weights = (alphas_cumprod / (1 - alphas_cumprod)).clamp(1, ceiling)
    return (weights / weights.mean())[timesteps]


def variational(
    scheduler: UnCLIPScheduler,
    timesteps: torch.Tensor,
    clean: torch.Tensor,
    noisy: torch.Tensor,
    predicted: torch.Tensor,
    variance: torch.Tensor,
) -> torch.Tensor:
    """Return the variational term of the learned variance, in bits a dimension, (n,) (Improved DDPM, arXiv 2102.09672).

    KL of the true posterior to the predicted one; at t = 0 the negative log-likelihood of 8-bit pixels. The
    mean is detached: the term trains the variance only.

    Args:
        variance: the network's v, unclamped; log variance = frac log beta + (1 - frac) log posterior variance
            with frac = (v + 1) / 2.
    """
    # 1. The schedule at t and at t - 1, where the cumulated alpha before the first step is 1 (DDPM, equation 4).
    alphas = scheduler.alphas_cumprod.to(clean)
    at = alphas[timesteps][:, None, None, None]
    previous = torch.where(timesteps > 0, alphas[(timesteps - 1).clamp(min=0)], clean.new_ones(()))
    previous = previous[:, None, None, None]
    beta = 1 - at / previous

    # 2. The variance of the true posterior q(x_{t-1} | x_t, x_0) (DDPM, equation 7).
    posterior = ((1 - previous) / (1 - at) * beta).clamp(min=1e-20)
    # At t = 0 the posterior variance is zero; as everywhere in the literature, that of t = 1 stands in.
    first = (1 - alphas[0]) / (1 - alphas[1]) * (1 - alphas[1] / alphas[0])
    posterior_log = torch.where(timesteps[:, None, None, None] > 0, posterior, first).log()

    # 3. The predicted variance: between both in the logarithm (Improved DDPM, equation 15).
    frac = (variance + 1) / 2
    model_log = frac * beta.log() + (1 - frac) * posterior_log

    # 4. The means of both, for the true and for the predicted clean picture (DDPM, equation 7).
    def mean(x0: torch.Tensor) -> torch.Tensor:
        return (previous.sqrt() * beta * x0 + (at / previous).sqrt() * (1 - previous) * noisy) / (1 - at)

    true_mean, model_mean = mean(clean), mean(predicted.detach())

    # 5. KL of two Gaussians, in nats.
    kl = 0.5 * (
        model_log
        - posterior_log
        - 1
        + (posterior_log - model_log).exp()
        + (true_mean - model_mean) ** 2 / model_log.exp()
    )

    # 6. At t = 0 the likelihood of the pixels instead; nats to bits, mean over dimensions.
    likelihood = -_log_likelihood_of_bytes(clean, model_mean, 0.5 * model_log)
    nats = torch.where(timesteps[:, None, None, None] == 0, likelihood, kl)
    return nats.flatten(1).mean(1) / torch.log(torch.tensor(2.0))


def _log_likelihood_of_bytes(x: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """Log probability of the 1/255-wide bin around x under a Gaussian; the outer bins reach to infinity."""
    inverse = (-log_std).exp()
    upper = torch.special.ndtr((x - mean + 1 / 255) * inverse)
    lower = torch.special.ndtr((x - mean - 1 / 255) * inverse)
    inside = torch.where(x > 0.999, 1 - lower, torch.where(x < -0.999, upper, upper - lower))
    return inside.clamp(min=1e-12).log()


def edges(predicted: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Return mean absolute error of pictures (n, c, h, w) and, half as heavy, of their neighbouring differences."""
    loss = F.l1_loss(predicted, clean)
    for axis in (-1, -2):
        loss = loss + 0.5 * F.l1_loss(predicted.diff(dim=axis), clean.diff(dim=axis))
    return loss
