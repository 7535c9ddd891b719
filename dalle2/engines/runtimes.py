"""ONNX Runtime and OpenVINO: a graph and its weights -> what computes it on this machine's CPU."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dalle2.engines import EXTRA

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], np.ndarray]  # the network's inputs by name -> its prediction, float32

PACKAGES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def is_installed(engine: str) -> bool:
    """Whether the engine's package is there."""
    return importlib.util.find_spec(engine) is not None


def require(engine: str) -> None:
    """ValueError, with what to do, unless the engine's package is there."""
    if not is_installed(engine):
        raise ValueError(f"{PACKAGES[engine]} is not installed: {EXTRA}, or take the engine torch.")


def open_graph(engine: str, graph: bytes, weights: Arrays, threads: int, half: bool) -> Run:
    """Return what computes a graph without weights (`export.export`) with these, float32, by name.

    `half` lets OpenVINO compute in bfloat16. RuntimeError where the engine refuses.
    """
    try:
        if engine == "openvino":
            return _openvino(graph, weights, threads, half)
        return _onnxruntime(graph, weights, threads)
    except Exception as error:  # each engine has its own
        raise RuntimeError(f"{PACKAGES[engine]}: {error}".splitlines()[0]) from error


def _onnxruntime(graph: bytes, weights: Arrays, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Batches of visitors have any number of rows, for each of which it would keep a plan and the memory of a run: of
    # sizes from 1 to 8 a tenth of a server's memory, and no time is won by it. Its arena keeps what the largest batch
    # took: another fifth, for which a crowd draws no more pictures.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = False
    # Else its threads wait in a loop, which takes the cores from torch between two calls, and during one from whatever
    # else runs. Alone it gains nothing; beside a server's visitors a batch took 1.3 to 1.5 times as long.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    floats = 1  # TensorProto.FLOAT
    values = [onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array, floats) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    kept = (weights, values)  # the session looks into this memory

    def run(inputs: Arrays, _: object = kept) -> np.ndarray:
        return np.asarray(session.run(None, dict(inputs))[0])

    return run


def _openvino(graph: bytes, weights: Arrays, threads: int, half: bool) -> Run:
    import openvino

    core: Any = openvino.Core()
    model = core.read_model(weights_as_inputs(graph))
    for parameter in list(model.get_parameters()):
        if parameter.get_friendly_name() in weights:
            constant = openvino.opset13.constant(weights[parameter.get_friendly_name()], shared_memory=True)
            parameter.output(0).replace(constant.output(0))
            model.remove_parameter(parameter)
    how = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",  # left alone, it takes bf16 where the CPU has it
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", how).create_infer_request()
    kept = weights

    def run(inputs: Arrays, _: object = kept) -> np.ndarray:
        return np.array(request.infer(dict(inputs)).to_tuple()[0], dtype=np.float32)

    return run


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
