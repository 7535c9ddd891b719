"""Draw from an exported checkpoint: `python -m dalle2_runner PROMPT`."""

import argparse
import json
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dalle2_runner.drawer import Drawer


def png(pixels: np.ndarray, text: str) -> bytes:
    """Return pixels (3, size, size) in -1..1 as a PNG that says how it was made."""
    levels = ((pixels * 0.5 + 0.5).clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 8, 2, 0, 0, 0)
    told = b"parameters\0" + text.encode("ascii")
    chunks = {b"IHDR": head, b"tEXt": told, b"IDAT": zlib.compress(rows), b"IEND": b""}
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks.items():
        made += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw one picture into a file; 1 after an error, which is told in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m dalle2_runner", description="Draw from an exported checkpoint.")
    parser.add_argument("prompt", help="taken as it is")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1], help="default: where this program is")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    turns = "read the networks one after another, for each picture anew"
    parser.add_argument("--low-memory", action="store_true", help=turns)
    parser.add_argument("-o", "--out", type=Path, default=Path("picture.png"), help="default: picture.png")
    options = parser.parse_args(arguments)
    try:
        if options.out.suffix.lower() != ".png":
            raise ValueError(f"Pictures are saved as PNG: let {str(options.out)!r} end in .png.")
        if not options.out.parent.is_dir():
            raise ValueError(f"There is no folder {options.out.parent}: make it first, or name another with -o.")
        if options.out.exists():
            raise ValueError(f"{options.out} exists already: name another file with -o.")
        drawer = Drawer.open(options.folder, low_memory=options.low_memory)
        (pixels,) = drawer.draw([options.prompt], [options.seed])
        own = {"task": "text_to_image", "prompt": options.prompt, "seed": options.seed}
        options.out.write_bytes(png(pixels, json.dumps(own | drawer.description["record"])))
    except (ValueError, OSError) as error:
        print(f"dalle2_runner: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
