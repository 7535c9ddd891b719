"""Draw from an exported checkpoint: `python -m dalle2_runner PROMPT`."""

import argparse
import json
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np  # which may be missing, as is then said in a sentence

MOST_SEED, MOST_CHARACTERS = 2**32 - 1, 1000  # as `dalle2.settings` has them, so that records are drawn again there


def png(pixels: "np.ndarray", text: str) -> bytes:
    """Return pixels (3, size, size) in -1..1 as a PNG that says how it was made."""
    levels = ((pixels * 0.5 + 0.5).clip(0, 1) * 255).round().astype("uint8").transpose(1, 2, 0)
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
        prompt = check(options.prompt, options.seed, options.out)
        from dalle2_runner.drawer import Drawer

        drawer = Drawer.open(options.folder, low_memory=options.low_memory)
        (pixels,) = drawer.draw([prompt], [options.seed])
        own = {"task": "text_to_image", "prompt": prompt, "seed": options.seed}
        write(options.out, png(pixels, json.dumps(own | drawer.description["record"])))
    except ModuleNotFoundError as error:
        print(f"dalle2_runner: the package {error.name} is not installed: pip install {error.name}", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"dalle2_runner: {error}", file=sys.stderr)
        return 1
    return 0


def check(prompt: str, seed: int, out: Path) -> str:
    """Return the prompt without the blanks around it; ValueError for what would fail after the drawing, or never."""
    prompt = prompt.strip()
    if not prompt:
        raise ValueError("The prompt is empty: write what the picture should show.")
    if len(prompt) > MOST_CHARACTERS:
        raise ValueError(f"The prompt has {len(prompt):,} characters, but at most {MOST_CHARACTERS:,} are allowed.")
    if any("\ud800" <= character <= "\udfff" for character in prompt):
        raise ValueError("The prompt holds half of a character: type or paste it again.")
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"A seed must be a whole number from 0 to {MOST_SEED}, not {seed}.")
    if out.exists():
        raise ValueError(f"{out} exists already: name another file with -o.")
    if out.suffix.lower() != ".png":
        raise ValueError(f"Pictures are saved as PNG: let {str(out)!r} end in .png.")
    if not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent}: make it first, or name another with -o.")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ValueError(f"Nothing can be written into {out.parent}: name a file in another folder with -o.")
    return prompt


def write(out: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; OSError where the disk is full."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
