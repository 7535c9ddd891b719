"""A prompt that was spoken, or a sound: the options --audio and --sound, and what they become."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from dalle2.model import UnclipModel
    from dalle2.speech.transcript import Transcript

SHOWN = 3  # sounds, with their scores


def add_audio(parser: argparse.ArgumentParser) -> None:
    """Add the recording that holds the prompt, and what hears it."""
    parser.add_argument("--audio", metavar="FILE", help="a recording of the prompt, in nearly any format; English")
    named = "folder or hub id of a speech model for any language, such as openai/whisper-small; default: pocketsphinx"
    parser.add_argument("--recogniser", metavar="FOLDER_OR_ID", help=named)


def add_sound(parser: argparse.ArgumentParser) -> None:
    """Add the recording of a sound, of which the thing is drawn that makes it."""
    said = "a recording of a sound, such as a bark: what makes it is drawn; needs a CLAP model as --recogniser"
    parser.add_argument("--sound", metavar="FILE", help=said)


def check_audio(options: argparse.Namespace, words: object) -> bool:
    """Return whether the prompt comes from a recording; ValueError where it is not there, or stands beside words."""
    sound = getattr(options, "sound", None)
    if options.audio is None and sound is None:
        if options.recogniser:
            raise ValueError("--recogniser hears a recording: name one with --audio.")
        return False
    if options.audio is not None and sound is not None:
        raise ValueError("--audio is a spoken prompt, and --sound is any other sound: give one of them.")
    option, file = ("--audio", options.audio) if sound is None else ("--sound", sound)
    if words:
        raise ValueError(f"{option} holds the prompt: leave out the written one, or leave out {option}.")
    if not Path(file).expanduser().is_file():
        raise ValueError(f"There is no recording {file!r}.")
    if sound is not None and not options.recogniser:
        raise ValueError(
            "--sound is heard by a CLAP model, of which no weights come with this program: name a folder or a hub id "
            "with --recogniser, such as laion/clap-htsat-unfused."
        )
    return True


def opened(options: argparse.Namespace) -> "np.ndarray | None":
    """Return the recording's samples, before anything that takes long; None where there is no recording."""
    from dalle2.speech.recording import read_recording, read_sound

    if getattr(options, "sound", None):
        return read_sound(Path(options.sound).expanduser())
    return read_recording(Path(options.audio).expanduser()) if getattr(options, "audio", None) else None


def prompt_of(options: argparse.Namespace, samples: "np.ndarray", model: "UnclipModel") -> "tuple[Transcript, str]":
    """Return what was heard, and the prompt that is made of it, which somebody at a terminal can correct."""
    if getattr(options, "sound", None):
        heard, thing = listen(options, samples, model)
        return heard, asked(thing)
    heard = hear(options, samples, model)
    return heard, asked(mended(heard.words, model) if options.recogniser else heard.words)


def hear(options: argparse.Namespace, samples: "np.ndarray", model: "UnclipModel") -> "Transcript":
    """Return the words that were heard, which are told."""
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


def mended(heard: str, model: "UnclipModel") -> str:
    """Return what was heard, with what it sounds like of the checkpoint's things and styles, which is told."""
    from dalle2.speech.mending import Mending

    mending = None if model.interpreter is None else Mending.of(model.interpreter, model.styles)
    said = heard if mending is None else mending.mended(heard)
    if said != heard:
        print(f'Taken for: "{said}".', file=sys.stderr, flush=True)
    return said


def listen(options: argparse.Namespace, samples: "np.ndarray", model: "UnclipModel") -> "tuple[Transcript, str]":
    """Return the nearest sound, which is told with its score and the next ones', and what to draw for it.

    A checkpoint with a vocabulary hears only what it can draw, and is asked for the thing; another for the sound's own
    words, such as "dog barking".
    """
    from dalle2.speech.clap import Clap
    from dalle2.speech.transcript import Transcript

    found = Clap(options.recogniser).recognise(samples, lambda thing: model.understand(thing).known)
    first, *others = (f"{one.words} ({one.score:.2f})" for one in found[:SHOWN])
    print(f"I hear: {first}{'; less likely: ' if others else ''}{', '.join(others)}.", file=sys.stderr, flush=True)
    best = found[0]
    return Transcript(best.words, options.recogniser), best.thing if model.understands else best.words


def asked(words: str) -> str:
    """Return the words as somebody at a terminal wants them; as they are where nobody can be asked."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return words
    print(f'Press Enter to draw "{words}", or type what was meant: ', end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or words
