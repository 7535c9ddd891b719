"""What a command line says of what was understood."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from dalle2.understanding.answer import Understanding
from dalle2.understanding.sentences import NotUnderstood, sentences


def tell(understandings: Sequence[Understanding]) -> None:
    """Say what is drawn where that is not the very words."""
    if said := sentences(understandings):
        tqdm.write(said, file=sys.stderr)


def refused(unknown: NotUnderstood) -> ValueError:
    """Return what ends a command whose prompt is not understood, with what else can be done."""
    offered = unknown.understanding.nearest
    choice = "Draw one of what it knows" if offered else "Name another thing (--negative: what to avoid)"
    return ValueError(f"{unknown} {choice}, or use the prompt exactly as written with --literal.")
