"""DALLE2-pytorch's diffusion prior (paper, section 2.2): a causal transformer over the text and the noisy embedding."""

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

from dalle2.families.dalle2_pytorch.attention import Norm, ScaledNorm, SelfAttention

BUCKETS, MAX_DISTANCE = 32, 128  # of relative places
ROTARY_DIM = 32  # of a head at most


class PriorNetwork(ModelMixin, ConfigMixin):
    """Noisy image embeddings (n, dim), which are `image_embed_scale` long, at timesteps (n,) -> what it predicts.

    Its config is named as the package's, and says beside the network how it is sampled from:

    Attributes:
        cosine_sim: whether similarities are those of unit vectors, as in all priors since version 1.4.3.
        text_context: how many of a text's tokens it reads; 0 for the embedding alone.
        guidable: whether it learned to do without the text, so that guidance has something to lead away from.
        sampling_clamp_l2norm, sampling_final_clamp_l2norm, init_image_embed_l2norm: whether each prediction, the last
            one, and the noise that it starts from are brought to that length.
    """

    @register_to_config
    def __init__(  # noqa: PLR0913, the keys of a config
        self,
        *,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        dim_head: int = 64,
        ff_mult: int = 4,
        num_timesteps: int | None = None,
        num_time_embeds: int = 1,
        num_image_embeds: int = 1,
        num_text_embeds: int = 1,
        max_text_len: int = 256,
        norm_in: bool = False,
        norm_out: bool = True,
        final_proj: bool = True,
        normformer: bool = False,
        rotary_emb: bool = True,
        cosine_sim: bool = True,
        condition_on_text_encodings: bool = True,
        guidable: bool = False,
        image_embed_scale: float = 1.0,
        sampling_clamp_l2norm: bool = False,
        sampling_final_clamp_l2norm: bool = False,
        init_image_embed_l2norm: bool = False,
    ) -> None:
        super().__init__()
        self.to_text_embeds = nn.Linear(dim, dim * num_text_embeds) if num_text_embeds > 1 else nn.Identity()
        self.to_image_embeds = nn.Linear(dim, dim * num_image_embeds) if num_image_embeds > 1 else nn.Identity()
        wide = dim * num_time_embeds
        self.to_time_embeds = nn.Embedding(num_timesteps, wide) if num_timesteps else TimeMlp(dim, wide)
        self.learned_query = nn.Parameter(torch.zeros(dim))
        self.null_text_encodings = nn.Parameter(torch.zeros(1, max_text_len, dim))
        self.null_text_embeds = nn.Parameter(torch.zeros(1, num_text_embeds, dim))
        self.null_image_embed = nn.Parameter(torch.zeros(1, dim))
        self.init_norm = Norm(dim) if norm_in else nn.Identity()
        self.rel_pos_bias = nn.Embedding(BUCKETS, heads)
        self.layers = nn.ModuleList(
            Layer(dim, heads, dim_head, ff_mult, normformer=normformer, cosine=cosine_sim) for _ in range(depth)
        )
        self.norm = ScaledNorm(dim) if norm_out else nn.Identity()
        self.project_out = nn.Linear(dim, dim, bias=False) if final_proj else nn.Identity()

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        text_embeds: torch.Tensor,
        tokens: torch.Tensor,
        mask: torch.Tensor,
        keep: torch.Tensor,
    ) -> torch.Tensor:
        """Predict from text embeddings (n, dim) of length 1, tokens (n, length, dim), and which are text (n, length).

        Where `keep` (n,) is false neither the text is seen nor the noisy embedding.
        """
        keep = keep[:, None, None]
        length = self.config.max_text_len
        read = functional.pad(tokens[:, :length], (0, 0, 0, max(length - tokens.shape[1], 0)))
        mask = functional.pad(mask[:, :length], (0, max(length - mask.shape[1], 0)))
        sequence = [
            torch.where(mask[..., None] & keep, read, self.null_text_encodings),
            torch.where(keep, self._rows(self.to_text_embeds(text_embeds)), self.null_text_embeds),
            self._rows(self.to_time_embeds(t)),
            torch.where(keep, self._rows(self.to_image_embeds(x)), self.null_image_embed),
            self.learned_query.expand(len(x), 1, -1),
        ]
        return self._transform(torch.cat(sequence, dim=1))[:, -1]

    def _rows(self, flat: torch.Tensor) -> torch.Tensor:
        """(n, count * dim) -> (n, count, dim)."""
        return flat.unflatten(-1, (-1, self.config.dim))

    def _transform(self, x: torch.Tensor) -> torch.Tensor:
        x, length = self.init_norm(x), x.shape[1]
        bias = self._bias(length)
        turns = None
        if self.config.rotary_emb:
            frequencies = rotary_frequencies(self.config.dim_head).to(x.device)
            turns = torch.arange(length, device=x.device)[:, None] * frequencies
        for layer in self.layers:
            x = layer(x, bias, turns)
        return self.project_out(self.norm(x))

    def _bias(self, length: int) -> torch.Tensor:
        """(heads, length, 1 + length): by the distance back to a place (T5's buckets), and no look ahead."""
        device = self.rel_pos_bias.weight.device
        places = torch.arange(length + 1, device=device)
        back = (places[:length, None] - places).clamp(min=0)
        near = BUCKETS // 2
        far = (back.float().clamp(min=1) / near).log() / math.log(MAX_DISTANCE / near) * (BUCKETS - near)
        buckets = torch.where(back < near, back, (near + far.long()).clamp(max=BUCKETS - 1))
        ahead = torch.ones(length, length + 1, dtype=torch.bool, device=device).triu(2)
        return self.rel_pos_bias(buckets).movedim(-1, 0).masked_fill(ahead, -torch.inf)


class Layer(nn.Module):
    """One layer of the transformer: attention, and a gated feed-forward network (arXiv 2002.05202)."""

    def __init__(self, dim: int, heads: int, dim_head: int, ff_mult: int, *, normformer: bool, cosine: bool) -> None:
        super().__init__()
        inner = int(ff_mult * dim)
        self.attention = SelfAttention(dim, heads, dim_head, cosine=cosine, scale=dim_head**-0.5)
        self.norm = Norm(dim)
        self.widen = nn.Linear(dim, 2 * inner, bias=False)
        self.inner_norm = Norm(inner) if normformer else nn.Identity()
        self.narrow = nn.Linear(inner, dim, bias=False)

    def forward(self, x: torch.Tensor, bias: torch.Tensor, turns: torch.Tensor | None) -> torch.Tensor:
        """Sequences (n, length, dim) -> the same."""
        x = x + self.attention(x, bias, turns)
        values, gates = self.widen(self.norm(x)).chunk(2, dim=-1)
        return x + self.narrow(self.inner_norm(values * functional.silu(gates)))


class TimeMlp(nn.Module):
    """Timesteps (n,) -> (n, out), where there is no embedding for each."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.ModuleList([nn.Linear(dim, 2 * out), nn.Linear(2 * out, 2 * out), nn.Linear(2 * out, out)])

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Embed."""
        first, second, last = self.layers
        x = sinusoids(t, self.dim).to(next(self.parameters()).dtype)
        return last(functional.silu(second(functional.silu(first(x)))))


def sinusoids(t: torch.Tensor, dim: int) -> torch.Tensor:
    """Timesteps (n,) -> (n, dim), float32: sines, then cosines."""
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10000) / (half - 1)))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def rotary_frequencies(dim_head: int) -> torch.Tensor:
    """Return by how much each pair of a head's first numbers is turned from place to place (pairs,)."""
    dim = min(ROTARY_DIM, dim_head)
    return 10000.0 ** -(torch.arange(0, dim, 2)[: dim // 2].float() / dim)
