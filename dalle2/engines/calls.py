"""How a network is called: its tensors by name, whatever the family, and how they are given back to it."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

SEPARATOR = "."  # between an argument that is a table, and the name of a tensor in it


@dataclass(frozen=True)
class Call:
    """One call of a network by tensors alone, by name: "sample", "timestep", "added_cond_kwargs.image_embeds"."""

    tensors: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, network: torch.nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> "Call | None":
        """Return the call with these arguments; None where something else than tensors is among them."""
        bound = inspect.signature(type(network).forward).bind(network, *arguments, **keywords).arguments
        tensors: dict[str, torch.Tensor] = {}
        for name, value in list(bound.items())[1:]:
            named = {f"{name}{SEPARATOR}{key}": one for key, one in value.items()} if isinstance(value, dict) else {}
            for key, one in (named or {name: value}).items():
                if isinstance(one, torch.Tensor):
                    tensors[key] = one
                elif one is not None:
                    return None
        return cls(tensors)

    @cached_property
    def rows(self) -> int:
        """How many rows the batch has."""
        return len(next(iter(self.tensors.values())))

    @cached_property
    def signature(self) -> str:
        """What a graph for such calls is known by: names, kinds and sizes, without those that may change.

        Free are the number of rows and, of pictures and latents, height and width. All graphs are in float32.
        """
        kinds = {name: torch.float32 if one.is_floating_point() else one.dtype for name, one in self.tensors.items()}
        return " ".join(
            f"{name}:{str(kinds[name]).removeprefix('torch.')}[{','.join(self._sizes(tensor))}]"
            for name, tensor in self.tensors.items()
        )

    def free(self, tensor: torch.Tensor) -> list[int]:
        """Return the dimensions of a tensor that may change from call to call."""
        return ([0] if tensor.ndim else []) + ([2, 3] if tensor.ndim == 4 else [])

    def _sizes(self, tensor: torch.Tensor) -> list[str]:
        free = self.free(tensor)
        return ["*" if place in free else str(size) for place, size in enumerate(tensor.shape)]


def nested(names: Sequence[str], tensors: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Return the tensors as the network's own keywords."""
    keywords: dict[str, Any] = {}
    for name, tensor in zip(names, tensors, strict=True):
        table, _, key = name.rpartition(SEPARATOR)
        if table:
            keywords.setdefault(table, {})[key] = tensor
        else:
            keywords[name] = tensor
    return keywords
