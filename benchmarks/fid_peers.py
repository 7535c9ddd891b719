"""What `benchmarks.fid` calls of pytorch-fid, clean-fid and torch-fidelity, and the stand-in for torchvision."""

import argparse
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from evaluation.networks.inception import Inception
from evaluation.networks.resizing import SIDE

PICTURES, REFERENCE = "drawn", "reference.npz"
WEIGHTS, SCRIPT = "random.pth", "inception-2015-12-05.pt"


def by_pytorch_fid(place: Path, options: argparse.Namespace) -> float:
    """Return pytorch-fid's distance."""
    from pytorch_fid import fid_score, inception

    weights = torch.load(place / WEIGHTS, weights_only=True)
    inception.load_state_dict_from_url = lambda *_, **__: weights
    paths = [str(place / PICTURES), str(place / REFERENCE)]
    return fid_score.calculate_fid_given_paths(
        paths, options.batch_size, options.device, Inception.dim, options.workers
    )


def by_clean_fid(place: Path, options: argparse.Namespace) -> float:
    """Return clean-fid's distance: its `fid_folder` step by step, which reads statistics from its own folder only."""
    from cleanfid import fid
    from cleanfid.inception_torchscript import InceptionV3W

    network = InceptionV3W(str(place), download=False)
    features = fid.get_folder_features(
        str(place / PICTURES),
        network,
        options.workers,
        batch_size=options.batch_size,
        device=torch.device(options.device),
        mode="clean",
        verbose=False,
    )
    return fid.frechet_distance(features.mean(0), np.cov(features, rowvar=False), *read_reference(place))


def by_torch_fidelity(place: Path, options: argparse.Namespace) -> float:
    """Return torch-fidelity's distance, with a cache that holds the reference's statistics and nothing else."""
    import torch_fidelity

    result = torch_fidelity.calculate_metrics(
        input1=str(place / PICTURES),
        input2=str(place / "others"),
        input2_cache_name="reference",
        cache_root=str(place / "cache"),
        fid=True,
        cuda=options.device != "cpu",
        batch_size=options.batch_size,
        feature_extractor_weights_path=str(place / WEIGHTS),
        verbose=False,
    )
    return result[torch_fidelity.KEY_METRIC_FID]


def fill_cache_of_torch_fidelity(place: Path) -> None:
    """Put the statistics of the reference where torch-fidelity looks for them."""
    (place / "cache").mkdir(exist_ok=True)
    mean, covariance = read_reference(place)
    # Its own mean has the features' precision, and it refuses to mix.
    statistics = {"mu": mean.astype(np.float32), "sigma": covariance}
    torch.save(statistics, place / "cache" / "reference-inception-v3-compat-stat-fid-2048.pt")


def read_reference(place: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (d,) and the covariance (d, d) of the reference."""
    with np.load(place / REFERENCE) as file:
        return file["mu"], file["sigma"]


def stand_in_for_torchvision(place: Path) -> None:
    """Offer the names of torchvision that the peers touch for FID, as modules that `import` finds."""
    modules: dict[str, Any] = {
        name: types.ModuleType(name)
        for name in (
            "torchvision",
            "torchvision.transforms",
            "torchvision.transforms.functional",
            "torchvision.datasets",
            "torchvision.models",
            "torchvision.models.inception",
        )
    }
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
        sys.modules[name] = module
    modules["torchvision"].__version__ = "0.20"
    for dataset in ("CIFAR10", "CIFAR100", "STL10"):
        setattr(modules["torchvision.datasets"], dataset, type(dataset, (), {}))
    functional = modules["torchvision.transforms.functional"]
    functional.pil_to_tensor = lambda picture: torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    modules["torchvision.transforms"].ToTensor = _ToTensor
    modules["torchvision.transforms"].Compose = _Compose
    from torch_fidelity import feature_extractor_inceptionv3 as blocks

    inception = modules["torchvision.models.inception"]
    for letter in "ABCD":
        setattr(inception, f"Inception{letter}", getattr(blocks, f"Inception{letter}"))
    inception.InceptionE = blocks.InceptionE_1
    inception.BasicConv2d = blocks.BasicConv2d
    modules["torchvision.models"].inception_v3 = lambda **_: _network_of_torch_fidelity(place)


class _Compose:
    """torchvision's: one step after another."""

    def __init__(self, steps: Sequence[Callable[[object], object]]) -> None:
        self.steps = steps

    def __call__(self, value: object) -> object:
        for step in self.steps:
            value = step(value)
        return value


class _ToTensor:
    """torchvision's: (height, width, 3) -> (3, height, width), levels of 8 bits brought to 0..1."""

    def __call__(self, picture: Image.Image | np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


def _network_of_torch_fidelity(place: Path) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(place / WEIGHTS))


class _Script(nn.Module):
    """NVIDIA's form: `layers` gives the features, `output` the classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.output = network.get_submodule("fc")
        self.layers = nn.Sequential(*(part for part in network.children() if part is not self.output))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.output(self.layers(pixels).flatten(1))


def write_torchscript(place: Path) -> None:
    """Write the network as NVIDIA does, which is what clean-fid opens."""
    script = _Script(_network_of_torch_fidelity(place))
    torch.jit.trace(script, torch.zeros(2, 3, SIDE, SIDE)).save(str(place / SCRIPT))
