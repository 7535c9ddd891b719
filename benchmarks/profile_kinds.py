"""What the profilers of torch, ONNX Runtime and OpenVINO tell of a run, as seconds by kind of operation."""

import json
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

CONVOLUTIONS, PRODUCTS = "convolutions", "products of matrices"
NORMS, ARITHMETIC, MOVING = "normalisation", "activations, sums, products", "copying, reordering"
KINDS = (CONVOLUTIONS, PRODUCTS, NORMS, ARITHMETIC, MOVING)

# In this order; what is none of these is arithmetic. The names are those of all three engines.
PATTERNS = {
    CONVOLUTIONS: r"conv",
    PRODUCTS: r"mm$|matmul|gemm|attention|scaled_dot|softmax|fullyconnected|linear$",
    NORMS: r"norm|mvn|reduce|::mean|::var",
    MOVING: (
        r"reorder|reshape|transpose|concat|::cat$|split|slice|gather|expand|pad|resize|interpolate|upsample|cast|shape"
        r"|squeeze|copy|clone|empty|::to$|_to_|contiguous|repeat|permute|view|index|identity|constant|broadcast|pool"
        r"|convert|select|tile|input|output|memory|result|as_strided|narrow|chunk|stack|alias|detach|fill|::t$"
    ),
}


@contextmanager
def watched(engine: str) -> Generator[dict[str, float]]:
    """Watch what is drawn in the block, by a model that is opened in it -> seconds by the engine's own names.

    They are there when the block has ended.
    """
    found: dict[str, float] = {}
    watch = {"onnxruntime": _by_onnxruntime, "openvino": _by_openvino}.get(engine, _by_torch)
    with watch(found):
        yield found


def kinds_of(names: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds by kind; each name belongs to one."""
    found: dict[str, float] = {}
    for name, seconds in names.items():
        kind = next((kind for kind, pattern in PATTERNS.items() if re.search(pattern, name.lower())), ARITHMETIC)
        found[kind] = found.get(kind, 0.0) + seconds
    return found


@contextmanager
def _by_torch(found: dict[str, float]) -> Generator[None]:
    """Find what an operator takes without those that it calls, as the thread sees it that waits for the others."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        yield
    for one in profiler.key_averages():
        if one.key.startswith("aten::"):
            found[one.key] = found.get(one.key, 0.0) + one.self_cpu_time_total / 1e6


@contextmanager
def _by_onnxruntime(found: dict[str, float]) -> Generator[None]:
    """Have all sessions that are opened meanwhile write into a file what each of their nodes takes."""
    import onnxruntime

    sessions: list[Any] = []
    usual = onnxruntime.InferenceSession
    with tempfile.TemporaryDirectory() as folder:

        def opened(graph: bytes, options: Any, **how: Any) -> Any:
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / f"session{len(sessions)}")
            sessions.append(usual(graph, options, **how))
            return sessions[-1]

        with patch.object(onnxruntime, "InferenceSession", opened):
            yield
        for session in sessions:
            for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
                if event["name"].endswith("_kernel_time"):
                    name = event["args"]["op_name"]
                    found[name] = found.get(name, 0.0) + event["dur"] / 1e6


@contextmanager
def _by_openvino(found: dict[str, float]) -> Generator[None]:
    """Have all models that are compiled meanwhile count what each of their nodes takes."""
    import openvino

    usual = openvino.Core.compile_model

    def compile_model(core: Any, model: Any, device: str, how: Mapping[str, Any]) -> Any:
        return _Compiled(usual(core, model, device, {**how, "PERF_COUNT": True}), found)

    with patch.object(openvino.Core, "compile_model", compile_model):
        yield


class _Compiled:
    """OpenVINO's compiled model, whose requests add what their nodes took to `found`."""

    def __init__(self, compiled: Any, found: dict[str, float]) -> None:
        self._compiled, self._found = compiled, found

    def create_infer_request(self) -> "_Compiled":
        return _Compiled(self._compiled.create_infer_request(), self._found)

    def infer(self, inputs: Mapping[str, Any]) -> Any:
        outputs = self._compiled.infer(inputs)
        for node in self._compiled.profiling_info:
            self._found[node.node_type] = self._found.get(node.node_type, 0.0) + node.real_time.total_seconds()
        return outputs
