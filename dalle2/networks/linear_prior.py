"""The linear prior: one matrix from the text to the picture embedding (Kandinsky, arXiv 2310.03502, section 6)."""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from dalle2.networks.text_encoder import EncodedText


class LinearPrior(ModelMixin, ConfigMixin):
    """The picture embedding to be expected of a text: always the same, for nothing in it is drawn."""

    @register_to_config
    def __init__(self, *, embedding_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * embedding_dim, embedding_dim)

    def forward(self, text: EncodedText) -> torch.Tensor:
        """Predict the image embeddings (n, dim) of n encoded captions."""
        return self.linear(features(text))


def features(text: EncodedText) -> torch.Tensor:
    """Return the inputs of the matrix, (n, 2 * dim): the text embedding, and the mean of the live tokens' states."""
    live = text.mask[..., None].to(text.tokens)
    return torch.cat([text.embeddings, (text.tokens * live).sum(1) / live.sum(1)], dim=1)
