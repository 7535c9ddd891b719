"""`python -m dalle2 variations PICTURE`: other pictures with the content of one."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli.command import Command, add_count, add_picture, add_prompt, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.variations import Variations


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, a prompt beside it, and how much of its composition may change."""
    add_picture(parser)
    add_count(parser)
    add_prompt(parser)
    parser.add_argument("--eta", type=float, help="0 keeps the picture as it is, 1 only its rough composition")


def request(options: argparse.Namespace) -> "Variations":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.variations import Variations

    return Variations(open_named(options.contents[0]), options.prompt, options.eta)


COMMAND = Command(
    "variations", "pictures with the content of PICTURE; with --eta also its composition", add, check_picture, request
)
