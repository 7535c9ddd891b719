"""`python -m dalle2 inpaint PICTURE --mask MASK`: what is marked in a picture is painted anew."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_count, add_picture, add_prompt

if TYPE_CHECKING:
    from dalle2.tasks.inpaint import Inpaint


def add(parser: argparse.ArgumentParser) -> None:
    """A picture, its mask, and a prompt beside it."""
    add_picture(parser)
    add_count(parser)
    add_prompt(parser)
    where = "white is repainted; default: where PICTURE is transparent"
    parser.add_argument("--mask", metavar="PICTURE", type=kinds.picture, help=where)


def request(options: argparse.Namespace) -> "Inpaint":
    """What the options ask for, its files opened."""
    from dalle2.images import open_mask, open_picture
    from dalle2.tasks.inpaint import Inpaint

    (picture,) = options.contents
    mask = open_mask(options.mask or picture)
    return Inpaint(open_picture(picture), mask, prompt=options.prompt)


COMMAND = Command(
    "inpaint",
    "PICTURE with what is white in the mask painted anew",
    add,
    request,
)
