"""`python -m dalle2 caption PICTURE …`: what pictures show, in words."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dalle2.cli import kinds
from dalle2.cli.arguments import DTYPES, SOURCE, add_loras
from dalle2.cli.command import Command

if TYPE_CHECKING:
    from dalle2.tasks.caption import Caption


def add(parser: argparse.ArgumentParser) -> None:
    """Add pictures, how many captions, and what finds them: it draws nothing, and has no other option."""
    parser.add_argument("contents", nargs="+", metavar="PICTURE")
    parser.add_argument("--num", type=kinds.whole, default=5, help="captions of each picture; default 5")
    parser.add_argument("--captioner", metavar="FOLDER_OR_ID", help="an image-to-text model, instead of the checkpoint")
    parser.add_argument("--say", metavar="FILE.wav", help="also read the best captions aloud into this file")
    parser.add_argument("--checkpoint", help=SOURCE)
    parser.set_defaults(allow_pickle=False, tokenizer=None, offload=False, engine="torch")
    add_loras(parser)
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is one")
    parser.add_argument("--dtype", choices=DTYPES, help="what the networks compute in; default float32")
    parser.set_defaults(compile=False)


def check(options: argparse.Namespace) -> None:
    """Raise ValueError unless all pictures are there, and for options of a checkpoint beside another captioner."""
    for name in options.contents:
        kinds.picture(name)
    if options.say is not None:
        check_spoken(options.say)
    if options.captioner and (options.checkpoint or options.dtype):
        raise ValueError("--captioner describes without a checkpoint: leave out --checkpoint and --dtype.")


def check_spoken(name: str) -> None:
    """Raise ValueError, before anything long, where a file of this name cannot be spoken or is there already."""
    from dalle2.speech.reading import check_reader

    check_reader()
    path = Path(name).expanduser()
    if path.suffix.lower() != ".wav":
        raise ValueError(f"--say writes a WAV file: let its name end in .wav, not {name!r}.")
    if path.exists():
        raise ValueError(f"{name} is there already: choose another name.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}.")


def request(options: argparse.Namespace) -> "Caption":
    """Return the request that the options describe, with its files opened."""
    from dalle2.cli.pictures import open_named
    from dalle2.tasks.caption import Caption

    return Caption([open_named(kinds.picture(name)) for name in options.contents], options.num)


COMMAND = Command("caption", "captions of each PICTURE, the best first", add, check, request, draws=False)
