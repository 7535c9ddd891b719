"""`python -m dalle2 interpolate A B …`: the way from a picture or prompt to another, in frames or as a film."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_literal, open_content

if TYPE_CHECKING:
    from dalle2.tasks.interpolate import Interpolate


def add(parser: argparse.ArgumentParser) -> None:
    """Add the ends of the way, and its frames."""
    parser.add_argument("contents", nargs="+", metavar="PICTURE_OR_PROMPT")
    parser.add_argument("--frames", type=kinds.whole, default=8, help="default 8; -o way.gif or way.mp4: a film")
    parser.add_argument("--noise", choices=("fixed", "slerp"), default="fixed", help="slerp: the pictures' own")
    parser.add_argument("--loop", action="store_true", help="return to the first one at the end")
    add_literal(parser)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless there are two ends or more, each a file that is there or a prompt."""
    options.contents = [kinds.content(text) for text in options.contents]
    if len(options.contents) < 2:
        raise ValueError("An interpolation needs at least two ends, pictures or prompts.")


def request(options: argparse.Namespace) -> "Interpolate":
    """Return the request that the options describe, with its files opened."""
    from dalle2.tasks.interpolate import Interpolate

    ends = [open_content(content) for content in options.contents]
    return Interpolate(ends, options.frames, options.noise, options.loop)


COMMAND = Command(
    "interpolate", "the transition between two or more pictures or prompts", add, check, request, series=True, film=True
)
