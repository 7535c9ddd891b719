"""`python -m dalle2 PROMPT`: pictures from a prompt; and `--from PICTURE`, which draws one again from its record."""

import argparse
import difflib
from collections.abc import Collection
from pathlib import Path

from dalle2.cli import kinds
from dalle2.cli.caption import check_spoken
from dalle2.cli.command import add_count, add_literal
from dalle2.cli.hearing import add_audio, add_sound, check_audio
from dalle2.settings import check_prompt


def add(parser: argparse.ArgumentParser) -> None:
    """Add the prompt, or the picture to draw again."""
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help='what to draw, such as "a cat face"')
    add_count(parser)
    parser.add_argument("--from", dest="source", metavar="PICTURE", help="redraw this PNG or SVG from its record")
    add_literal(parser)
    add_audio(parser)
    add_sound(parser)
    help_text = "also read aloud what the pictures show, as the checkpoint itself sees them, into this file"
    parser.add_argument("--say", metavar="FILE.wav", help=help_text)


def check(options: argparse.Namespace, tasks: Collection[str]) -> None:
    """Check a prompt, whose words may lack quotes, or a picture to draw again; ValueError for neither.

    `tasks` are the words that a misspelt first word may have meant.
    """
    words = options.prompt
    if options.source is not None:
        given = ("audio", "sound", "say", "n", "seed", "quality", "steps", "guidance", "negative_prompt", "scheduler")
        given += ("prior", "noise_level")
        clashing = [name for name in given if getattr(options, name) is not None]
        clashing += [name for name in ("draft", "literal") if getattr(options, name)]
        if words or clashing:
            spelled = {"n": "-n", "negative_prompt": "--negative", "noise_level": "--noise-level"}
            name = "the prompt" if words else spelled.get(clashing[0], f"--{clashing[0]}")
            raise ValueError(f"--from draws the picture as it was: leave out {name}, or leave out --from.")
        options.source = kinds.picture(options.source)
        return
    if options.say is not None:
        check_spoken(options.say)
    if check_audio(options, words):
        options.prompt = ""
        return
    if not words:
        raise ValueError('Give a prompt, such as "a cat face", or a picture to draw again with --from.')
    if len(words) > 1 and (near := difflib.get_close_matches(words[0], tasks, 1, 0.8)):
        quoted = " ".join(words)
        raise ValueError(f'There is no task {words[0]}: did you mean {near[0]}? A prompt stands in quotes, "{quoted}".')
    if picture := next((word for word in words if kinds.PICTURE.fullmatch(word) and Path(word).is_file()), None):
        raise ValueError(
            f"{picture} is a picture: say what to do with it, as in variations {picture}, or draw it again with "
            f"--from {picture}."
        )
    options.prompt = check_prompt(" ".join(words))
