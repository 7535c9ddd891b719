"""Where visitors and the models meet: one turn at a time, steps as a stream, cancelling, errors as sentences."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from PIL import Image

from dalle2.model import UnclipModel
from dalle2.serving.catalogue import Card, Catalogue
from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import MAX_PICTURES, WAITING_VISITORS, Choice, seeds_of
from dalle2.serving.manner import FREE, Manner
from dalle2.serving.pace import Pace, Turn, job_of
from dalle2.serving.queue import Queue, Ticket
from dalle2.serving.refusal import Cancelled, Refusal, refusal_of
from dalle2.settings import OnStep, Settings, Step

PREVIEW_SECONDS = 0.4  # between two previews: more often would only load the network
TICK_SECONDS = 0.5  # the longest silence, so that a stream can be closed also during a long step

# What is drawn in a turn: (model, seeds, settings, on_step) -> pictures.
Task = Callable[[UnclipModel, Sequence[int], Settings, OnStep], Sequence[Image.Image]]


class Service(Catalogue):
    """The models of one machine, and its one turn."""

    def __init__(
        self,
        *models: UnclipModel,
        cards: Mapping[str, Card] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        super().__init__(*models, cards=cards, folders=folders)
        self.queue = Queue(WAITING_VISITORS)
        self._pace = Pace()

    def draw(
        self,
        task: Task,
        seed: int | None,
        count: int,
        settings: Choice = "default",
        checkpoint: str | None = None,
        most: int = MAX_PICTURES,
        manner: Manner = FREE,
    ) -> Iterator[Drawing]:
        """Run `task` when it is our turn, with `count` seeds that count up from `seed`; None picks one at random.

        Closing the iterator cancels within a step. Refusal when the request is out of range, cannot be drawn, or
        comes when too many wait already. `most` bounds the count; `manner` is the task's.
        """
        model = self.model(checkpoint)
        chosen = self.settings(settings, checkpoint, manner)
        try:
            chosen.negated(manner.stages)
            seeds = seeds_of(seed, count, most)
        except ValueError as error:
            raise Refusal(str(error)) from error
        stages = tuple((name, 0, stage.num_inference_steps) for name, stage in manner.rows(chosen).items())
        kind = f"{model.checkpoint} {manner.kind or manner.adapted} {' '.join(manner.stages)}"
        turn = Turn(job_of(kind, stages, len(seeds)), self._pace)
        yield from self._stream(Drawing(seeds, stages), turn, lambda on_step: task(model, seeds, chosen, on_step))

    def describe(self, picture: Image.Image, num: int, checkpoint: str | None = None) -> Iterator[Drawing]:
        """The captions that are nearest to the picture, when it is our turn; Refusal as by `draw`."""
        model = self.model(checkpoint)

        def task(_: OnStep) -> list[tuple[str, float]]:
            return [(one.caption, one.score) for one in model.caption([picture], num)[0]]

        turn = Turn(job_of(f"{model.checkpoint} captions", (), 1), self._pace)
        yield from self._stream(Drawing((), ()), turn, task, "captions")

    def _stream(
        self, drawing: Drawing, turn: Turn, task: Callable[[OnStep], Sequence[Any]], result: str = "pictures"
    ) -> Iterator[Drawing]:
        """Wait for the turn, then run the task in a thread; what it reports comes out, at least every TICK_SECONDS.

        `result` is the drawing's field for what the task returns.
        """
        ticket = self.queue.join(turn)
        if ticket is None:
            raise Refusal("Many visitors are waiting already: please try again in a minute.")
        try:
            while ahead := ticket.ahead():
                yield dataclasses.replace(drawing, ahead=ahead, seconds_left=ticket.seconds_left())
                ticket.wait(TICK_SECONDS)
            news: SimpleQueue[Drawing | Exception] = SimpleQueue()
            closed = threading.Event()
            work = (drawing, turn, task, result, news.put, closed, ticket)
            threading.Thread(target=self._work, args=work, daemon=True).start()
        except BaseException:
            ticket.leave()
            raise
        try:
            while not drawing.finished:
                yield dataclasses.replace(drawing, seconds_left=turn.left())
                drawing = _newest(news, drawing)
            yield drawing
        finally:
            # The thread keeps the turn until its step is done: no two requests are ever on the accelerator.
            closed.set()

    def _work(
        self,
        drawing: Drawing,
        turn: Turn,
        task: Callable[[OnStep], Sequence[Any]],
        result: str,
        tell: Callable[[Drawing | Exception], None],
        closed: threading.Event,
        ticket: Ticket,
    ) -> None:
        preview_due = 0.0
        turn.begin()

        def on_step(step: Step) -> None:
            nonlocal drawing, preview_due
            if closed.is_set():
                raise Cancelled
            shown: Sequence[Image.Image] = ()
            if time.monotonic() >= preview_due:
                shown = step.pictures()
                preview_due = time.monotonic() + PREVIEW_SECONDS if shown else 0.0
            drawing = drawing.after(step, shown)
            turn.step(step.stage, step.index)
            tell(drawing)

        try:
            found = {result: tuple(task(on_step))}
            turn.end()
            tell(dataclasses.replace(drawing, **found, seconds_left=0.0, finished=True))
        except Cancelled:
            pass
        except Exception as error:
            tell(refusal_of(error))
        finally:
            ticket.leave()


def _newest(news: SimpleQueue, drawing: Drawing) -> Drawing:
    """The last that was told, skipping what came between; the same drawing again after TICK_SECONDS of silence."""
    try:
        told = news.get(timeout=TICK_SECONDS)
        while not (isinstance(told, Exception) or news.empty()):
            told = news.get()
    except Empty:
        return drawing
    if isinstance(told, Exception):
        raise told
    return told
