"""A network that denoises, computed by ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from dalle2_runner.networks import Array, Weights


class Network:
    """A graph without weights, and these by name."""

    def __init__(self, graph: bytes, names: Sequence[str], weights: Weights, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._kept = [np.ascontiguousarray(weights[name], np.float32) for name in names]
        floats = [onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, 1) for array in self._kept]
        options.add_external_initializers(list(names), floats)
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, x: Array, t: int, **conditions: Array) -> Array:
        noisy = self._session.get_inputs()[0].name
        inputs = {noisy: x, "timestep": np.array(t, np.int64), **conditions}
        return np.asarray(self._session.run(None, inputs)[0])
