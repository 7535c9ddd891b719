"""`python -m dalle2 tour PROMPT`: how its picture comes about, from the words to the last pixel."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli.command import Command, add_words, check_words

if TYPE_CHECKING:
    from dalle2.tasks.tour import Tour


def add(parser: argparse.ArgumentParser) -> None:
    """Add a prompt."""
    add_words(parser)


def request(options: argparse.Namespace) -> "Tour":
    """Return the request that the options describe, with its files opened."""
    from dalle2.tasks.tour import Tour

    return Tour(options.contents[0])


COMMAND = Command(
    "tour", "how the picture of PROMPT comes about, station by station", add, check_words, request, series=True
)
