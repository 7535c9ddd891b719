"""python -m dalle2.export CHECKPOINT: export graphs, beside a checkpoint's weights or into a folder that stands alone.

    python -m dalle2.export FOLDER                           # graphs beside the weights: see docs/engines.md
    python -m dalle2.export emoji --out DIR                  # draws without torch, by `dalle2_runner`
    python -m dalle2.export emoji --out DIR --weights int8   # a third of the size

Without --out, who opens the folder then draws by ONNX Runtime at once. It takes some minutes, and is done again when a
config of the checkpoint changes; new weights need no new graphs. The embedded checkpoint, "emoji", has its graphs.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dalle2 import atomic

WEIGHTS = ("float16", "int8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Export and write; 1 after an error, which is told in a sentence."""
    about = __doc__.split("\n")[0].split(": ")[1]
    parser = argparse.ArgumentParser(prog="python -m dalle2.export", description=about)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder, or emoji: the embedded one")
    parser.add_argument("--out", type=Path, help="a new folder, which draws without torch; default: graphs alone")
    kept = "float16: as they are; int8: a third of the size, and pictures that differ a little"
    parser.add_argument("--weights", choices=WEIGHTS, default="float16", help=kept)
    options = parser.parse_args(arguments)
    try:
        if options.out is not None and options.out.exists():
            raise ValueError(f"{options.out} exists already: name another folder.")
        from dalle2.engines import runtimes
        from dalle2.families import EMBEDDED  # seconds, which --help need not wait for

        runtimes.require("onnxruntime")
        folder = EMBEDDED if options.checkpoint == EMBEDDED.name else Path(options.checkpoint).expanduser()
        small = options.weights == "int8"
        files = _lay_beside(folder) if options.out is None else _write(folder, options.out, small)
    except (ValueError, OSError) as error:
        print(f"dalle2.export: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file}: {file.stat().st_size / 1000:,.0f} kB")
    return 0


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
            digest = hashlib.sha256(config.read_bytes()).hexdigest()
            entries[name] = {"file": file.name, "config_sha256": digest}
    with atomic.file(folder / INDEX) as partial:
        partial.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _write(folder: Path, out: Path, eight_bits: bool) -> list[Path]:
    """Write all that the runner needs, and the runner itself; return what is of more than a kilobyte."""
    from dalle2 import portable
    from dalle2.families import load

    model = load(folder, engine="torch")
    digest = model.checkpoint_hash + (" in int8" if eight_bits else "")
    record = {"checkpoint": model.checkpoint, "checkpoint_hash": digest, "device": "cpu", "dtype": "float32"}
    with atomic.folder(out) as partial:
        portable.write(folder, partial, record, eight_bits)
    return sorted(file for file in out.rglob("*") if file.is_file() and file.stat().st_size > 1000)


if __name__ == "__main__":
    sys.exit(main())
