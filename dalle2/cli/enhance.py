"""`python -m dalle2 enhance PICTURE`: a small picture enlarged by the upsampler alone."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli.command import Command, add_picture, check_picture

if TYPE_CHECKING:
    from dalle2.tasks.enhance import Enhance


def add(parser: argparse.ArgumentParser) -> None:
    """Add a picture; `--size`, which all commands have, says how large it becomes."""
    add_picture(parser)


def request(options: argparse.Namespace) -> "Enhance":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.enhance import Enhance

    # Made larger than the checkpoint draws, a picture that was drawn here keeps its record.
    return Enhance(open_named(options.contents[0], with_record=bool(options.size)), options.size)


COMMAND = Command("enhance", "a small PICTURE, enlarged by the upsampler alone", add, check_picture, request)
