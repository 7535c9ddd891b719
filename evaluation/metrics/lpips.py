"""LPIPS (Zhang et al., arXiv 1801.03924, version 0.1) without torchvision, which keeps only its networks' weights.

The backbone comes by path, as published for torchvision; the learnt weights of its channels lie in torchmetrics.
"""

from importlib.resources import files
from pathlib import Path

import torch
from PIL import Image

from dalle2 import hashes
from dalle2.images import to_tensor

# LPIPS' own scaling of [-1, 1]
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# Convolutions (in, out, kernel, stride, padding), "pool" and "tap", which is where features are compared.
ALEXNET = [
    *[(3, 64, 11, 4, 2), "tap", ("pool", 3), (64, 192, 5, 1, 2), "tap", ("pool", 3), (192, 384, 3, 1, 1), "tap"],
    *[(384, 256, 3, 1, 1), "tap", (256, 256, 3, 1, 1), "tap"],
]
VGG16 = [
    *[(3, 64, 3, 1, 1), (64, 64, 3, 1, 1), "tap", ("pool", 2)],
    *[(64, 128, 3, 1, 1), (128, 128, 3, 1, 1), "tap", ("pool", 2)],
    *[(128, 256, 3, 1, 1), (256, 256, 3, 1, 1), (256, 256, 3, 1, 1), "tap", ("pool", 2)],
    *[(256, 512, 3, 1, 1), (512, 512, 3, 1, 1), (512, 512, 3, 1, 1), "tap", ("pool", 2)],
    *[(512, 512, 3, 1, 1), (512, 512, 3, 1, 1), (512, 512, 3, 1, 1), "tap"],
]


class Lpips:
    """The distance of two pictures of one size, 0 for the same; ValueError for weights of another network."""

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self.sha256 = hashes.of_file(weights)
            first = tuple(state["features.0.weight"].shape)
        except FileNotFoundError as error:
            raise ValueError(f"There are no LPIPS weights at {weights}.") from error
        except Exception as error:  # torch.load fails in as many ways as files can be damaged
            raise ValueError(f"{weights} is not a state dict of torchvision's AlexNet or VGG16.") from error
        self.name, plan = ("alex", ALEXNET) if first == (64, 3, 11, 11) else ("vgg", VGG16)
        self._slices = _backbone(plan, state, weights).to(device)
        heads = files("torchmetrics.functional.image") / "lpips_models" / f"{self.name}.pth"
        learnt = torch.load(str(heads), map_location=device, weights_only=True)
        self._heads = [learnt[f"lin{index}.model.1.weight"] for index in range(len(self._slices))]
        self._device = device

    @torch.inference_mode()
    def __call__(self, a: Image.Image, b: Image.Image) -> float:
        """Return the distance; ValueError for pictures that are too small for the network."""
        shift, scale = (torch.tensor(values, device=self._device).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x = (to_tensor([a, b]).to(self._device) - shift) / scale
        distance = 0.0
        for layers, head in zip(self._slices, self._heads, strict=True):
            try:
                x = layers(x)
            except RuntimeError as error:  # after four or five times less of a side nothing is left of it
                raise ValueError(
                    f"LPIPS by {self.name} needs larger pictures than {a.width}×{a.height}: bring both to a larger "
                    "--size, or leave out --lpips-weights."
                ) from error
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            apart = (unit[:1] - unit[1:]).square()
            distance += float(torch.nn.functional.conv2d(apart, head).mean())
        return distance


def _backbone(plan: list, state: dict[str, torch.Tensor], weights: Path) -> torch.nn.ModuleList:
    """Return the plan as slices, each ending where features are compared, with torchvision's names counted off."""
    slices, layers, names, number = torch.nn.ModuleList(), [], [], 0
    for step in plan:
        if step == "tap":
            slices.append(torch.nn.Sequential(*layers))
            layers = []
        elif step[0] == "pool":
            layers.append(torch.nn.MaxPool2d(step[1], 2))
            number += 1
        else:
            convolution = torch.nn.Conv2d(*step)
            layers += [convolution, torch.nn.ReLU()]
            names.append((f"features.{number}", convolution))
            number += 2
    try:
        for name, convolution in names:
            convolution.load_state_dict({key: state[f"{name}.{key}"] for key in ("weight", "bias")})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{weights} is not a state dict of torchvision's AlexNet or VGG16: {error}") from error
    return slices.eval()
