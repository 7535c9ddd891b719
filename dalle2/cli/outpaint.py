"""`python -m dalle2 outpaint PICTURE`: a picture made small, and the world around it painted."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_count, add_picture, add_prompt, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.outpaint import Outpaint


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, a prompt beside it, and where it stands in the new one."""
    add_picture(parser)
    add_count(parser)
    add_prompt(parser)
    parser.add_argument("--share", type=float, default=0.5, help="of the new side, for PICTURE; default 0.5")
    place = "where PICTURE is placed: 0,0 is top left; default 0.5,0.5"
    parser.add_argument("--anchor", type=kinds.numbers(float), default=[0.5, 0.5], help=place)
    hard = "keep every pixel of the square; default: its subject, or its edge, blends with what is painted"
    parser.add_argument("--hard-edge", action="store_true", help=hard)


def request(options: argparse.Namespace) -> "Outpaint":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.outpaint import Outpaint

    picture, anchor = open_named(options.contents[0]), tuple(options.anchor)
    return Outpaint(picture, options.share, anchor, not options.hard_edge, prompt=options.prompt)


COMMAND = Command("outpaint", "PICTURE made smaller, with its surroundings painted", add, check_picture, request)
