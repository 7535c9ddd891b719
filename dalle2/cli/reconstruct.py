"""`python -m dalle2 reconstruct PICTURE`: a picture through its embedding and its noise, and back."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_picture, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.reconstruct import Reconstruct


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, and how exactly its noise is looked for."""
    add_picture(parser)
    parser.add_argument("--refinements", type=kinds.whole, default=1, help="0 for the plain inversion; default 1")


def request(options: argparse.Namespace) -> "Reconstruct":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.reconstruct import Reconstruct

    return Reconstruct([open_named(options.contents[0])], options.refinements)


COMMAND = Command("reconstruct", "PICTURE through its embedding and its noise, and back", add, check_picture, request)
