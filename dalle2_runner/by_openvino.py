"""A network that denoises, computed by OpenVINO in float32."""

from collections.abc import Sequence

import numpy as np
import openvino

from dalle2_runner.networks import Array, Weights

HOW = {
    "INFERENCE_PRECISION_HINT": "f32",  # left alone, it takes bfloat16 where the CPU has it
    "PERFORMANCE_HINT": "LATENCY",
}


class Network:
    """A graph of which the weights are inputs, and these by name."""

    def __init__(self, graph: bytes, names: Sequence[str], weights: Weights, threads: int = 0) -> None:
        core = openvino.Core()
        model = core.read_model(graph)
        self._kept = {name: np.ascontiguousarray(weights[name], np.float32) for name in names}
        parameters = model.get_parameters()
        self._noisy = parameters[0].get_friendly_name()
        for parameter in parameters:
            if parameter.get_friendly_name() in self._kept:
                values = openvino.opset13.constant(self._kept[parameter.get_friendly_name()], shared_memory=True)
                parameter.output(0).replace(values.output(0))
                model.remove_parameter(parameter)
        how = HOW | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        self._request = core.compile_model(model, "CPU", how).create_infer_request()

    def __call__(self, x: Array, t: int, **conditions: Array) -> Array:
        inputs = {self._noisy: x, "timestep": np.array(t, np.int64), **conditions}
        return np.array(self._request.infer(inputs).to_tuple()[0], np.float32)
