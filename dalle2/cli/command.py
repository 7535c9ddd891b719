"""`Command`: a task on the command line, as one value of its file in this room."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.hearing import add_audio, check_audio
from dalle2.settings import check_prompt

if TYPE_CHECKING:
    from PIL import Image

    from dalle2.requests import Request
    from dalle2.tasks.caption import Caption


@dataclass(frozen=True)
class Command:
    """`python -m dalle2 NAME …`.

    Attributes:
        name: the task's.
        help: one line for the list of tasks.
        add: adds what the task starts from, as `contents`, and the options that only it has.
        check: reads the files' names and prompts among them; ValueError for what is not there or cannot be drawn.
        request: the options -> what is asked for. It imports what it needs when it is called, which takes seconds.
        aliases: what the command was called before, and still may be.
        series: whether it draws a picture for each frame, strength, step or word, and not one for each seed.
        film: whether a series can be saved as a film.
        draws: False for a task that tells of pictures, and so has none of the options of drawing.
    """

    name: str
    help: str
    add: Callable[[argparse.ArgumentParser], None]
    check: Callable[[argparse.Namespace], None]
    request: "Callable[[argparse.Namespace], Request | Caption]"
    aliases: tuple[str, ...] = ()
    series: bool = False
    film: bool = False
    draws: bool = True


def add_literal(parser: argparse.ArgumentParser) -> None:
    """Add the option that leaves prompts as they are."""
    help_text = "use prompts exactly as written, without looking for what the checkpoint knows"
    parser.add_argument("--literal", action="store_true", help=help_text)


def add_picture(parser: argparse.ArgumentParser) -> None:
    """Add the picture that a task starts from."""
    parser.add_argument("contents", nargs=1, metavar="PICTURE")


def check_picture(options: argparse.Namespace) -> None:
    """Raise ValueError unless it is there, and can go with the prompt beside it."""
    options.contents = [kinds.picture(options.contents[0])]
    if hasattr(options, "audio"):
        check_audio(options, options.prompt)
    if getattr(options, "prompt", None) is not None:
        options.prompt = check_prompt(options.prompt)


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the prompt that a task starts from, with or without quotes."""
    parser.add_argument("contents", nargs="*", metavar="PROMPT")
    add_literal(parser)
    add_audio(parser)


def check_words(options: argparse.Namespace) -> None:
    """Raise ValueError unless they are a prompt."""
    if check_audio(options, options.contents):
        options.contents = [Path(options.audio)]
        return
    if not options.contents:
        needed = f"The task {options.task} needs PROMPT; to draw the word itself, write a longer prompt"
        raise ValueError(f"{needed} (a recording of one: --audio FILE).")
    options.contents = [check_prompt(" ".join(options.contents))]


def add_count(parser: argparse.ArgumentParser) -> None:
    """Add how many pictures to draw, where each seed is one."""
    parser.add_argument("-n", type=kinds.whole, metavar="N", help="how many pictures (seeds count up); default 1")


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """Add a prompt beside the picture."""
    parser.add_argument("--prompt", help="what the picture should show")
    add_literal(parser)
    add_audio(parser)


def open_content(content: str | Path) -> "str | Image.Image":
    """Return a prompt as it is, and a file as its picture."""
    from dalle2.cli.pictures import open_named

    return content if isinstance(content, str) else open_named(content)
