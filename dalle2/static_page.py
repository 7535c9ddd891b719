"""A checkpoint as a static page, which draws in a browser: `demo/static`, weights, graphs, and ONNX Runtime Web.

`files.js` says which files there are, so that the page can keep them in the browser, and notice one that is another.
"""

import base64
import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dalle2 import portable
from dalle2.datasets.packages import Package, fetch, read_package

# MIT; 33 MB as a tarball, of which three files are needed.
RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
ITS_LICENCE = """
## ONNX Runtime Web

onnxruntime-web {}, by Microsoft Corporation (https://github.com/microsoft/onnxruntime), in the folder `ort`, licensed
under MIT: https://github.com/microsoft/onnxruntime/blob/main/LICENSE
"""
WEIGHTS_FILE = "weights"  # of a graph, which exists in the browser's memory alone: demo/static/drawer.js
UNKEPT = ("README.md", "offline.js")  # the browser need not keep what says how to serve, nor its own rules for keeping


def runtime(packages: Path | None) -> dict[str, bytes]:
    """Return the files of ONNX Runtime Web by name, from npm or the folder of its tarball; BuildError if none."""
    with TemporaryDirectory() as temporary:
        if packages is None:
            fetch([RUNTIME], Path(temporary))
        found = read_package(RUNTIME, packages or Path(temporary))
    return {name: found[f"dist/{name}"] for name in RUNTIME_FILES}


def write(folder: Path, out: Path, record: Mapping[str, Any], eight_bits: bool, runtime: Mapping[str, bytes]) -> None:
    """Fill a folder with the page and all that it reads; ValueError as `portable.write`."""
    portable.write_parts(folder, out, record, eight_bits, in_one_file)
    model = {file.name for file in out.iterdir()}
    for place in ("static", "favicon.svg"):
        with as_file(files("demo") / place) as source:  # the page's files, none of its modules
            for file in source.iterdir() if source.is_dir() else [source]:
                shutil.copy(file, out)
    (out / "ort").mkdir()
    for name, content in runtime.items():
        (out / "ort" / name).write_bytes(content)
    model.add(f"ort/{RUNTIME_FILES[-1]}")
    _copy_texts(folder, out)
    page = _page(folder, out, record)
    (out / "page.json").write_text(json.dumps(page, ensure_ascii=False), encoding="utf-8")
    _list(out, model)


def in_one_file(graph: bytes, names: list[str]) -> bytes:
    """Return the graph with its weights in the file `weights`, float32, in the order of their names."""
    import onnx

    model = onnx.load_model_from_string(graph)
    tensors, place = {tensor.name: tensor for tensor in model.graph.initializer}, 0
    for name in names:
        length = 4 * math.prod(tensors[name].dims)
        del tensors[name].external_data[:]
        for key, value in {"location": WEIGHTS_FILE, "offset": place, "length": length}.items():
            tensors[name].external_data.add(key=key, value=str(value))
        place += length
    return model.SerializeToString()


def _copy_texts(folder: Path, out: Path) -> None:
    """Copy the card and the licences, to which that of the runtime is added."""
    for name, copied in {portable.CARD: "CARD.md", portable.LICENCES: portable.LICENCES}.items():
        if (folder / name).is_file():
            shutil.copy(folder / name, out / copied)
    with (out / portable.LICENCES).open("a", encoding="utf-8") as licences:
        licences.write(ITS_LICENCE.format(RUNTIME.version))


def _page(folder: Path, out: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of the checkpoint: styles, examples, a wall of samples, names to complete."""
    from dalle2.understanding.vocabulary import Vocabulary

    own = json.loads((folder / "dalle2.json").read_text(encoding="utf-8"))
    index = folder / "samples" / "index.json"
    samples = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {"styles": {}, "wall": {}}
    # Those of other weights would not be drawn again.
    ours = record["checkpoint_hash"].startswith(samples.get("checkpoint_hash", " "))
    wall = samples["wall"].get("en", []) if ours else []
    shown = {name: one for name, one in samples["styles"].items() if ours and name in own.get("styles", ())}
    for one in (*wall, *shown.values()):
        (out / "samples" / one["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "samples" / one["file"], out / "samples" / one["file"])
    vocabulary = Vocabulary.read(folder)
    known = [entry for entry in vocabulary.entries if entry.trained] if vocabulary else []
    return {
        "subject": own.get("subject", {}),
        "styles": [{"name": name, **_sample(shown.get(name))} for name in own.get("styles", ())],
        "wall": [{**_sample(one), "seed": one["seed"]} for one in wall],
        "examples": own.get("examples", []),
        "names": {"en": [entry.label for entry in known], "zh": [entry.chinese for entry in known]},
    }


def _sample(one: Mapping[str, Any] | None) -> dict[str, str]:
    return {"file": f"samples/{one['file']}", "prompt": one["prompt"]} if one else {"file": "", "prompt": ""}


def _list(out: Path, model: set[str]) -> None:
    """Write files.js: a version, which another byte anywhere changes, and the files with their subresource integrity.

    The page's own files lie under `shell`, and those of the model, with their sizes in bytes, under `model`.
    """
    every = {file.relative_to(out).as_posix(): file for file in sorted(out.rglob("*")) if file.is_file()}
    integrity = {name: _integrity(file) for name, file in every.items()}
    version = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in integrity.items()).encode())
    told = {
        "version": f"open-dalle2 {version.hexdigest()[:16]}",
        "shell": {name: digest for name, digest in integrity.items() if name not in {*model, *UNKEPT}},
        "model": {name: {"bytes": every[name].stat().st_size, "integrity": integrity[name]} for name in sorted(model)},
    }
    (out / "files.js").write_text(f"self.files = {json.dumps(told, indent=1)};\n", encoding="utf-8")


def _integrity(file: Path) -> str:
    """Return a file's hash as the attribute `integrity` of HTML and fetch's option of that name write it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()}"
