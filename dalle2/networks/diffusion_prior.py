"""How the diffusion prior is called (paper, section 2.2), in training and in drawing.

It works on image embeddings that are normalised by the statistics of its training pictures, which it keeps.
"""

import torch
from diffusers import PriorTransformer

from dalle2.networks.text_encoder import EncodedText


def conditions(text: EncodedText) -> dict[str, torch.Tensor]:
    """Return what the prior is conditioned on, as keywords of `predict`: (n, dim), (n, length, dim), (n, length)."""
    return {"proj_embedding": text.embeddings, "encoder_hidden_states": text.tokens, "attention_mask": text.mask}


def predict(
    prior: PriorTransformer, noisy: torch.Tensor, timesteps: torch.Tensor, **conditions: torch.Tensor
) -> torch.Tensor:
    """Predict clean normalised embeddings (n, dim) from noisy ones, in the prior's dtype."""
    return prior(noisy.to(prior.dtype), timesteps, **conditions).predicted_image_embedding


def normalise(prior: PriorTransformer, embeddings: torch.Tensor) -> torch.Tensor:
    """Bring CLIP's image embeddings (n, dim) to mean 0 and standard deviation 1 in each dimension, float32."""
    mean, deviation = (values.to(embeddings.device).float() for values in (prior.clip_mean, prior.clip_std))
    return (embeddings - mean) / deviation


def denormalise(prior: PriorTransformer, normed: torch.Tensor) -> torch.Tensor:
    """Undo `normalise`, (n, dim)."""
    mean, deviation = (values.to(normed.device).float() for values in (prior.clip_mean, prior.clip_std))
    return normed * deviation + mean
