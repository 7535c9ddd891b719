"""python -m dalle2.export FOLDER: export a checkpoint's graphs and lay them beside its weights.

Who opens the folder, here or elsewhere, then draws by ONNX Runtime at once, without exporting anything. It takes some
minutes, and is done again when a config of the checkpoint changes; new weights need no new graphs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Export and write; 1 after an error, which is told in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.export", description=__doc__.split("\n")[0].split(": ")[1])
    parser.add_argument("checkpoint", metavar="FOLDER", type=Path)
    folder = parser.parse_args(arguments).checkpoint
    from dalle2.families import load  # seconds, which --help need not wait for

    try:
        model = load(folder, engine="onnxruntime")
        host = model.host
        if host is None or host.name == "torch":
            raise ValueError("There is nothing to lay beside it: not every network could be exported.")
        files = {one.graphs.lay_beside(each, folder) for one in host.networks for each in one.signatures}
    except (ValueError, OSError) as error:
        print(f"dalle2.export: {error}", file=sys.stderr)
        return 1
    for file in sorted(files):
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
