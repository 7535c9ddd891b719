"""Networks that wait in the machine's memory, and visit the GPU: for GPUs that cannot hold them all.

One at a time ("model"), or for the smallest GPUs a network's layers one at a time ("sequential"), which is far slower.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch.utils._pytree import tree_map

HOME = torch.device("cpu")
WAYS = ("model", "sequential")
# The ways into a network, and into an autoencoder; and the part of a text encoder that is also asked by itself.
ENTRANCES = ("forward", "encode", "decode")
INNER = ("text_projection",)


class OffloadDevice:
    """A device that holds one network at a time.

    All between the networks stays on the CPU: what goes into one is carried to the device, and what comes out back. A
    network stays until another one comes, so that a stage of many steps moves it once. With `by_layer` no network comes
    as a whole: the weights of each of its layers are copied there while that layer computes.
    """

    def __init__(self, device: torch.device, by_layer: bool = False) -> None:
        self.device, self.by_layer = device, by_layer
        self.guest: torch.nn.Module | None = None
        self._busy = False

    def invite(self, network: torch.nn.Module) -> None:
        """Have the network compute on the device from now on, and wait on the CPU meanwhile."""
        if self.by_layer:
            for module in network.modules():
                _visit_alone(module, self.device)
        for module in [network, *(getattr(network, name, None) for name in INNER)]:
            for name in ENTRANCES:
                if isinstance(module, torch.nn.Module) and callable(getattr(module, name, None)):
                    setattr(module, name, self._hosting(network, getattr(module, name)))

    def _hosting(self, network: torch.nn.Module, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def hosted(*arguments: Any, **keywords: Any) -> Any:
            if self._busy:  # a part of what is being computed
                return call(*arguments, **keywords)
            if not self.by_layer:
                self._receive(network)
            arguments, keywords = _carried((arguments, keywords), self.device)
            self._busy = True
            try:
                return _carried(call(*arguments, **keywords), HOME)
            finally:
                self._busy = False

        return hosted

    def _receive(self, network: torch.nn.Module) -> None:
        if self.guest is network:
            return
        if self.guest is not None:
            self.guest.to(HOME)
        self.guest = network
        network.to(self.device)


def offload(parts: Mapping[str, Any], device: torch.device, way: str = "model") -> None:
    """Let the networks among the parts of a checkpoint, which lie on the CPU, take turns on the device: one of WAYS."""
    room = OffloadDevice(device, by_layer=way == "sequential")
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            room.invite(part)


def _visit_alone(module: torch.nn.Module, device: torch.device) -> None:
    """Have the weights that are a module's own, not its layers', on the device only while it computes."""
    home: dict[torch.Tensor, torch.Tensor] = {}

    def come(module: torch.nn.Module, arguments: Any) -> None:
        for weight in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            home[weight] = weight.data
            weight.data = weight.data.to(device, copy=True)

    def leave(module: torch.nn.Module, arguments: Any, result: Any) -> None:
        while home:
            weight, data = home.popitem()
            weight.data = data

    if any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
        module.register_forward_pre_hook(come)
        module.register_forward_hook(leave, always_call=True)


def _carried(values: Any, device: torch.device) -> Any:
    """Return the same with every tensor on the device, those in the libraries' outputs too."""

    def carry(value: Any) -> Any:
        if isinstance(value, DiagonalGaussianDistribution):
            return DiagonalGaussianDistribution(value.parameters.to(device))
        return value.to(device) if isinstance(value, torch.Tensor) else value

    return tree_map(carry, values)
