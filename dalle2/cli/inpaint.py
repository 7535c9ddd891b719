"""`python -m dalle2 inpaint PICTURE --mask MASK`: what is marked in a picture is painted anew."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_count, add_picture, add_prompt, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.inpaint import Inpaint


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, its mask, and a prompt beside it."""
    add_picture(parser)
    add_count(parser)
    add_prompt(parser)
    where = "white is repainted; default: where PICTURE is transparent"
    parser.add_argument("--mask", help=where)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless the picture is there, and the mask if there is one."""
    check_picture(options)
    options.mask = None if options.mask is None else kinds.picture(options.mask)


def request(options: argparse.Namespace) -> "Inpaint":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.images import open_mask, open_rgba
    from dalle2.tasks.inpaint import Inpaint

    (picture,) = options.contents
    if options.mask is None and open_rgba(picture).getchannel("A").getextrema()[0] == 255:
        raise ValueError(f"{picture} is transparent nowhere: say with --mask what is repainted.")
    mask = open_mask(options.mask or picture)
    if not mask.getextrema()[1]:
        raise ValueError(f"{options.mask} marks nothing: it is black, and what is white is repainted.")
    return Inpaint(open_named(picture), mask, prompt=options.prompt)


COMMAND = Command("inpaint", "PICTURE, repainted where the mask is white", add, check, request)
