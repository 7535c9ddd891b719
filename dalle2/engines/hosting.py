"""Networks that an engine computes in torch's place: the way into them is exchanged, and nobody else notices."""

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel

from dalle2.engines import ENGINES
from dalle2.engines.calls import Call
from dalle2.engines.export import CannotExport
from dalle2.engines.graphs import Graphs
from dalle2.engines.runtimes import Run, is_installed, open_graph, require

log = logging.getLogger(__name__)

DENOISING = (PriorTransformer, UNet2DConditionModel, UNet2DModel)  # what all families' stages are made of


class Hosted:
    """A network's way in, in the place of its `forward`: by the engine where there is a graph, else by torch."""

    def __init__(self, name: str, network: torch.nn.Module, graphs: Graphs, host: "Host") -> None:
        self.name, self.network, self.host, self.graphs = name, network, host, graphs
        self.paused = False
        self._runs: dict[tuple[str, int], Run | None] = {}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        wanted = not self.paused and not torch.is_grad_enabled()
        call = Call.of(self.network, arguments, keywords) if wanted else None
        run = None if call is None else self._run(call)
        if run is None or call is None:
            return type(self.network).forward(self.network, *arguments, **keywords)
        predicted = torch.from_numpy(run({name: _array(tensor) for name, tensor in call.tensors.items()}))
        return SimpleNamespace(sample=predicted, predicted_image_embedding=predicted)

    def _run(self, call: Call) -> Run | None:
        key = (call.signature, torch.get_num_threads())
        if key not in self._runs:
            self._runs[key] = self._open(call)
        return self._runs[key]

    def _open(self, call: Call) -> Run | None:
        """Return what computes such calls; None, which a warning tells, where only torch can."""
        try:
            graph = self.graphs.read(call.signature)
            if graph is None and self.host.exports:
                graph = self.graphs.make(call, self.name)
            if graph is None:
                log.warning("The %s is drawn by torch: there is no graph for calls of this shape.", self.name)
                return None
            threads, half = torch.get_num_threads(), self.host.half
            return open_graph(self.host.engine, graph.model, self._weights(graph.weights), threads, call.rows, half)
        except (CannotExport, RuntimeError) as error:
            log.warning("The %s is drawn by torch instead of %s: %s", self.name, self.host.engine, error)
            return None

    def _weights(self, names: Sequence[str]) -> Mapping[str, Any]:
        named = {**dict(self.network.named_buffers()), **dict(self.network.named_parameters())}
        return {name: _array(named[name]) for name in names}

    @property
    def signatures(self) -> set[str]:
        """Return the kinds of calls that the engine has been asked for and can compute."""
        return {signature for (signature, _), run in self._runs.items() if run is not None}

    @property
    def opened(self) -> bool:
        """Whether the engine computes it, as far as it has been asked to."""
        return all(run is not None for run in self._runs.values())


class Host:
    """An engine that computes all denoising networks of one model.

    Attributes:
        engine: "onnxruntime" or "openvino".
        half: whether in bfloat16.
        exports: whether it makes the graphs that it lacks.
    """

    def __init__(self, engine: str, half: bool, exports: bool) -> None:
        self.engine, self.half, self.exports = engine, half, exports
        self.networks: list[Hosted] = []

    def invite(self, name: str, network: torch.nn.Module, beside: Path | None) -> None:
        """Compute this network from now on."""
        hosted = Hosted(name, network, Graphs(network, beside), self)
        network.forward = hosted
        self.networks.append(hosted)

    @property
    def name(self) -> str:
        """The engine that draws: torch where this one cannot."""
        return self.engine if all(network.opened for network in self.networks) else "torch"


def choose(engine: str, device: torch.device, dtype: torch.dtype, others: bool) -> str | None:
    """Return the engine to try, None for torch; ValueError for one that cannot be had here, or not in this precision.

    `others` says that the networks are compiled, or wait elsewhere: only torch does that.
    """
    if engine not in ENGINES:
        raise ValueError(f"There is no engine {engine!r}: use one of {', '.join(ENGINES)}.")
    if engine == "torch":
        return None
    fits = device.type == "cpu" and not others
    if engine == "auto":
        return "onnxruntime" if fits and dtype == torch.float32 and is_installed("onnxruntime") else None
    require(engine)
    if not fits:
        reason = f"the device is {device}" if device.type != "cpu" else "compile and offload are torch's"
        raise ValueError(f"The engine {engine} draws on the CPU, but {reason}: leave out one of the two.")
    if engine == "onnxruntime" and dtype != torch.float32:
        raise ValueError("ONNX Runtime draws in float32 on a CPU: leave out the dtype, or take the engine openvino.")
    return engine


def host(parts: Mapping[str, Any], engine: str, chosen: str, dtype: torch.dtype, beside: Path | None) -> Host | None:
    """Let the chosen engine compute the networks among a model's parts; None where "auto" finds no graphs of them."""
    networks = {name: part for name, part in parts.items() if isinstance(part, DENOISING)}
    if not networks:  # a family's own, of which nobody makes graphs
        if engine != "auto":
            raise ValueError(
                f"The engine {chosen} computes diffusers' networks, and this checkpoint has none: use torch."
            )
        return None
    if engine == "auto" and not all(Graphs(network, beside).known for network in networks.values()):
        return None
    host = Host(chosen, dtype != torch.float32, exports=engine != "auto")
    for name, network in networks.items():
        host.invite(name, network, beside)
    return host


@contextmanager
def by_torch(network: torch.nn.Module) -> Generator[None]:
    """Have torch compute the network meanwhile, for those who look into it."""
    hosted = vars(network).get("forward")
    if not isinstance(hosted, Hosted):
        yield
        return
    hosted.paused = True
    try:
        yield
    finally:
        hosted.paused = False


def _array(tensor: torch.Tensor) -> Any:
    """Return the tensor as numpy's, in rows, and in float32 where it is of half precision."""
    kept = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
    return kept.contiguous().numpy()
