"""What will be needed is read while the first visitor reads the page: first what draws without torch, later torch.

A request does not wait for it: torch is imported, which slows everything else for seconds, only when nobody draws, once
the first pictures are there, or nobody has come for a while.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

from dalle2.families.early import EarlyModel
from dalle2.serving.service import Service

UNVISITED_SECONDS = 30.0  # after which torch is imported although nobody has drawn yet
REST_SECONDS = 1.0  # in which the pictures that were drawn reach their visitor
LOOK_SECONDS = 0.2

log = logging.getLogger(__name__)


@contextmanager
def warming(service: Service) -> Generator[None]:
    """Read what models that are there early will need, in a thread that ends with the block, if it has not begun."""
    ended = threading.Event()
    for name in service.checkpoints:
        model = service.model(name)
        if isinstance(model, EarlyModel):
            threading.Thread(target=_warm, args=(service, model, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _warm(service: Service, model: EarlyModel, ended: threading.Event) -> None:
    try:
        model.draws_early(model.settings)
        _ = model.interpreter
        if _wait(service, model, ended):
            _ = model.loaded
    except Exception as error:  # who needs it is told so too
        log.warning("%s could not be read beforehand: %s", model.checkpoint, error)


def _wait(service: Service, model: EarlyModel, ended: threading.Event) -> bool:
    """Wait until nobody draws, after the first pictures or long after the start; False where it is over before."""
    waited = rested = 0.0
    drawn = False
    while model.early and not ended.wait(LOOK_SECONDS):
        waited += LOOK_SECONDS
        busy = bool(service.queue.tickets)
        drawn, rested = drawn or busy, 0.0 if busy else rested + LOOK_SECONDS
        if rested >= REST_SECONDS and (drawn or waited >= UNVISITED_SECONDS):
            return True
    return False
