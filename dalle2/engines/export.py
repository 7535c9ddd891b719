"""A network -> its graph in ONNX, without its weights: they stay where they are, and are handed over by name.

So a graph is small, is that of all checkpoints with the same configs, and cannot be of other weights than the loaded.
"""

import copy
import json
import logging
import warnings
from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple

import torch

from dalle2.engines.calls import Call, nested

OPSET = 20
EXAMPLE_ROWS = 2  # of an example of one row torch makes a graph for one row, without saying so
WEIGHTS = "weights"  # a file that nobody reads: it only says that a weight is elsewhere


class CannotExport(Exception):
    """The network, or this machine, has something of which no graph can be made; says what."""


class _ByPosition(torch.nn.Module):
    """A network that takes its tensors one after another."""

    def __init__(self, network: torch.nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        _, *known = signature(type(self.network).forward).parameters.values()
        absent = {one.name: None for one in known if one.default is one.empty}
        keywords = absent | nested(self.names, tensors)
        # Not by the network's own `forward`, in whose place an engine may stand.
        return type(self.network).forward(self.network, **keywords, return_dict=False)[0]


class Graph(NamedTuple):
    """A network without its weights.

    Attributes:
        model: a serialised ModelProto, of which the weights are said to be in another file.
        weights: the names of these.
    """

    model: bytes
    weights: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return both in one: a line of JSON, then the model."""
        return json.dumps(self.weights).encode() + b"\n" + self.model

    @classmethod
    def of(cls, both: bytes) -> "Graph":
        """Return the inverse; ValueError for other bytes."""
        names, _, model = both.partition(b"\n")
        return cls(model, tuple(json.loads(names)))


def export(network: torch.nn.Module, call: Call) -> Graph:
    """Return the graph for calls of this kind in float32, of any number of rows.

    Its inputs are named as the call's tensors, its weights as the network's parameters, its output "prediction".
    CannotExport where that fails.
    """
    try:
        import onnx_ir
        import onnxscript  # noqa: F401, torch.onnx asks for it, in a sentence of its own
    except ModuleNotFoundError as error:
        raise CannotExport(f"the package {error.name} is not installed") from error
    names, tensors = list(call.tensors), [_example(tensor, call) for tensor in call.tensors.values()]
    free = tuple(dict.fromkeys(call.free(tensor), torch.export.Dim.DYNAMIC) for tensor in tensors)
    if any(parameter.dtype != torch.float32 for parameter in network.parameters()):
        network = copy.deepcopy(network).float()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            made = torch.onnx.export(
                _ByPosition(network, names).eval(),
                tuple(tensors),
                dynamo=True,
                optimize=False,  # which would make other tensors of the weights
                opset_version=OPSET,
                dynamic_shapes={"tensors": free},
                verbose=False,
            )
    except Exception as error:  # the exporter has many
        cause = error.__cause__ or error
        raise CannotExport(f"{type(cause).__name__}: {cause}".splitlines()[0]) from error
    assert made is not None
    weights = {f"network.{name}" for name in network.state_dict()}  # what else it has, as masks, its config decides
    model, given = _without_weights(made.model, names, weights)
    return Graph(onnx_ir.to_proto(model).SerializeToString(), given)


def _example(tensor: torch.Tensor, call: Call) -> torch.Tensor:
    """Return a tensor like this one for `EXAMPLE_ROWS` rows, in float32 where it is of half precision."""
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    rows = tensor if tensor.ndim == 0 else tensor[:1].expand(EXAMPLE_ROWS, *tensor.shape[1:])
    return rows.to(kind).clone(memory_format=torch.contiguous_format)


def _without_weights(model: Any, names: list[str], outside: set[str]) -> tuple[Any, tuple[str, ...]]:
    """Return the graph, named, without the weights `outside` and whatever else makes it large; and their names."""
    import onnx_ir

    graph = model.graph
    for given, name in zip(graph.inputs, names, strict=True):
        if given.shape is not None and len(given.shape) and isinstance(given.shape[0], int):
            raise CannotExport(f"the graph takes {given.shape[0]} rows of {name} only")
        given.name = name
    graph.outputs[0].name = "prediction"
    weights = {name: value for name, value in graph.initializers.items() if name in outside}
    contents = {name: value.const_value for name, value in weights.items()}
    for name, value in weights.items():
        del graph.initializers[name]
        value.name, value.const_value = name.removeprefix("network."), None
    _optimise(model, list(weights.values()))
    for name, value in weights.items():
        weight = contents[name]
        value.const_value = onnx_ir.ExternalTensor(
            WEIGHTS, 0, weight.nbytes, weight.dtype, shape=weight.shape, name=value.name
        )
        graph.initializers[value.name] = value
    model.metadata_props.clear()
    graph.metadata_props.clear()
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    for node in graph:
        node.doc_string = None
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
            if value not in graph.outputs:
                value.type = value.shape = None  # the engine finds them again
    return model, tuple(value.name for value in weights.values())


def _optimise(model: Any, weights: Sequence[Any]) -> None:
    """Compute what of a graph is known beforehand, which are hundreds of small operations on sizes and kinds.

    The weights are inputs meanwhile, so that nothing is made of them.
    """
    from onnxscript import optimizer

    given = len(model.graph.inputs)
    model.graph.inputs.extend(weights)
    optimizer.optimize_ir(model)
    del model.graph.inputs[given:]
