"""The attentions of DALLE2-pytorch's networks, and their norms without a bias."""

import torch
from torch import nn
from torch.nn import functional

COSINE_SCALE = 16  # of the similarities of unit vectors
CROSS_HEADS, CROSS_DIM_HEAD = 8, 64  # that no config names


class Norm(nn.LayerNorm):
    """A norm over the last axis, with a gain alone."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, bias=False)


class ScaledNorm(Norm):
    """The same of rows that are divided by their largest value first, which turns the sign where that is negative."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input / input.amax(dim=-1, keepdim=True))


class ChannelNorm(Norm):
    """The same over the channels of pictures (n, channels, h, w)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class SelfAttention(nn.Module):
    """Sequences (n, length, dim) -> the same, without the residual.

    All heads share one key and one value a place (arXiv 1911.02150), and there is a learned place before all others.
    With `cosine` similarities are those of unit vectors, else products times `scale`.
    """

    def __init__(self, dim: int, heads: int, dim_head: int, *, cosine: bool, scale: float) -> None:
        super().__init__()
        self.heads, self.cosine, self.scale = heads, cosine, scale
        self.norm = Norm(dim)
        self.null_kv = nn.Parameter(torch.zeros(2, dim_head))
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim_head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * dim_head, dim, bias=False), Norm(dim))

    def forward(
        self, x: torch.Tensor, bias: torch.Tensor | None = None, turns: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Attend; `bias` (heads, length, 1 + length) is added to the similarities, `turns` are those of `rotated`."""
        x = self.norm(x)
        queries = self.to_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        keys, values = self.to_kv(x).chunk(2, dim=-1)
        if turns is not None:
            queries, keys = rotated(queries, turns), rotated(keys, turns)
        keys, values = (
            torch.cat([first.expand(len(x), 1, -1), rows], dim=1)[:, None].expand(-1, self.heads, -1, -1)
            for first, rows in zip(self.null_kv, (keys, values), strict=True)
        )
        return self.to_out(_attend(queries, keys, values, self.cosine, self.scale, bias))


class CrossAttention(nn.Module):
    """Sequences (n, length, dim), by what is told (n, tokens, context_dim) -> the same, without the residual."""

    def __init__(self, dim: int, context_dim: int, *, cosine: bool) -> None:
        super().__init__()
        self.cosine, inner = cosine, CROSS_HEADS * CROSS_DIM_HEAD
        self.norm = Norm(dim)
        self.null_kv = nn.Parameter(torch.zeros(2, CROSS_DIM_HEAD))
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(context_dim, 2 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim, bias=False), Norm(dim))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attend to the context."""
        rows = [self.to_q(self.norm(x)), *self.to_kv(context).chunk(2, dim=-1)]
        queries, keys, values = (row.unflatten(-1, (CROSS_HEADS, -1)).transpose(1, 2) for row in rows)
        keys, values = (
            torch.cat([first.expand(len(x), CROSS_HEADS, 1, -1), rows], dim=2)
            for first, rows in zip(self.null_kv, (keys, values), strict=True)
        )
        return self.to_out(_attend(queries, keys, values, self.cosine, CROSS_DIM_HEAD**-0.5, None))


class LinearAttention(nn.Module):
    """Pictures (n, dim, h, w) -> the same, without the residual, at a cost that grows with the pixels (1812.01243).

    Its `values` are taken "plain", as before version 1.2.0, "divided" by the number of pixels, or divided and made of
    length 1 before, "unit", as since version 1.4.0.
    """

    def __init__(self, dim: int, heads: int, dim_head: int, *, values: str) -> None:
        super().__init__()
        self.heads, self.values, inner = heads, values, heads * dim_head
        self.norm = ChannelNorm(dim)
        self.to_qkv = nn.Conv2d(dim, 3 * inner, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(inner, dim, 1, bias=False), ChannelNorm(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend."""
        height, width = x.shape[-2:]
        rows = self.to_qkv(self.norm(x)).flatten(2).unflatten(1, (3 * self.heads, -1)).transpose(2, 3)
        queries, keys, values = rows.chunk(3, dim=1)  # (n, heads, h * w, dim_head)
        queries = queries.softmax(dim=-1) * queries.shape[-1] ** -0.5
        if self.values == "unit":
            values = functional.normalize(values, dim=-1)
        if self.values != "plain":
            values = values / (height * width)
        summary = keys.softmax(dim=-2).transpose(2, 3) @ values
        found = (queries @ summary).transpose(2, 3).flatten(1, 2).unflatten(-1, (height, width))
        return self.to_out(functional.gelu(found))


def rotated(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the first pairs of numbers of each place (..., length, dim) by angles (length, pairs) (arXiv 2104.09864)."""
    pairs, rest = x[..., : 2 * turns.shape[-1]].unflatten(-1, (-1, 2)), x[..., 2 * turns.shape[-1] :]
    cosine, sine = turns.cos().to(x.dtype), turns.sin().to(x.dtype)
    first, second = pairs.unbind(-1)
    turned = torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return torch.cat([turned.flatten(-2), rest], dim=-1)


def _attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    cosine: bool,
    scale: float,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Heads (n, heads, length, dim_head) -> what they found, side by side (n, length, heads * dim_head)."""
    if cosine:
        queries, keys, scale = functional.normalize(queries, dim=-1), functional.normalize(keys, dim=-1), COSINE_SCALE
    mask = None if bias is None else bias.to(queries.dtype)
    found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)
    return found.transpose(1, 2).flatten(2)
