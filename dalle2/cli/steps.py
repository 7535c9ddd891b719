"""`python -m dalle2 steps PROMPT`: what is predicted at each step for a prompt."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli.command import Command, add_words, check_words

if TYPE_CHECKING:
    from dalle2.tasks.steps import Steps


def add(parser: argparse.ArgumentParser) -> None:
    """Add a prompt."""
    add_words(parser)


def request(options: argparse.Namespace) -> "Steps":
    """Return the request that the options describe, with its files opened."""
    from dalle2.tasks.steps import Steps

    return Steps(options.contents[0])


COMMAND = Command(
    "steps", "the picture that is predicted at each step for PROMPT", add, check_words, request, series=True
)
