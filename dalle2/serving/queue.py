"""Waiting for the turn: a fair queue of bounded length."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import accumulate

from dalle2.serving.pace import Company, Turn, first_of

UNKNOWN_SECONDS = 10.0  # of waiting, where nothing has been drawn yet


class Queue:
    """First come, first served: the first has the turn, and with it those who follow as far as there is room."""

    def __init__(self, waiting: int, together: int = 1, batch: int | None = None, batches: int = 1) -> None:
        """Begin empty: `waiting` may wait behind the first, and `together` pictures have the turn at a time.

        Of these, `batch` pictures (by default all) are computed at once, and `batches` of such at a time.
        """
        self._room = waiting + 1
        self.together, self.batch, self.batches = together, batch or together, batches
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
        turn.promise(ticket.seconds_left())
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
        """Return the seconds until one's own pictures are there, all turns before included; None without experience.

        What is known to come is gone through batch by batch, as it is going to be drawn.
        """
        with self._queue.changed:
            turns = [ticket.turn for ticket in (*self._before(), self)]
        free = [0.0] * self._queue.batches  # in how many seconds there is room for one more batch
        while True:
            begins = min(free)
            batch, left = self._next(turns, begins)
            if left is None:
                return None
            if self.turn in batch:
                return begins + left
            free[free.index(begins)] = begins + left
            turns = [turn for turn in turns if turn not in batch]

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

    def _next(self, turns: Sequence[Turn], begins: float) -> tuple[list[Turn], float | None]:
        """Return those who are drawn first, beginning in so many seconds, and the seconds that it takes, if known."""
        sums = accumulate(turn.job.pictures for turn in turns)
        admitted = [turn for turn, pictures in zip(turns, sums, strict=True) if pictures <= self._queue.together]
        first = first_of(admitted or turns[:1], begins)
        if first.running:
            return [turn for turn in turns if turn.place == first.place], first.left()
        batch, company = [], Company(self._queue.batch, begins)
        for turn in [first, *(turn for turn in admitted if turn is not first)]:
            if turn.place != first.place:
                company.passes(turn)
            elif company.takes(turn, turn.job.pictures):
                batch.append(turn)
        return batch, first.left(company.pictures)
