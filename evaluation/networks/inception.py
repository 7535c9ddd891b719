"""The network that FID is defined by, Inception-v3 of 2015-12-05, without torchvision.

It differs from torchvision's Inception: 1008 classes, average pools that leave the padding out of the mean, and a
max pool in the last block. The published weights come by path, environment variable or download, and are known by
their SHA-256; all three published forms are read.
"""

import hashlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from evaluation.networks import WEIGHTS_VARIABLE as VARIABLE
from evaluation.networks.network import Extra, Given, Naming
from evaluation.networks.resizing import RESIZES, SIDE

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
# The same state dict under pytorch-fid's and torch-fidelity's names, and NVIDIA's TorchScript, which clean-fid uses.
PUBLISHED = {
    FILE: SHA256,
    "weights-inception-2015-12-05-6726825d.pth": SHA256,
    "inception-2015-12-05.pt": "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
}
BATCH_NORM_EPSILON = 0.001
PUBLISHED_NAMING = Naming(("fid", "FID"), ("kid", "KID"))
OTHER_NAMING = Naming.of_no_table("unpublished_", " (unpublished weights)")


def find_weights(given: str | None = None) -> Path:
    """Return the weights' file: `given`, else $INCEPTION_WEIGHTS, else what a peer left in torch's cache.

    "download" fetches pytorch-fid's file into that cache. ValueError says in one sentence what to do.
    """
    given = given or os.environ.get(VARIABLE)
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if given == "download":
        return _download(cache / FILE)
    if given:
        path = Path(given).expanduser()
        if not path.is_file():
            raise ValueError(
                f"There is no file {path}: --inception-weights or ${VARIABLE} must name Inception weights."
            )
        return path
    for name in PUBLISHED:
        if (cache / name).is_file():
            return cache / name
    raise ValueError(
        f"The published Inception weights are not on this machine: fetch {URL} and name the file with "
        f"--inception-weights or ${VARIABLE}, or give --inception-weights download, or measure with the embedded "
        "judge by --network judge, whose numbers are not FID."
    )


class Inception:
    """The feature network of FID, KID and the Inception score: pictures -> 2048 features, -> 1008 classes.

    `resize` is one of `RESIZES`. ValueError for a file that holds other weights, or damaged published ones.
    """

    name = "inception-2015-12-05"
    dim = 2048
    extras: tuple[Extra, ...] = ("inception_score",)

    def __init__(self, weights: str | Path, resize: str = "clean", device: str = "cpu") -> None:
        if resize not in RESIZES:
            raise ValueError(f"--resize must be one of {', '.join(RESIZES)}, not {resize!r}.")
        path = Path(weights)
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.published = self.sha256 in PUBLISHED.values()
        if PUBLISHED.get(path.name, self.sha256) != self.sha256:
            raise ValueError(
                f"{path} is damaged: its SHA-256 is {self.sha256}, not {PUBLISHED[path.name]}. Fetch it again."
            )
        self.resize = resize
        self.device = torch.device(device)
        self._trunk, self._classes = _open(path, self.device)

    @property
    def naming(self) -> Naming:
        """FID and KID for the published weights only."""
        return PUBLISHED_NAMING if self.published else OTHER_NAMING

    @property
    def caveats(self) -> tuple[str, ...]:
        if self.published:
            return ()
        return (
            f"The Inception weights (sha256 {self.sha256[:12]}…) are not the published ones: these distances are not "
            "FID and compare with nothing published.",
        )

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        """Return an RGB picture of any size -> (3, 299, 299) float32 levels in 0..255."""
        return RESIZES[self.resize](picture)

    @torch.inference_mode()
    def __call__(self, batch: torch.Tensor) -> np.ndarray:
        """Levels (n, 3, 299, 299) -> features (n, 2048) float32."""
        levels = batch.to(self.device).contiguous(memory_format=torch.channels_last)
        # pytorch-fid scales symmetrically; TensorFlow's graph, and those who follow it, do not.
        scaled = levels / 127.5 - 1 if self.resize == "legacy-torch" else (levels - 128) / 128
        return self._trunk(scaled).flatten(1).float().cpu().numpy()

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Features (n, 2048) -> (n, 1008) float64, without the bias, as the Inception score was published."""
        return features.astype(np.float64) @ self._classes.T


def open_network(source: str, given: Given) -> Inception:
    """Return the weights that are named, or found on this machine, with the resizing that is asked for."""
    return Inception(find_weights(given.weights), given.resize, given.device)


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
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (n, 64, 147, 147)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))  # (n, 192, 71, 71)
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))  # (n, 288, 35, 35)
        x = self.Mixed_6a(x)  # (n, 768, 17, 17)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (n, 2048, 8, 8)
        return x.mean((2, 3))


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
    """Return a 1 x 1 convolution of the average over 3 x 3 pixels, averaged last.

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


def _open(path: Path, device: torch.device) -> tuple[nn.Module, np.ndarray]:
    """Return the trunk on its device, ready to run, and the weights (1008, 2048) of the classes."""
    layout: dict[str, Any] = {"device": device, "memory_format": torch.channels_last}  # 1.6 times faster on a CPU
    try:
        if _is_torchscript(path):
            # Its own graph runs: its inner names are nobody's standard. Freezing folds its batch norms.
            script = torch.jit.load(path, map_location="cpu").eval()
            trunk, classes = torch.jit.freeze(script.layers.to(**layout)), script.output.weight
            if trunk(torch.zeros(1, 3, SIDE, SIDE, device=device)).numel() != Inception.dim:
                raise ValueError("it gives other features")
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            trunk, classes = Trunk().eval().requires_grad_(False), state["fc.weight"]
            trunk.load_state_dict(fold(state))
            trunk.to(**layout)
        if tuple(classes.shape) != (1008, Inception.dim):
            raise ValueError(f"its classes have the shape {tuple(classes.shape)}")
    except (RuntimeError, KeyError, AttributeError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or "it ends too early").splitlines()[0]
        raise ValueError(f"{path} holds no weights of the FID Inception ({reason}): fetch {URL}.") from error
    return trunk, classes.detach().cpu().double().numpy()


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _download(path: Path) -> Path:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256)
        except (OSError, RuntimeError) as error:
            raise ValueError(
                f"The Inception weights could not be fetched from {URL} ({error}): copy the file from a machine with "
                f"a network and name it with --inception-weights or ${VARIABLE}."
            ) from error
    return path
