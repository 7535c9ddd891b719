"""The painter of a front: it lets replicas draw, and has lost ones' work done again by others."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, TaskCancelledError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from dalle2.requests import Request
from dalle2.serving.batches import Visit
from dalle2.serving.pace import OVERHEAD
from dalle2.serving.ray.messages import Finished, Order, Started, StepDone
from dalle2.serving.ray.replica import MOST
from dalle2.serving.refusal import Cancelled, QueueFull
from dalle2.settings import OnStep, Settings, Step
from dalle2.tasks.caption import Caption


class ReplicaLost(Exception):
    """A replica stopped telling of an order before its end, as one that is ended by force."""


LOST = (RayActorError, WorkerCrashedError, NodeDiedError, ObjectLostError, ReplicaUnavailableError, ReplicaLost)
FULL = (BackPressureError, DeploymentUnavailableError)
# Before each further attempt: a replica that is lost is replaced within seconds, and others may be there meanwhile.
PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)

log = logging.getLogger(__name__)


class RayPainter:
    """Draws by the replicas of each checkpoint, of which there are at most so many."""

    def __init__(self, replicas: Mapping[str, DeploymentHandle], most_replicas: int) -> None:
        self._replicas = {name: handle.options(stream=True) for name, handle in replicas.items()}
        self._streams: dict[Visit, DeploymentResponseGenerator] = {}
        self.batch, self.batches_at_once, self.overhead = MOST, most_replicas * len(replicas), OVERHEAD
        # Nothing is held back here: how much waits for replicas is what Ray scales their number by.
        self.together = self.batch * self.batches_at_once

    def draw(
        self,
        visit: Visit,
        request: Request,
        checkpoint: str,
        seeds: Sequence[int],
        settings: Settings,
        on_step: OnStep,
    ) -> list[Image.Image]:
        return list(self._persist(visit, checkpoint, Order(request, tuple(seeds), settings), on_step))

    def caption(self, visit: Visit, request: Caption, checkpoint: str) -> list[tuple[str, float]]:
        return list(self._persist(visit, checkpoint, Order(request), lambda _: None))

    def give_up(self, visit: Visit) -> None:
        visit.closed.set()
        if stream := self._streams.pop(visit, None):
            stream.cancel()

    def _persist(self, visit: Visit, checkpoint: str, order: Order, on_step: OnStep) -> Sequence[Any]:
        """Return what a replica makes of the order, or another one where that is lost: the same, by the same seeds."""
        for pause in PAUSES:
            try:
                return self._once(visit, checkpoint, order, on_step)
            except LOST as error:
                log.warning("A replica of %s was lost, and its work begins anew: %s", checkpoint, type(error).__name__)
            except FULL:
                if not visit.turn.begun:
                    raise QueueFull from None
            if visit.closed.wait(pause):
                raise Cancelled
        return self._once(visit, checkpoint, order, on_step)

    def _once(self, visit: Visit, checkpoint: str, order: Order, on_step: OnStep) -> Sequence[Any]:
        stream = self._streams[visit] = self._replicas[checkpoint].draw.remote(order)
        try:
            if visit.closed.is_set():  # before there was a stream to be cancelled
                stream.cancel()
                raise Cancelled
            return _result_of(stream, visit, on_step)
        except TaskCancelledError as error:
            raise (Cancelled if visit.closed.is_set() else ReplicaLost) from error
        finally:
            self._streams.pop(visit, None)


def _result_of(stream: Iterator[Any], visit: Visit, on_step: OnStep) -> Sequence[Any]:
    """Return the result, having passed on what was told before."""
    for message in stream:
        match message:
            case Started(together):
                visit.turn.begin(together)
            case StepDone(stage, index, total, previews):
                on_step(Step(stage, index, total, lambda previews=previews: list(previews)))
            case Finished(result, refusal):
                if refusal is not None:
                    raise refusal
                return result
    raise ReplicaLost
