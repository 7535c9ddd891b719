"""`python -m dalle2.convert FILES --out DIR`: DALLE2-pytorch's files, such as LAION's, to a checkpoint that opens here.

FILES are weights (.pth), each followed by its config (.json) where that is not in it: the prior's, the decoder's, and
those of more U-Nets that enlarge. What was done, and what could not be carried over, is said.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dalle2 import atomic


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder; exits with 2 and one sentence when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.convert", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILES", help="weights, each before its config")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    clip = "CLIP in transformers' layout, a folder or hub id; default: the one of OpenAI's that the configs name"
    parser.add_argument("--clip", metavar="FOLDER_OR_ID", help=clip)
    saved_by = "the version of dalle2-pytorch that saved them, where they do not say: its networks differ by version"
    parser.add_argument("--saved-by", metavar="VERSION", help=saved_by)
    online = "take the weights as they were trained, not their averages (EMA), where a file has both"
    parser.add_argument("--online", action="store_true", help=online)
    trusted = "read files that could run as programs too: only what you trust"
    parser.add_argument("--allow-pickle", action="store_true", help=trusted)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="of the weights")
    options = parser.parse_args(arguments)
    try:
        said = convert(options)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    sys.stdout.write("".join(f"{sentence}\n" for sentence in [*said, f"{options.out} is written."]))


def convert(options: argparse.Namespace) -> list[str]:
    """Write the folder -> sentences on what was done; ValueError and OSError say what is wrong."""
    if options.out.exists():  # told before long work
        raise ValueError(f"{options.out} exists already: choose another name, or remove it first.")
    atomic.check_folder(options.out)
    import torch
    from transformers.utils import logging

    from dalle2.families.dalle2_pytorch.files import assemble, read_sources
    from dalle2.families.dalle2_pytorch.layout import write
    from dalle2.families.dalle2_pytorch.model import default_settings
    from dalle2.families.description import Description

    logging.set_verbosity_error()  # of each encoder it would say that the other's weights are in its file too
    sources = read_sources(options.files, options.allow_pickle, options.online)
    parts, said = assemble(sources, options.clip, options.saved_by)
    dtype = None if options.dtype == "float32" else getattr(torch, options.dtype)
    write(parts, options.out, Description(default_settings(parts)).to_dict(), dtype)
    return said


if __name__ == "__main__":
    main()
