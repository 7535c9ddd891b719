"""`python -m dalle2 attention PROMPT`: which pixels each word of a prompt drew."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli.command import Command, add_words, check_words

if TYPE_CHECKING:
    from dalle2.tasks.attention import Attention


def add(parser: argparse.ArgumentParser) -> None:
    """Add a prompt."""
    add_words(parser)


def request(options: argparse.Namespace) -> "Attention":
    """Return the request that the options describe, with its files opened."""
    from dalle2.tasks.attention import Attention

    return Attention(options.contents[0])


COMMAND = Command("attention", "which pixels each word of PROMPT drew", add, check_words, request, series=True)
