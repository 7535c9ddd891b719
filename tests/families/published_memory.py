"""python tests/families/published_memory.py: the memory that a picture takes on top of the weights, of each family.

The true-size networks run once on the meta device, which knows shapes and computes nothing, and the largest sum of what
is alive at a time is told, in megabytes: in half precision, of one picture in the checkpoint's own size, guided where
its authors guide. Attention counts as on a GPU, which keeps no matrix of it. What a GPU's libraries need for themselves
is not in it.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, PriorTransformer, UNet2DConditionModel, UNet2DModel, VQModel
from test_stable_unclip import UNET, VAE
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from benchmarks.published_sizes import DECODER, MOVQ, PRIOR21, PRIOR22, UNET21, UNET22, UPSAMPLER


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that are made in it and still alive; `peak` is the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tree_map_only(torch.Tensor, self._leave_out, (args, kwargs))
        made = function(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._note, made)
        return made

    def _leave_out(self, tensor: torch.Tensor) -> None:
        """What was there before, such as the weights, does not count, nor do views of it."""
        self.alive.setdefault(tensor.untyped_storage()._cdata, 0)

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.alive:
            self.alive[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self.alive.pop, storage._cdata, None)
            self.peak = max(self.peak, sum(self.alive.values()))


class FusedAttention(TorchFunctionMode):
    """Attention without its matrix of (queries, keys), as GPUs compute it."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.nn.functional.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty((*query.shape[:-1], value.shape[-1]))
        return function(*args, **(kwargs or {}))


def half(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.float16)


def diffusion_prior(config: dict[str, Any]) -> Callable[[], object]:
    network, dim = PriorTransformer(**config).half(), config["embedding_dim"]
    mask = torch.ones(2, 77, dtype=torch.bool)
    return lambda: network(half(2, dim), 1, half(2, dim), half(2, 77, dim), mask)


def karlo_decoder() -> Callable[[], object]:
    network = UNet2DConditionModel(**DECODER).half()
    conditions = {"encoder_hidden_states": half(2, 81, 1536), "class_labels": half(2, 1280)}
    return lambda: network(half(2, 3, 64, 64), 1, **conditions)


def kandinsky_decoder(config: dict[str, Any], side: int, channels: int = 4) -> Callable[[], object]:
    network = UNet2DConditionModel(**{**config, "in_channels": channels}).half()
    added, tokens = {"image_embeds": half(2, 1280)}, None
    if config is UNET21:
        added, tokens = {"image_embeds": half(2, 768), "text_embeds": half(2, 768)}, half(2, 77, 1024)
    return lambda: network(half(2, channels, side, side), 1, tokens, added_cond_kwargs=added)


def stable_decoder(dim: int) -> Callable[[], object]:
    network = UNet2DConditionModel(**UNET, projection_class_embeddings_input_dim=2 * dim).half()
    return lambda: network(half(2, 4, 96, 96), 1, half(2, 77, 1024), class_labels=half(2, 2 * dim))


def upsampler() -> Callable[[], object]:
    network = UNet2DModel(**UPSAMPLER).half()
    return lambda: network(half(1, 6, 256, 256), 1)


def movq(side: int) -> Callable[[], object]:
    network = VQModel(**MOVQ).half()
    return lambda: network.decode(half(1, 4, side, side), force_not_quantize=True)


def autoencoder(tiles: bool) -> Callable[[], object]:
    network = AutoencoderKL(**VAE).half()
    if tiles:
        network.enable_tiling()
    return lambda: network.decode(half(1, 4, 96, 96))


STAGES: dict[str, dict[str, Callable[[], Callable[[], object]]]] = {
    "Karlo, 256 pixels": {
        "prior": lambda: diffusion_prior({"embedding_dim": 768}),
        "decoder": karlo_decoder,
        "upsampler": upsampler,
    },
    "Stable unCLIP small, 768 pixels": {
        "prior": lambda: diffusion_prior({"embedding_dim": 768}),
        "decoder": lambda: stable_decoder(768),
        "autoencoder": lambda: autoencoder(tiles=False),
    },
    "Stable unCLIP, 768 pixels": {
        "decoder": lambda: stable_decoder(1024),
        "autoencoder": lambda: autoencoder(tiles=False),
    },
    "Kandinsky 2.2, 512 pixels": {
        "prior": lambda: diffusion_prior(PRIOR22),
        "decoder": lambda: kandinsky_decoder(UNET22, 64),
        "MoVQ": lambda: movq(64),
    },
    "Kandinsky 2.2, 1024 pixels": {"decoder": lambda: kandinsky_decoder(UNET22, 128), "MoVQ": lambda: movq(128)},
    "Kandinsky 2.2, 1024 pixels, in tiles": {"MoVQ": lambda: movq(64)},
    "Kandinsky 2.1, 512 pixels": {
        "prior": lambda: diffusion_prior(PRIOR21),
        "decoder": lambda: kandinsky_decoder(UNET21, 64),
        "MoVQ": lambda: movq(64),
    },
}


def peak(build: Callable[[], Callable[[], object]]) -> int:
    """Bytes that one pass takes, its weights left out."""
    with torch.device("meta"), torch.no_grad():
        run = build()
        with FusedAttention(), PeakMemory() as memory:
            run()
    return memory.peak


if __name__ == "__main__":
    for family, stages in STAGES.items():
        told = ", ".join(f"{stage} {peak(build) / 1e6:.0f}" for stage, build in stages.items())
        print(f"{family}: {told}")  # noqa: T201
