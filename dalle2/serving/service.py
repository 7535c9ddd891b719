"""Where visitors and the models meet: fair turns in batches, steps as a stream, cancelling, errors as sentences."""

import dataclasses
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from PIL import Image

from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.serving.batches import Visit
from dalle2.serving.catalogue import Card, Catalogue
from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import MAX_PICTURES, WAITING_VISITORS, Choice, seeds_of
from dalle2.serving.pace import Pace, Turn, job_of
from dalle2.serving.painter import LocalPainter, Painter
from dalle2.serving.queue import Queue, Ticket
from dalle2.serving.refusal import Busy, Cancelled, QueueFull, refusal_of
from dalle2.serving.reports import Reports
from dalle2.serving.safety import Safety, without_previews
from dalle2.settings import OnStep, Step
from dalle2.tasks.caption import Caption
from dalle2.tasks.enhance import Enhance

PREVIEW_SECONDS = 0.4  # between two previews: more often would only load the network; longer for a crowd
TICK_SECONDS = 0.5  # the longest silence, so that a stream can be closed also during a long step
EVENTS_A_SECOND = 10.0  # of all streams together, since each takes time from drawing; alone, every step is told


class Service(Catalogue):
    """Models for many visitors at a time: of this machine, unless another painter draws."""

    def __init__(
        self,
        *models: UnclipModel,
        cards: Mapping[str, Card] | None = None,
        folders: Mapping[str, Path] | None = None,
        painter: Painter | None = None,
        waiting: int | None = None,
    ) -> None:
        super().__init__(*models, cards=cards, folders=folders)
        self.painter = painter or LocalPainter(self._models)
        self._pace = Pace(overhead=self.painter.overhead)
        self.safety = Safety()
        self.reports = Reports()
        places = WAITING_VISITORS if waiting is None else waiting
        self.queue = Queue(places, self.painter.together, self.painter.batch, self.painter.batches_at_once)

    def understood(self, request: Request, checkpoint: str | None = None, literal: bool = False) -> Request:
        """Return what `Catalogue.understood` does; Busy, before any work, where too many wait for it to be drawn.

        Understanding takes tens of milliseconds: those who are turned away, and ask again, would leave none to draw.
        """
        with self.queue.coming() as free:
            if not free:
                raise self._busy()
            return super().understood(request, checkpoint, literal)

    def draw(
        self,
        request: Request,
        seed: int | None,
        count: int = 1,
        settings: Choice = "default",
        checkpoint: str | None = None,
        most: int = MAX_PICTURES,
        *,
        enlarge: int | None = None,
    ) -> Generator[Drawing]:
        """Draw it when it is our turn, with `count` seeds that count up from `seed`; None picks one at random.

        A series has one seed, and as many pictures as the request says.
        It runs beside others', whose pictures are drawn in one batch with these where they agree. Closing the
        iterator cancels these pictures alone, within a step. Refusal when the request is out of range, cannot be
        drawn, or comes when too many wait already. `most` bounds the count. With `enlarge` they are brought to so many
        pixels a side in the same turn; `forms.check_enlarging` tells beforehand whether they can be.
        """
        model = self.model(checkpoint)
        self.safety.check_prompts([*request.words, *(one.asked for one in request.understandings)])
        chosen = self.settings(settings, checkpoint, request)
        chosen.check_negative(request.stages)
        seeds = seeds_of(seed, count if request.series is None else 1, most)
        stages = tuple((name, 0, steps) for name, steps in request.steps(chosen).items())
        kind = f"{model.checkpoint} {request.name} {' '.join(request.stages)} {enlarge or ''}"
        visit = Visit(Turn(job_of(kind, stages, request.series or len(seeds)), self._pace))

        def paint(on_step: OnStep) -> list[Image.Image]:
            pictures = self.painter.draw(visit, request, model.checkpoint, seeds, chosen, on_step)
            return pictures if enlarge is None else self._enlarged(visit, model.checkpoint, pictures, seeds, enlarge)

        yield from self._stream(Drawing(seeds, stages), visit, partial(self._checked, model, paint))

    def _checked(
        self, model: UnclipModel, paint: Callable[[OnStep], list[Image.Image]], on_step: OnStep
    ) -> list[Image.Image]:
        """Paint, and where this checkpoint's pictures are checked, show none before they are."""
        if not self.safety.watches(model):
            return paint(on_step)
        return self.safety.shown(paint(without_previews(on_step)))

    def _enlarged(
        self, visit: Visit, checkpoint: str, pictures: Sequence[Image.Image], seeds: Sequence[int], side: int
    ) -> list[Image.Image]:
        """Return each picture enlarged, from its own seed or that of its series."""
        large: list[Image.Image] = []
        for place, picture in enumerate(pictures):
            request = Enhance(picture, side)
            settings = self.settings("default", checkpoint, request)
            # Its steps are not told, nor counted among those of the drawing: they are of a stage that is done.
            seed = seeds[place % len(seeds)]
            large += self.painter.draw(visit, request, checkpoint, [seed], settings, lambda _: None)
        return large

    def caption(self, request: Caption, checkpoint: str | None = None) -> Generator[Drawing]:
        """Yield the captions that are nearest to its first picture, when it is our turn; Refusal as by `draw`."""
        name = self.model(checkpoint).checkpoint
        visit = Visit(Turn(job_of(f"{name} {request.name}", (), 1), self._pace))
        yield from self._stream(
            Drawing((), ()), visit, lambda _: self.painter.caption(visit, request, name), "captions"
        )

    def _stream(
        self, drawing: Drawing, visit: Visit, task: Callable[[OnStep], Sequence[Any]], result: str = "pictures"
    ) -> Iterator[Drawing]:
        """Wait for the turn, then run the task in a thread; what it reports comes out, at least every `_tick()`.

        `result` is the drawing's field for what the task returns.
        """
        ticket = self.queue.join(visit.turn)
        if ticket is None:
            raise self._busy()
        latest = LatestDrawing()
        try:
            while not ticket.admitted():
                yield dataclasses.replace(drawing, ahead=ticket.ahead(), seconds_left=ticket.seconds_left())
                ticket.wait(self._tick())
            work = (drawing, visit, task, result, latest, ticket)
            threading.Thread(target=self._work, args=work, daemon=True).start()
        except BaseException:
            ticket.leave()
            raise
        try:
            while not drawing.finished:
                yield dataclasses.replace(drawing, ahead=ticket.ahead(), seconds_left=ticket.seconds_left())
                drawing = latest.newest(drawing, self._rest(), self._tick())
            yield drawing
        finally:
            # A thread whose turn has begun keeps the place until its step is done.
            self.painter.give_up(visit)
            if not visit.turn.begun:
                ticket.leave()

    def _work(
        self,
        drawing: Drawing,
        visit: Visit,
        task: Callable[[OnStep], Sequence[Any]],
        result: str,
        latest: "LatestDrawing",
        ticket: Ticket,
    ) -> None:
        preview_due = 0.0

        def on_step(step: Step) -> None:
            nonlocal drawing, preview_due
            shown: Sequence[Image.Image] = ()
            if time.monotonic() >= preview_due:
                shown = step.pictures()
                preview_due = time.monotonic() + max(PREVIEW_SECONDS, 2 * self._rest()) if shown else 0.0
            drawing = drawing.after(step, shown)
            visit.turn.step(step.stage, step.index)
            latest.put(drawing)

        try:
            found = {result: tuple(task(on_step))}
            visit.turn.end()
            latest.put(dataclasses.replace(drawing, **found, seconds_left=0.0, finished=True))
        except Cancelled:
            pass
        except QueueFull:
            latest.put(self._busy())
        except Exception as error:
            latest.put(refusal_of(error))
        finally:
            ticket.leave()

    def _busy(self) -> Busy:
        seconds = self.queue.seconds_to_end()
        if seconds < 100:
            whole = max(round(seconds), 1)
            return Busy(f"Many visitors are waiting already: please try again in about {whole} s.", seconds)
        minutes = round(seconds / 60)
        return Busy(f"Many visitors are waiting already: please try again in about {minutes} min.", seconds)

    def _rest(self) -> float:
        """Seconds between two events of a stream: all streams together tell so much, however many there are."""
        return max(len(self.queue.tickets) - 1, 0) / EVENTS_A_SECOND

    def _tick(self) -> float:
        """Return the longest silence of a stream."""
        return max(TICK_SECONDS, self._rest())


class LatestDrawing:
    """What a thread tells of its drawing, for a stream that wants the newest."""

    def __init__(self) -> None:
        self._reported: SimpleQueue[Drawing | Exception] = SimpleQueue()

    def put(self, reported: Drawing | Exception) -> None:
        self._reported.put(reported)

    def newest(self, drawing: Drawing, rest: float, tick: float) -> Drawing:
        """Return the last that was told, skipping all between: the end at once, anything else after `rest` seconds.

        The same drawing again after `tick` seconds of silence. An error that was told is raised.
        """
        begun = time.monotonic()
        reported: Drawing | Exception = drawing
        reported_any = False
        while True:
            left = begun + (rest if reported_any else tick) - time.monotonic()
            try:
                reported = self._reported.get(timeout=left) if left > 0 else self._reported.get_nowait()
                reported_any = True
            except Empty:
                return reported
            if isinstance(reported, Exception):
                raise reported
            if reported.finished:
                return reported
