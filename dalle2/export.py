"""python -m dalle2.export CHECKPOINT: export graphs, beside a checkpoint's weights or into a folder that stands alone.

    python -m dalle2.export FOLDER                            # graphs beside the weights: see docs/engines.md
    python -m dalle2.export emoji --out DIR                   # draws without torch, by `dalle2_runner`
    python -m dalle2.export emoji --out DIR --format openvino # the same by OpenVINO
    python -m dalle2.export emoji --out DIR --format web      # draws in a browser, without a server
    python -m dalle2.export emoji --out DIR --weights int8    # a third of the size

Without --out, who opens the folder then draws by ONNX Runtime at once. It takes some minutes, and is done again when a
config of the checkpoint changes; new weights need no new graphs. The embedded checkpoint, "emoji", has its graphs.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from dalle2 import atomic, hashes
from dalle2.datasets.packages import BuildError
from dalle2.engines import EXTRA

WEIGHTS = ("float16", "int8")
ENGINES = {"onnx": "onnxruntime", "openvino": "openvino", "web": "onnxruntime"}  # by format


def main(arguments: Sequence[str] | None = None) -> int:
    """Export and write; 1 after an error, which is told in a sentence."""
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        from dalle2.families import EMBEDDED  # seconds, which --help need not wait for

        folder = EMBEDDED if options.checkpoint == EMBEDDED.name else Path(options.checkpoint).expanduser()
        files = _lay_beside(folder) if options.out is None else _write(folder, options)
    except (ValueError, OSError, BuildError) as error:
        print(f"dalle2.export: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}: {file.stat().st_size / 1000:,.0f} kB")
    return 0


def _parser() -> argparse.ArgumentParser:
    about = "Export graphs, beside a checkpoint's weights or into a folder that stands alone."
    parser = argparse.ArgumentParser(prog="python -m dalle2.export", description=about)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder, or emoji: the embedded one")
    parser.add_argument("--out", type=Path, help="a new folder, which draws without torch; default: graphs alone")
    forms = "by what the new folder draws: onnx (ONNX Runtime), openvino, or web: a page that draws in the browser"
    parser.add_argument("--format", choices=ENGINES, help=f"{forms}; default onnx")
    help_text = "float16: as they are; int8: a third of the size, and pictures that differ a little"
    parser.add_argument("--weights", choices=WEIGHTS, default="float16", help=help_text)
    parser.add_argument("--packages", type=Path, help="for web: the folder of npm's tarball; default: it is fetched")
    return parser


def _check(options: argparse.Namespace) -> None:
    """ValueError for what would only fail after long work, or be left out."""
    from dalle2.engines.runtimes import require

    if options.out is None and options.format is not None:
        raise ValueError("--format is that of a new folder: name one with --out.")
    options.format = options.format or "onnx"
    if options.packages is not None and options.format != "web":
        raise ValueError("--packages is for --format web alone.")
    if options.out is not None and options.out.exists():
        raise ValueError(f"{options.out} exists already: name another folder.")
    if options.out is not None:
        atomic.check_folder(options.out)
    require(ENGINES[options.format])
    if options.format != "onnx" and not find_spec("onnx"):
        raise ValueError(f"Graphs for {options.format} are made by the package onnx, which is not installed: {EXTRA}")


def _lay_beside(folder: Path) -> list[Path]:
    from dalle2.families import load

    host = load(folder, engine="onnxruntime").host
    if host is None or host.name == "torch":
        raise ValueError("There is nothing to lay beside it: not every network could be exported.")
    files = {one.name: one.graphs.lay_beside(each, folder) for one in host.networks for each in one.signatures}
    _index(folder, files)
    return sorted(set(files.values()))


def _index(folder: Path, files: Mapping[str, Path]) -> None:
    """Say of each network which graph is its own, for those who draw without torch (`dalle2.portable`)."""
    from dalle2.portable import INDEX

    entries = {}
    for name, file in files.items():
        config = folder / name / "config.json"
        if config.is_file():
            entries[name] = {"file": file.name, "config_sha256": hashes.of_file(config)}
    with atomic.file(folder / INDEX) as partial:
        partial.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _write(folder: Path, options: argparse.Namespace) -> list[Path]:
    """Write all that draws; return what is of more than a kilobyte."""
    from dalle2 import portable, static_page
    from dalle2.families import load

    runtime = static_page.runtime(options.packages) if options.format == "web" else {}
    model, small = load(folder, engine="torch"), options.weights == "int8"
    made = {"device": "cpu", "dtype": "float32", "engine": ENGINES[options.format]}
    digest = model.checkpoint_hash + (" in int8" if small else "")
    record = {"checkpoint": model.checkpoint, "checkpoint_hash": digest, **made}
    with atomic.folder(options.out) as partial:
        if options.format == "web":
            static_page.write(folder, partial, record, small, runtime)
        else:
            portable.write(folder, partial, record, small)
    return sorted(file for file in options.out.rglob("*") if file.is_file() and file.stat().st_size > 1000)


if __name__ == "__main__":
    sys.exit(main())
