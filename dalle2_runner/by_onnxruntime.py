"""A network that denoises, computed by ONNX Runtime."""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from dalle2_runner.networks import Array, Weights
from dalle2_runner.shares import Arrays, Run, Shares


class Network:
    """A graph without weights, and these by name; `rows` are those of the usual call."""

    def __init__(self, graph: bytes, names: Sequence[str], weights: Weights, threads: int = 0, rows: int = 1) -> None:
        self._graph, self._names = graph, list(names)
        self._kept = [np.ascontiguousarray(weights[name], np.float32) for name in names]
        self._floats = [onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, 1) for array in self._kept]
        self._noisy = ""
        self._run = Shares(self._open, threads, rows)

    def _open(self, threads: int, _: int) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_external_initializers(self._names, self._floats)
        session = onnxruntime.InferenceSession(self._graph, options, providers=["CPUExecutionProvider"])
        self._noisy = session.get_inputs()[0].name

        def run(inputs: Arrays) -> Array:
            return np.asarray(session.run(None, dict(inputs))[0])

        return run

    def __call__(self, x: Array, t: int, **conditions: Array) -> Array:
        return self._run({self._noisy: x, "timestep": np.array(t, np.int64), **conditions})
