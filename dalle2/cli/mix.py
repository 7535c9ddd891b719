"""`python -m dalle2 mix A=0.7 B=0.3 …`: pictures and prompts in one, by weight."""

import argparse
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.command import Command, add_count, add_literal, open_content

if TYPE_CHECKING:
    from dalle2.tasks.mix import Mix


def add(parser: argparse.ArgumentParser) -> None:
    """Add the parts, each with its weight."""
    parser.add_argument("contents", nargs="+", metavar="PICTURE_OR_PROMPT")
    add_count(parser)
    add_literal(parser)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless each part is a file that is there or a prompt."""
    options.contents = [kinds.part(text) for text in options.contents]


def request(options: argparse.Namespace) -> "Mix":
    """Return the request that the options describe, with its files opened."""
    from dalle2.tasks.mix import Mix

    return Mix([(open_content(content), weight) for content, weight in options.contents])


COMMAND = Command("mix", "pictures and prompts mixed by weight, such as cat.png=0.7 'a robot'=0.3", add, check, request)
