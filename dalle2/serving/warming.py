"""What will be needed is read while the first visitor reads the page: first what draws without torch, later torch.

A request does not wait for it: torch is imported, which slows everything else for seconds, only when nobody draws, once
the first pictures are there, or nobody has come for a while.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

from dalle2.families.lazy import LazyModel
from dalle2.serving.service import Service

UNVISITED_SECONDS = 30.0  # after which torch is imported although nobody has drawn yet
REST_SECONDS = 5.0  # in which nobody draws: who draws again and again is not slowed by it
LOOK_SECONDS = 0.2
ENDING_SECONDS = 10.0  # that a server waits for what is being read

log = logging.getLogger(__name__)


@contextmanager
def warming(service: Service) -> Generator[None]:
    """Read what lazy models will need, in a thread that ends with the block: once it has read what it began."""
    ended = threading.Event()
    models = [service.model(name) for name in service.checkpoints]
    unloaded = [model for model in models if isinstance(model, LazyModel)]
    threads = [threading.Thread(target=_warm, args=(service, model, ended), daemon=True) for model in unloaded]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:  # what is being opened would end the process with an abort
            thread.join(ENDING_SECONDS)


def _warm(service: Service, model: LazyModel, ended: threading.Event) -> None:
    try:
        model.draws_unloaded(model.settings)
        if not ended.is_set():
            _ = model.interpreter
        if _wait(service, model, ended):
            _ = model.loaded
    except Exception as error:  # who needs it is told so too
        log.warning("%s could not be read beforehand: %s", model.checkpoint, error)


def _wait(service: Service, model: LazyModel, ended: threading.Event) -> bool:
    """Wait until nobody draws, after the first pictures or long after the start; False where it is over before."""
    waited = rested = 0.0
    drawn = False
    while model.unloaded and not ended.wait(LOOK_SECONDS):
        waited += LOOK_SECONDS
        busy = bool(service.queue.tickets)
        drawn, rested = drawn or busy, 0.0 if busy else rested + LOOK_SECONDS
        if rested >= REST_SECONDS and (drawn or waited >= UNVISITED_SECONDS):
            return True
    return False
