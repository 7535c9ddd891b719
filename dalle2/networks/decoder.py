"""How the decoder is called (paper, section 2.1), in training and in drawing."""

import torch
from diffusers import UNet2DConditionModel

from dalle2.networks.text_encoder import EncodedText
from dalle2.networks.text_projection import TextProjection


def conditions(project: TextProjection, embeddings: torch.Tensor, text: EncodedText) -> dict[str, torch.Tensor]:
    """Return what the decoder is conditioned on by image embeddings (n, dim) and texts, as keywords of `predict`.

    The tokens that are made of the embedding stand before the text's, and are always live.
    """
    context, addition = project(embeddings, text.embeddings, text.tokens)
    extra = context.shape[1] - text.mask.shape[1]
    mask = torch.nn.functional.pad(text.mask, (extra, 0), value=True)
    return {"encoder_hidden_states": context, "class_labels": addition, "attention_mask": mask}


def predict(
    decoder: UNet2DConditionModel, noisy: torch.Tensor, timesteps: torch.Tensor, **conditions: torch.Tensor
) -> torch.Tensor:
    """Predict from noisy pictures (n, 3, h, w): (n, 6, h, w), behind it the variance, in the decoder's dtype."""
    noisy = noisy.to(decoder.dtype, memory_format=torch.channels_last)
    return decoder(noisy, timesteps, **conditions).sample
