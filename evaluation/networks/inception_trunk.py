"""The convolutions of Inception-v3 of 2015-12-05, from pixels to 2048 features.

It differs from torchvision's Inception: average pools leave the padding out of the mean, and the last block has a max
pool.
"""

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

BATCH_NORM_EPSILON = 0.001
SPATIAL_CHANNELS = 7  # that sFID takes (Nash et al., arXiv 2103.03841)


class Trunk(nn.Module):
    """Scaled pixels (n, 3, 299, 299) -> (n, 2048); parameters are named as in the published state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = BlockA(192, pooled=32)
        self.Mixed_5c = BlockA(256, pooled=64)
        self.Mixed_5d = BlockA(288, pooled=64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, inner=128)
        self.Mixed_6c = BlockC(768, inner=160)
        self.Mixed_6d = BlockC(768, inner=160)
        self.Mixed_6e = BlockC(768, inner=192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280)
        self.Mixed_7c = BlockE(2048, max_pool=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.Mixed_6e(self.Mixed_6d(self._to_6c(x)))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (n, 2048, 8, 8)
        return x.mean((2, 3))

    def spatial(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled pixels -> (n, 17 · 17 · 7), where things are: the first channels of TensorFlow's `mixed_6/conv`."""
        x = self.Mixed_6d.branch1x1(self._to_6c(x))[:, :SPATIAL_CHANNELS]
        return x.permute(0, 2, 3, 1).flatten(1)  # as TensorFlow has it: channels last

    def _to_6c(self, x: torch.Tensor) -> torch.Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (n, 64, 147, 147)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # (n, 192, 71, 71)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # (n, 288, 35, 35)
        return self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # (n, 768, 17, 17)


class Convolution(nn.Module):
    """A convolution with its batch norm folded in, and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv(x), inplace=True)


class BlockA(nn.Module):
    """35 x 35 pixels, at two scales."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(inputs, 64, 1)
        self.branch5x5_1 = Convolution(inputs, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, averaged(self.branch_pool, x)], 1)


class BlockB(nn.Module):
    """35 x 35 -> 17 x 17 pixels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class BlockC(nn.Module):
    """17 x 17 pixels, 7 x 7 kernels taken apart."""

    def __init__(self, inputs: int, inner: int) -> None:
        super().__init__()
        row = partial(Convolution, kernel=(1, 7), padding=(0, 3))
        column = partial(Convolution, kernel=(7, 1), padding=(3, 0))
        self.branch1x1 = Convolution(inputs, 192, 1)
        self.branch7x7_1 = Convolution(inputs, inner, 1)
        self.branch7x7_2 = row(inner, inner)
        self.branch7x7_3 = column(inner, 192)
        self.branch7x7dbl_1 = Convolution(inputs, inner, 1)
        self.branch7x7dbl_2 = column(inner, inner)
        self.branch7x7dbl_3 = row(inner, inner)
        self.branch7x7dbl_4 = column(inner, inner)
        self.branch7x7dbl_5 = row(inner, 192)
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, averaged(self.branch_pool, x)], 1)


class BlockD(nn.Module):
    """17 x 17 -> 8 x 8 pixels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(inputs, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], 1)


class BlockE(nn.Module):
    """8 x 8 pixels, branches that fork again; the last of the network takes a maximum where the others average."""

    def __init__(self, inputs: int, max_pool: bool = False) -> None:
        super().__init__()
        row = partial(Convolution, kernel=(1, 3), padding=(0, 1))
        column = partial(Convolution, kernel=(3, 1), padding=(1, 0))
        self.max_pool = max_pool
        self.branch1x1 = Convolution(inputs, 320, 1)
        self.branch3x3_1 = Convolution(inputs, 384, 1)
        self.branch3x3_2a = row(384, 384)
        self.branch3x3_2b = column(384, 384)
        self.branch3x3dbl_1 = Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = row(384, 384)
        self.branch3x3dbl_3b = column(384, 384)
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        forks = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        forks += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        if self.max_pool:
            pooled = self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1))
        else:
            pooled = averaged(self.branch_pool, x)
        return torch.cat([self.branch1x1(x), *forks, pooled], 1)


def averaged(convolution: Convolution, x: torch.Tensor) -> torch.Tensor:
    """Return a 1 x 1 convolution of the average over 3 x 3 pixels, (n, c, h, w), averaged last.

    Both are linear and a mean keeps the bias, so the order is free; the convolution leaves fewer channels to average.
    """
    return F.relu(F.avg_pool2d(convolution.conv(x), 3, stride=1, padding=1, count_include_pad=False), inplace=True)


def fold(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn the published state dict into that of `Trunk`: each batch norm becomes part of the convolution before it."""
    folded = {}
    for name, weight in state.items():
        layer, found, _ = name.partition("conv.weight")
        if not found:
            continue
        gain, bias, mean, variance = (
            state[f"{layer}bn.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / (variance + BATCH_NORM_EPSILON).sqrt()
        folded[name] = (weight.double() * scale[:, None, None, None]).float()
        folded[f"{layer}conv.bias"] = (bias - mean * scale).float()
    return folded
