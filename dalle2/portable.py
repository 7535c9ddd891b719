"""A folder of Karlo's family -> what `dalle2_runner` draws by, read without torch: sizes, schedules, token ids."""

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

import dalle2_runner
from dalle2 import hashes
from dalle2.settings import Settings
from dalle2_runner.by_onnxruntime import Network
from dalle2_runner.drawer import Drawer, usual_rows
from dalle2_runner.networks import SCALE, read_weights

NETWORKS = ("prior", "decoder", "super_res_first", "super_res_last")
PARTS = ("text_encoder", "text_proj", *NETWORKS)
INDEX = "graphs/index.json"  # by network: the file of its graph, and of which config that is
CARD, LICENCES = "README.md", "LICENCES.md"  # of a checkpoint
NO_PARTS, HASHED = ("graphs", "samples"), (".json", ".txt", ".safetensors")
STEPS = ("num_train_timesteps", "prediction_type", "clip_sample", "clip_sample_range")


def description(folder: Path) -> dict[str, Any]:
    """Return what the runner must know of a checkpoint; ValueError where it has something that the runner has not."""
    text, decoder = _json(folder / "text_encoder" / "config.json"), _json(folder / "decoder" / "config.json")
    if text["hidden_act"] != "quick_gelu":
        raise ValueError(f"The runner reads texts with quick_gelu, not with {text['hidden_act']}.")
    own = _json(folder / "dalle2.json")
    schedules = {name: _json(folder / name / "scheduler_config.json") for name in _schedulers()}
    for name, values in schedules.items():
        if values.get("beta_schedule", "squaredcos_cap_v2") != "squaredcos_cap_v2" or values.get("timestep_spacing"):
            raise ValueError(f"The runner knows Karlo's noise schedule alone, and not that of {folder / name}.")
    return {
        "settings": Settings.from_dict(own["settings"]).to_dict(),
        "text_encoder": {name: text[name] for name in ("num_hidden_layers", "num_attention_heads", "layer_norm_eps")},
        **{name: {key: values[key] for key in STEPS} for name, values in schedules.items()},
        "decoder": [decoder["sample_size"], _json(folder / "text_proj" / "config.json")["clip_extra_context_tokens"]],
        "size": _json(folder / "super_res_last" / "config.json")["sample_size"],
        "tokens": _tokens(folder, text["max_position_embeddings"]),
        "parts": list(PARTS),
    }


def open_checkpoint(folder: Path, threads: int = 0) -> Drawer:
    """Open a checkpoint that has graphs beside its weights; ValueError or OSError where it is not such a one."""
    weights = {name: read_weights(_weights(folder / name)) for name in PARTS}
    networks = {}
    for name in NETWORKS:
        graph, names = graph_of(folder, name)
        networks[name] = Network(graph, names, weights[name], threads, usual_rows(name))
    return Drawer(description(folder), plain_tokenizer(folder), weights, networks)


def fingerprint(folder: Path) -> str:
    """Return the hash of a checkpoint's parts, as `families.checkpoint_folder` makes it; weights are safetensors."""
    parts = [part for part in folder.iterdir() if part.is_dir() and part.name not in NO_PARTS]
    files = sorted(file for part in parts for file in part.iterdir() if file.suffix in HASHED)
    return hashes.of_files({file.relative_to(folder).as_posix(): hashes.of_file(file) for file in files})


def write(folder: Path, out: Path, record: Mapping[str, Any], eight_bits: bool = False) -> None:
    """Fill a folder with what draws by itself: weights, graphs, the tokenizer, the runner and the licences.

    `record` is what pictures say beside prompt, seed and settings; by its `engine` they are drawn. ValueError where the
    checkpoint has no graphs, or something that the runner has not.
    """
    if record["engine"] == "openvino":
        from dalle2.engines.runtimes import weights_as_inputs

        write_parts(folder, out, record, eight_bits, lambda graph, _: weights_as_inputs(graph))
    else:
        write_parts(folder, out, record, eight_bits)
    for name in (CARD, LICENCES):
        if (folder / name).is_file():
            shutil.copy(folder / name, out)
    shutil.copytree(Path(dalle2_runner.__file__).parent, out / "dalle2_runner", ignore=shutil.ignore_patterns("__*__"))
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(Path(dalle2_runner.__file__).parent / name, out / "dalle2_runner")


def write_parts(
    folder: Path,
    out: Path,
    record: Mapping[str, Any],
    eight_bits: bool,
    form: Callable[[bytes, list[str]], bytes] = lambda graph, _: graph,
) -> None:
    """Write what is read to draw: draw.json, tokenizer.json, and graph and weights of each part.

    `form` changes a graph, whose weights have these names, into what an engine wants.
    """
    told = description(folder)
    told["record"] = {**record, "settings": told["settings"]}
    told["networks"] = {}
    for name in NETWORKS:
        graph, names = graph_of(folder, name)
        (out / f"{name}.onnx").write_bytes(form(graph, names))
        told["networks"][name] = {"file": f"{name}.onnx", "weights": names}
    for name in PARTS:
        weights = load_file(_weights(folder / name))
        # Not by `save_file`, whose errors of a full disk are of a kind of its own.
        (out / f"{name}.safetensors").write_bytes(save(in_eight_bits(weights) if eight_bits else weights))
    (out / "tokenizer.json").write_text(plain_tokenizer(folder), encoding="utf-8")
    (out / "draw.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


def in_eight_bits(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weights with the matrices and kernels in eight bits, each row with a scale of its own beside it."""
    kept: dict[str, np.ndarray] = {}
    for name, values in weights.items():
        if values.ndim < 2 or values.dtype not in (np.float16, np.float32):
            kept[name] = values
            continue
        numbers = values.astype(np.float32)
        most = np.abs(numbers).max(tuple(range(1, values.ndim)), keepdims=True)
        scale = np.maximum(most, np.float32(1e-12)) / 127
        kept[name] = np.round(numbers / scale).astype(np.int8)
        kept[name + SCALE] = scale.astype(np.float32)
    return kept


def check_graphs(folder: Path) -> None:
    """ValueError unless the graph of each network is there and whole."""
    for name in NETWORKS:
        graph_of(folder, name)


def graph_of(folder: Path, name: str) -> tuple[bytes, list[str]]:
    """Return the graph that lies beside a network's weights, and the names of these."""
    try:
        entry = json.loads((folder / INDEX).read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, KeyError):
        entry = None
    config = hashes.of_file(folder / name / "config.json")
    if entry is None or entry["config_sha256"] != config:
        raise ValueError(f"{folder} has no graph of its {name}: python -m dalle2.export {folder}")
    file = folder / "graphs" / entry["file"]
    try:
        names, _, graph = gzip.decompress(file.read_bytes()).partition(b"\n")
        return graph, json.loads(names)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ValueError(f"The graph {file} cannot be read ({error}): python -m dalle2.export {folder}") from error


def plain_tokenizer(folder: Path) -> str:
    """Return the tokenizer without special tokens, as JSON: see `networks.text_encoder`."""
    nothing = {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}
    return json.dumps(_json(folder / "tokenizer" / "tokenizer.json") | nothing)


def _schedulers() -> tuple[str, ...]:
    return ("prior_scheduler", "decoder_scheduler", "super_res_scheduler")


def _tokens(folder: Path, most: int) -> list[int]:
    """Return the ids that begin, end and pad a text, and its length."""
    said, known = _json(folder / "tokenizer" / "tokenizer_config.json"), _json(folder / "tokenizer" / "vocab.json")
    ids = [known[said[name]] for name in ("bos_token", "eos_token", "pad_token")]
    return [*ids, int(min(said.get("model_max_length", most), most))]


def _weights(part: Path) -> Path:
    files = sorted(part.glob("*.safetensors"))
    if len(files) != 1:
        raise ValueError(f"{part} must hold its weights in one safetensors file, as what is saved here does.")
    return files[0]


def _json(file: Path) -> Any:
    if not file.is_file():
        raise ValueError(f"{file.parent} lacks {file.name}, without which it cannot be drawn from without torch.")
    return json.loads(file.read_text(encoding="utf-8"))
