"""Errors as sentences: what a visitor asked and cannot have, and what went wrong while drawing."""

import logging
import sys

from dalle2.refusal import Refusal

log = logging.getLogger(__name__)


class Busy(Refusal):
    """Too many wait already, or who asks has asked for enough; after `seconds` there should be room again."""

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class Forbidden(Refusal):
    """What was asked, or what came of it, is not drawn or shown on this server."""


class NoMemory(Refusal):
    """The machine has not enough memory for what was asked."""


class Fault(Refusal):
    """Something went wrong that is no fault of the visitor's."""


class Unwritable(Fault):
    """The server cannot keep what it was told, as on a full disk."""


class QueueFull(Exception):
    """Who draws takes no more for now; the service, which knows for how long, makes a `Busy` of it."""


class Cancelled(Exception):
    """Nobody waits for these pictures any more."""


def refusal_of(error: Exception) -> Refusal:
    """Return any error as a sentence; one that is a fault of ours goes to the log, and its own text nowhere else."""
    match error:
        case Refusal():
            return error
        case _ if _out_of_memory(error):
            log.warning("Out of memory while drawing: %s", error)
            return NoMemory("There is not enough memory for so many pictures at once: ask for fewer.")
        case _:
            log.error("Drawing failed", exc_info=error)
            return Fault("Something went wrong while drawing, and the server's log says what: please try again.")


def _out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")  # which may not have been needed yet, and then is not to blame
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))
