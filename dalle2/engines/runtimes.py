"""ONNX Runtime and OpenVINO: a graph and its weights -> what computes it on this machine's CPU."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from dalle2.engines import EXTRA
from dalle2_runner.shares import Arrays, Run, Shares

Make = Callable[[int, int], Run]  # for so many callers at a time, by so many threads each

PACKAGES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def is_installed(engine: str) -> bool:
    """Whether the engine's package is there."""
    return importlib.util.find_spec(engine) is not None


def require(engine: str) -> None:
    """ValueError, with what to do, unless the engine's package is there."""
    if not is_installed(engine):
        raise ValueError(f"{PACKAGES[engine]} is not installed: {EXTRA}, or take the engine torch.")


def open_graph(engine: str, graph: bytes, weights: Arrays, threads: int, rows: int, half: bool) -> Run:
    """Return what computes a graph without weights (`export.export`) with these, float32, by name.

    `rows` are those of the first call. `half` lets OpenVINO compute in bfloat16. RuntimeError where the engine refuses.
    """
    try:
        make = _openvino(graph, weights, half) if engine == "openvino" else _onnxruntime(graph, weights)
        return Shares(make, threads, rows)
    except Exception as error:  # each engine has its own
        raise RuntimeError(f"{PACKAGES[engine]}: {error}".splitlines()[0]) from error


def _onnxruntime(graph: bytes, weights: Arrays) -> Make:
    import onnxruntime

    floats = 1  # TensorProto.FLOAT
    values = [onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, floats) for array in weights.values()]

    def make(threads: int, _: int) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Batches of visitors have any number of rows, for each of which it would keep a plan and the memory of a run:
        # of sizes from 1 to 8 a tenth of a server's memory, and no time is won by it. Its arena stays: without one a
        # batch of eight takes a third longer.
        options.enable_mem_pattern = False
        # Else its threads wait in a loop, which takes the cores from torch between two calls, and during one from
        # whatever else runs. Alone it gains nothing; beside a server's visitors a batch took 1.3 to 1.5 times as long.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(weights), values)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        kept = (weights, values)  # the session looks into this memory

        def run(inputs: Arrays, _: object = kept) -> np.ndarray:
            return np.asarray(session.run(None, dict(inputs))[0])

        return run

    return make


def _openvino(graph: bytes, weights: Arrays, half: bool) -> Make:
    import openvino

    from dalle2_runner.by_openvino import FLOAT32, compiled, fill

    model: Any = openvino.Core().read_model(weights_as_inputs(graph))
    fill(model, weights)
    return lambda threads, callers, _=weights: compiled(model, "bf16" if half else FLOAT32, threads, callers)


def weights_as_inputs(graph: bytes) -> bytes:
    """Return the graph with its weights as inputs: OpenVINO would look for their file."""
    import onnx

    model = onnx.load_model_from_string(graph)
    for weight in model.graph.initializer:
        if weight.data_location == onnx.TensorProto.EXTERNAL:
            model.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    kept = [weight for weight in model.graph.initializer if weight.data_location != onnx.TensorProto.EXTERNAL]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model.SerializeToString()
