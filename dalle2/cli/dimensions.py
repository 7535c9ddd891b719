"""`python -m dalle2 dimensions PICTURE`: a picture from a growing number of the axes of its embedding."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_picture, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.dimensions import Dimensions


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, how many axes, and whose."""
    add_picture(parser)
    axes = [2**power for power in range(9)]
    parser.add_argument("--axes", type=kinds.numbers(int), default=axes, help="with commas; default 1,2,4 to 256")
    whose = "whose axes; default: of what the prior draws"
    parser.add_argument("--pictures", metavar="FOLDER", help=whose)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless the picture is there, and the folder if one is named."""
    check_picture(options)
    if options.pictures and not Path(options.pictures).expanduser().is_dir():
        raise ValueError(f"There is no folder {options.pictures}.")


def request(options: argparse.Namespace) -> "Dimensions":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.images import open_picture
    from dalle2.tasks.dimensions import IMAGINED, Dimensions

    others = None
    if not options.pictures:
        said = f"First the prior draws {IMAGINED} embeddings to take the axes of; --pictures FOLDER names others."
        sys.stderr.write(f"{said}\n")
    else:
        folder = Path(options.pictures).expanduser()
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name[0] != "."]
        others = [open_picture(file) for file in files]
    return Dimensions(open_named(options.contents[0]), options.axes, others)


COMMAND = Command(
    "dimensions",
    "PICTURE from a growing number of the principal axes of its embedding",
    add,
    check,
    request,
    series=True,
)
