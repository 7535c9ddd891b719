"""What draws: a replica holds one checkpoint, and draws for several fronts and visitors at a time."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import serve

from dalle2.serving import batches
from dalle2.serving.batches import Visit
from dalle2.serving.catalogue import Card, Catalogue
from dalle2.serving.pace import Pace, Turn, job_of
from dalle2.serving.painter import LocalPainter, Painter
from dalle2.serving.ray.messages import Finished, Message, Order, Started, StepDone
from dalle2.serving.ray.remote_model import RemoteModel
from dalle2.serving.refusal import Cancelled, refusal_of
from dalle2.serving.service import PREVIEW_SECONDS
from dalle2.settings import Step
from dalle2.tasks.caption import Caption

# Requests at a time: while one batch is drawn the next one is ready, as on one machine. Ray's own default, 5, would
# never fill a batch; and what waits beyond these goes to the replica that is free first.
MOST = 16
# How long the first of several waits for those that come with it, so that all are in one batch from the prior on.
COMPANY_SECONDS = 0.005


class Replica:
    """One checkpoint's networks on one machine."""

    def __init__(self, checkpoint: str, opening: Mapping[str, Any]) -> None:
        """Open the checkpoint, as `Catalogue.open` does; ValueError says what is wrong with it."""
        self._catalogue = Catalogue.open(checkpoint, **opening)
        self._model = self._catalogue.model()
        self._painter = LocalPainter({self._model.checkpoint: self._model})

    async def describe(self) -> tuple[RemoteModel, Card]:
        """Return all that a front needs of the checkpoint."""
        name = self._model.checkpoint
        return RemoteModel(self._model), Card(self._catalogue.card(name), self._catalogue.licence(name))

    async def draw(self, order: Order) -> AsyncGenerator[Message]:
        """Draw the order, telling of it, with `Finished` at last; cancelling this call ends it within a step."""
        work = Work(self._painter, self._model.checkpoint, order)
        try:
            await self._begin(work)
            async for message in work.messages():
                yield message
        finally:
            work.give_up()

    @serve.batch(max_batch_size=MOST, batch_wait_timeout_s=COMPANY_SECONDS, max_concurrent_batches=MOST)
    async def _begin(self, works: "Sequence[Work]") -> list[None]:
        """Begin at once what came at once. Which of them agree, the painter's batches know, call by call."""
        return [work.begin() for work in works]


class Work:
    """One order: drawn in a thread, and told in the event loop."""

    def __init__(self, painter: Painter, checkpoint: str, order: Order) -> None:
        self._painter, self._checkpoint, self._order = painter, checkpoint, order
        turn = _TellingTurn(job_of("", (), len(order.seeds)), Pace(), tell=self._send)
        # What it may have waited here before it began is not waited again.
        self._visit = Visit(turn, patience=batches.COMPANY_SECONDS - COMPANY_SECONDS)
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._preview_due = 0.0

    def begin(self) -> None:
        """Draw in a thread of its own."""
        threading.Thread(target=self._work, daemon=True).start()

    def give_up(self) -> None:
        """End it, unless it has ended."""
        self._painter.give_up(self._visit)

    async def messages(self) -> AsyncGenerator[Message]:
        """Yield what is told, to the end."""
        while True:
            message = await self._messages.get()
            yield message
            if isinstance(message, Finished):
                return

    def _work(self) -> None:
        try:
            self._send(Finished(self._result()))
        except Cancelled:
            pass
        except Exception as error:
            self._send(Finished(refusal=refusal_of(error)))

    def _result(self) -> Sequence[Any]:
        request, settings = self._order.request, self._order.settings
        if isinstance(request, Caption):
            return self._painter.caption(self._visit, request, self._checkpoint)
        assert settings is not None, "what draws has settings"
        seeds = self._order.seeds
        return self._painter.draw(self._visit, request, self._checkpoint, seeds, settings, self._on_step)

    def _on_step(self, step: Step) -> None:
        early = time.monotonic() < self._preview_due
        previews = () if early else step.pictures()
        if previews:
            self._preview_due = time.monotonic() + PREVIEW_SECONDS
        self._send(StepDone(step.stage, step.index, step.total, previews))

    def _send(self, message: Message) -> None:
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)


@dataclass
class _TellingTurn(Turn):
    """A turn that tells when it begins: its time is measured by the front, which knows others'."""

    tell: Callable[[Message], None] = lambda _: None

    def begin(self, together: int = 0) -> None:
        self.tell(Started(together))
