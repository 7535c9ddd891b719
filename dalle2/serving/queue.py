"""Waiting for the turn: a fair queue of bounded length."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from dalle2.serving.pace import Job, Turn

UNKNOWN_SECONDS = 10.0  # of waiting, where nothing has been drawn yet


class Queue:
    """First come, first served: the first has the turn, and with it those who follow as far as there is room."""

    def __init__(self, waiting: int, together: int = 1) -> None:
        """Begin empty: `waiting` may wait behind the first, and `together` pictures can be drawn at a time."""
        self._room = waiting + 1
        self.together = together
        self.tickets: list[Ticket] = []
        self._coming = 0
        self.changed = threading.Condition()

    def seconds_to_end(self) -> float:
        """Return how long it is until all who are here have their pictures; UNKNOWN_SECONDS without experience."""
        with self.changed:
            last = self.tickets[-1] if self.tickets else None
        known = last.seconds_left() if last else 0.0
        return UNKNOWN_SECONDS if known is None else known

    @contextmanager
    def coming(self) -> Generator[bool]:
        """Keep a place for whoever is about to join, and say whether there was one."""
        with self.changed:
            free = len(self.tickets) + self._coming < self._room
            self._coming += free
        try:
            yield free
        finally:
            with self.changed:
                self._coming -= free

    def join(self, turn: Turn) -> "Ticket | None":
        """Return a place at the end of the queue for this turn, or None when the queue is full."""
        with self.changed:
            if len(self.tickets) >= self._room:
                return None
            ticket = Ticket(self, turn)
            self.tickets.append(ticket)
            return ticket


class Ticket:
    """One visitor's place in the queue."""

    def __init__(self, queue: Queue, turn: Turn) -> None:
        self._queue, self.turn = queue, turn

    def ahead(self) -> int:
        """Return how many came before this one and are still there; 0 once something of it is drawn, or it has left."""
        with self._queue.changed:
            return 0 if self.turn.begun else len(self._before())

    def admitted(self) -> bool:
        """Return whether the turn has come."""
        with self._queue.changed:
            before = self._before()
            pictures = sum(ticket.turn.job.pictures for ticket in (*before, self))
            return not before or pictures <= self._queue.together

    def seconds_left(self) -> float | None:
        """Return the seconds until one's own pictures are there, all turns before included; None without experience."""
        with self._queue.changed:
            turns = [ticket.turn for ticket in (*self._before(), self)]
        if self.turn.begun:
            return self.turn.left()
        running = [turn.left() for turn in turns if turn.begun]
        coming = [self.turn.pace.seconds(job, {}) for job in self._batches([t.job for t in turns if not t.begun])]
        known, next_ = ([left for left in lefts if left is not None] for lefts in (running, coming))
        return max(known, default=0.0) + sum(next_) if (len(known), len(next_)) == (len(running), len(coming)) else None

    def wait(self, seconds: float) -> None:
        """Return when the turn has come, or after so many seconds."""
        with self._queue.changed:
            self._queue.changed.wait_for(self.admitted, timeout=seconds)

    def leave(self) -> None:
        """Give the place, or the turn, up."""
        with self._queue.changed:
            if self in self._queue.tickets:
                self._queue.tickets.remove(self)
                self._queue.changed.notify_all()

    def _before(self) -> "list[Ticket]":
        tickets = self._queue.tickets
        return tickets[: tickets.index(self)] if self in tickets else []

    def _batches(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs as they are likely to be drawn: those of one kind together, as far as there is room."""
        batches: list[Job] = []
        for job in jobs:
            for place, batch in enumerate(batches):
                pictures = batch.pictures + job.pictures
                if (batch.kind, batch.stages) == (job.kind, job.stages) and pictures <= self._queue.together:
                    batches[place] = replace(batch, pictures=pictures)
                    break
            else:
                batches.append(job)
        return batches
