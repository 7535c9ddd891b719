"""A prompt that was spoken: the option --audio of the tasks that start from words, and what it becomes."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from dalle2.model import UnclipModel
    from dalle2.speech.heard import Heard


def add_audio(parser: argparse.ArgumentParser) -> None:
    """Add the recording that holds the prompt, and what hears it."""
    parser.add_argument("--audio", metavar="FILE", help="a recording of the prompt, in nearly any format; English")
    named = "folder or hub id of a speech model for any language, such as openai/whisper-small; default: pocketsphinx"
    parser.add_argument("--recogniser", metavar="FOLDER_OR_ID", help=named)


def check_audio(options: argparse.Namespace, words: object) -> bool:
    """Return whether the prompt comes from a recording; ValueError where it is not there, or stands beside words."""
    if options.audio is None:
        if options.recogniser:
            raise ValueError("--recogniser hears a recording: name one with --audio.")
        return False
    if words:
        raise ValueError("--audio holds the prompt: leave out the written one, or leave out --audio.")
    if not Path(options.audio).expanduser().is_file():
        raise ValueError(f"There is no recording {options.audio!r}.")
    return True


def opened(options: argparse.Namespace) -> "np.ndarray":
    """Return the recording's samples, before anything that takes long."""
    from dalle2.speech.recording import read_recording

    return read_recording(Path(options.audio).expanduser())


def hear(options: argparse.Namespace, samples: "np.ndarray", model: "UnclipModel") -> "Heard":
    """Return what was heard, which is told, and can be corrected where somebody sits at a terminal."""
    if options.recogniser:
        from dalle2.speech.whisper import Whisper

        heard = Whisper(options.recogniser).recognise(samples)
    else:
        from dalle2.speech.sphinx import Sphinx

        if model.interpreter is None:
            raise ValueError("This checkpoint has no vocabulary to listen for: name a speech model with --recogniser.")
        heard = Sphinx(model.interpreter.vocabulary, model.styles).recognise(samples)
    print(f'Heard: "{heard.words}".', file=sys.stderr, flush=True)
    return heard


def corrected(heard: "Heard") -> str:
    """Return the words as somebody at a terminal wants them; as they were heard where nobody can be asked."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return heard.words
    print("Press Enter to draw this, or type what was meant: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or heard.words
