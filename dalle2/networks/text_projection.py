"""The projection of embeddings and text into what the decoder is conditioned on (paper, section 2.1).

diffusers deprecated its class for this: the project keeps its own, with the same parameter names and config.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


class TextProjection(ModelMixin, ConfigMixin):
    """Image embedding and text -> the context tokens and the addition to the timestep embedding."""

    @register_to_config
    def __init__(
        self,
        *,
        clip_extra_context_tokens: int = 4,
        clip_embeddings_dim: int = 768,
        time_embed_dim: int,
        cross_attention_dim: int,
    ) -> None:
        super().__init__()
        # Stands in for the image embedding where the decoder is unconditional.
        self.learned_classifier_free_guidance_embeddings = nn.Parameter(torch.zeros(clip_embeddings_dim))
        self.embedding_proj = nn.Linear(clip_embeddings_dim, time_embed_dim)
        self.clip_image_embeddings_project_to_time_embeddings = nn.Linear(clip_embeddings_dim, time_embed_dim)
        self.clip_extra_context_tokens = clip_extra_context_tokens
        self.clip_extra_context_tokens_proj = nn.Linear(
            clip_embeddings_dim, clip_extra_context_tokens * cross_attention_dim
        )
        self.encoder_hidden_states_proj = nn.Linear(clip_embeddings_dim, cross_attention_dim)
        self.text_encoder_hidden_states_norm = nn.LayerNorm(cross_attention_dim)

    def forward(
        self,
        image_embeddings: torch.Tensor,
        prompt_embeds: torch.Tensor,
        text_encoder_hidden_states: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Project what the decoder is conditioned on: image and text embeddings (n, dim), text tokens (n, length, dim).

        Returns the context (n, extra + length, cross_attention_dim) and the timestep addition (n, time_embed_dim).
        """
        addition = self.embedding_proj(prompt_embeds)
        addition = addition + self.clip_image_embeddings_project_to_time_embeddings(image_embeddings)
        extra = self.clip_extra_context_tokens_proj(image_embeddings)  # (n, cross * extra)
        # The token is the fastest index, as in Karlo: a reshape to (n, extra, cross) would draw noise.
        extra = extra.reshape(len(image_embeddings), -1, self.clip_extra_context_tokens).permute(0, 2, 1)
        text = self.text_encoder_hidden_states_norm(self.encoder_hidden_states_proj(text_encoder_hidden_states))
        return torch.cat([extra, text], dim=1), addition
