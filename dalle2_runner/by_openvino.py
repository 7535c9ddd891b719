"""A network that denoises, computed by OpenVINO in float32."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino

from dalle2_runner.networks import Array, Weights
from dalle2_runner.shares import Arrays, Run, Shares

FLOAT32 = "f32"  # left alone, it takes bfloat16 where the CPU has it


class Network:
    """A graph of which the weights are inputs, and these by name; `rows` are those of the usual call."""

    def __init__(self, graph: bytes, names: Sequence[str], weights: Weights, threads: int = 0, rows: int = 1) -> None:
        self._model = openvino.Core().read_model(graph)
        self._noisy = self._model.get_parameters()[0].get_friendly_name()
        self._kept = {name: np.ascontiguousarray(weights[name], np.float32) for name in names}
        fill(self._model, self._kept)
        self._run = Shares(lambda threads, callers: compiled(self._model, FLOAT32, threads, callers), threads, rows)

    def __call__(self, x: Array, t: int, **conditions: Array) -> Array:
        return self._run({self._noisy: x, "timestep": np.array(t, np.int64), **conditions})


def fill(model: Any, weights: Arrays) -> None:
    """Put weights, float32, in the places of the inputs named as they; the model looks into their memory."""
    for parameter in list(model.get_parameters()):
        if parameter.get_friendly_name() in weights:
            values = openvino.opset13.constant(weights[parameter.get_friendly_name()], shared_memory=True)
            parameter.output(0).replace(values.output(0))
            model.remove_parameter(parameter)


def compiled(model: Any, precision: str, threads: int, callers: int) -> Run:
    """Return what computes a model, for so many `callers` at a time by so many threads each."""
    how = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads * callers,
        "NUM_STREAMS": callers,
    }
    network, own = openvino.Core().compile_model(model, "CPU", how), threading.local()

    def run(inputs: Arrays) -> Array:
        if not hasattr(own, "request"):
            own.request = network.create_infer_request()
        return np.array(own.request.infer(dict(inputs)).to_tuple()[0], np.float32)

    return run
