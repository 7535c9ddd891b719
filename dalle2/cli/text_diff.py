"""`python -m dalle2 text_diff PICTURE --to TEXT`: a picture moved by words."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_literal, add_picture, check_picture
from dalle2.settings import STRENGTHS, check_prompt

if TYPE_CHECKING:
    from dalle2.tasks.text_diff import TextDiff


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture, the texts that it is moved by, and how far."""
    add_picture(parser)
    parser.add_argument("--to", required=True, metavar="TEXT", help="what it should become")
    old = "what it is now; default: not said"
    parser.add_argument("--from", dest="old", metavar="TEXT", help=old)
    parser.add_argument(
        "--way", choices=STRENGTHS, help="prior: the prior rewrites the picture; slerp: the paper's method"
    )
    shown = "from 0 to 1, with commas; default: some that show the way well"
    parser.add_argument("--strengths", type=kinds.numbers(float), help=shown)
    add_literal(parser)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless the picture is there, and the texts are texts."""
    check_picture(options)
    options.to = check_prompt(options.to)
    options.old = None if options.old is None else check_prompt(options.old)


def request(options: argparse.Namespace) -> "TextDiff":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.text_diff import TextDiff

    return TextDiff(open_named(options.contents[0]), options.to, options.old, options.strengths, options.way)


COMMAND = Command(
    "text_diff", "PICTURE changed toward what a text says", add, check, request, aliases=("diff",), series=True
)
