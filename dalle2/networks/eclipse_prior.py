"""The ECLIPSE prior (arXiv 2312.04655): text to image embedding in one forward pass, from noise but without steps.

It is the diffusion prior's transformer without a time step, trained against CLIP's image embeddings and to be near to
the text. Its parameters and its config are named as the authors' (eclipse-t2i/eclipse-inference,
src/priors/prior_transformer.py), whose files it reads.
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from dalle2.networks.text_encoder import EncodedText

TOKENS = 3  # behind the text's: the text embedding, the noise, and the one where the answer stands


class EclipsePrior(ModelMixin, ConfigMixin):
    """Encoded text and noise -> image embeddings.

    Only what the authors published is known: a linear projection of the text, an own token for the answer, and no
    norms before the transformer. ValueError for a config that says otherwise, as that of a diffusion prior does.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, the keys of the authors' config.json
        self,
        *,
        num_attention_heads: int = 32,
        attention_head_dim: int = 64,
        num_layers: int = 20,
        embedding_dim: int = 768,
        num_embeddings: int = 77,
        additional_embeddings: int = TOKENS,
        dropout: float = 0.0,
        norm_in_type: str | None = None,
        embedding_proj_norm_type: str | None = None,
        encoder_hid_proj_type: str | None = "linear",
        added_emb_type: str | None = "prd",
        embedding_proj_dim: int | None = None,
        clip_embed_dim: int | None = None,
    ) -> None:
        super().__init__()
        variant = (norm_in_type, embedding_proj_norm_type, encoder_hid_proj_type, added_emb_type)
        if variant != (None, None, "linear", "prd") or additional_embeddings != TOKENS:
            raise ValueError("it is another network than the priors that ECLIPSE published.")
        width, places = num_attention_heads * attention_head_dim, num_embeddings + additional_embeddings
        self.proj_in = nn.Linear(embedding_dim, width)
        self.embedding_proj = nn.Linear(embedding_proj_dim or embedding_dim, width)
        self.encoder_hidden_states_proj = nn.Linear(embedding_dim, width)
        self.positional_embedding = nn.Parameter(torch.zeros(1, places, width))
        self.prd_embedding = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                width, num_attention_heads, attention_head_dim, dropout, activation_fn="gelu", attention_bias=True
            )
            for _ in range(num_layers)
        )
        self.norm_out = nn.LayerNorm(width)
        self.proj_to_clip_embeddings = nn.Linear(width, clip_embed_dim or embedding_dim)
        # They are in the authors' files, and the authors do not use them.
        self.clip_mean = nn.Parameter(torch.zeros(1, clip_embed_dim or embedding_dim))
        self.clip_std = nn.Parameter(torch.zeros(1, clip_embed_dim or embedding_dim))

    def forward(self, text: EncodedText, noise: torch.Tensor) -> torch.Tensor:
        """Predict image embeddings (n, dim) of n encoded captions from noise (n, dim)."""
        rows = [
            self.encoder_hidden_states_proj(text.tokens),
            self.embedding_proj(text.embeddings)[:, None],
            self.proj_in(noise.to(self.dtype))[:, None],
            self.prd_embedding.expand(len(noise), -1, -1),
        ]
        hidden = torch.cat(rows, dim=1) + self.positional_embedding
        mask = self._mask(text.mask).to(hidden.dtype).repeat_interleave(self.config.num_attention_heads, dim=0)
        for block in self.transformer_blocks:
            hidden = block(hidden, attention_mask=mask)
        return self.proj_to_clip_embeddings(self.norm_out(hidden)[:, -1])

    def _mask(self, live: torch.Tensor) -> torch.Tensor:
        """(n, places, places), large and negative where a place is not looked at: later ones, and those of padding.

        As the authors do, both are added: what is later and padding counts twice.
        """
        padding = nn.functional.pad((~live).float(), (0, TOKENS))[:, None]
        later = torch.ones(padding.shape[-1], padding.shape[-1], device=live.device).triu(1)
        return -10000.0 * (padding + later)
