"""What DALLE2-pytorch's U-Nets are built of."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from dalle2.families.dalle2_pytorch.attention import CrossAttention
from dalle2.families.dalle2_pytorch.prior import sinusoids

STANDARD_EPS = 1e-5


class TimeHiddens(nn.Module):
    """Timesteps (n,) -> (n, out)."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.dim, self.linear = dim, nn.Linear(dim, out)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """Embed."""
        return functional.gelu(self.linear(sinusoids(t, self.dim).to(self.linear.weight.dtype)))


class StandardisedConv(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (arXiv 1903.10520)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        return self._conv_forward(input, (self.weight - mean) * (variance + STANDARD_EPS).rsqrt(), self.bias)


class Block(nn.Module):
    """A convolution, a norm, and maybe what the time makes of it."""

    def __init__(self, dim: int, out: int, groups: int, standardised: bool) -> None:
        super().__init__()
        self.project = (StandardisedConv if standardised else nn.Conv2d)(dim, out, 3, padding=1)
        self.norm = nn.GroupNorm(groups, out)

    def forward(self, x: torch.Tensor, scale_shift: torch.Tensor | None = None) -> torch.Tensor:
        """Pictures (n, dim, h, w), and scales and shifts (n, 2 out, 1, 1) -> (n, out, h, w)."""
        x = self.norm(self.project(x))
        if scale_shift is not None:
            scale, shift = scale_shift.chunk(2, dim=1)
            x = x * (scale + 1) + shift
        return functional.silu(x)


class ResnetBlock(nn.Module):
    """Two blocks about a residual, told the time, and maybe more by cross-attention between them."""

    def __init__(
        self,
        dim: int,
        out: int,
        time_dim: int,
        cond_dim: int | None,
        *,
        groups: int,
        standardised: bool,
        cosine: bool,
    ) -> None:
        super().__init__()
        self.time_mlp = nn.Linear(time_dim, 2 * out)
        self.cross_attn = None if cond_dim is None else CrossAttention(out, cond_dim, cosine=cosine)
        self.block1, self.block2 = Block(dim, out, groups, standardised), Block(out, out, groups, standardised)
        self.res_conv = nn.Conv2d(dim, out, 1) if dim != out else nn.Identity()

    def forward(self, x: torch.Tensor, time: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Pictures (n, dim, h, w), times (n, time_dim), what is told (n, tokens, cond_dim) -> (n, out, h, w)."""
        hidden = self.block1(x, self.time_mlp(functional.silu(time))[..., None, None])
        if self.cross_attn is not None:
            rows = hidden.flatten(2).transpose(1, 2)
            rows = rows + self.cross_attn(rows, context)
            hidden = rows.transpose(1, 2).unflatten(-1, hidden.shape[-2:])
        return self.block2(hidden) + self.res_conv(x)


class CrossEmbed(nn.Module):
    """Convolutions of several sizes beside one another, the smallest with the most channels."""

    def __init__(self, dim: int, out: int, kernel_sizes: Sequence[int], stride: int) -> None:
        super().__init__()
        sizes = sorted(kernel_sizes)
        shares = [out // 2**place for place in range(1, len(sizes))]
        shares.append(out - sum(shares))
        self.convs = nn.ModuleList(
            nn.Conv2d(dim, share, size, stride=stride, padding=(size - stride) // 2)
            for size, share in zip(sizes, shares, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (n, dim, h, w) -> (n, out, h / stride, w / stride)."""
        return torch.cat([conv(x) for conv in self.convs], dim=1)


class PixelUnshuffleDownsample(nn.Module):
    """Half the size, every four pixels becoming one (arXiv 2208.03641)."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * dim, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (n, dim, h, w) -> (n, out, h / 2, w / 2)."""
        return self.conv(functional.pixel_unshuffle(x, 2))


class PixelShuffleUpsample(nn.Module):
    """Twice the size, every pixel becoming four (arXiv 1609.05158)."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, 4 * out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (n, dim, h, w) -> (n, out, 2 h, 2 w)."""
        return functional.pixel_shuffle(functional.silu(self.conv(x)), 2)


class NearestUpsample(nn.Module):
    """Twice the size, every pixel four times, and a convolution."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (n, dim, h, w) -> (n, out, 2 h, 2 w)."""
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))
