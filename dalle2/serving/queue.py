"""Waiting for the turn: a fair queue of bounded length."""

import threading

from dalle2.serving.pace import Turn


class Queue:
    """First come, first served; the first in the queue has the turn."""

    def __init__(self, waiting: int) -> None:
        """`waiting` is how many may wait behind the one that has the turn."""
        self._room = waiting + 1
        self.tickets: list[Ticket] = []
        self.changed = threading.Condition()

    def join(self, turn: Turn | None = None) -> "Ticket | None":
        """A place at the end of the queue for this turn, or None when the queue is full."""
        with self.changed:
            if len(self.tickets) >= self._room:
                return None
            ticket = Ticket(self, turn)
            self.tickets.append(ticket)
            return ticket


class Ticket:
    """One visitor's place in the queue."""

    def __init__(self, queue: Queue, turn: Turn | None = None) -> None:
        self._queue, self._turn = queue, turn

    def ahead(self) -> int:
        """How many come before this one; 0 is the turn."""
        with self._queue.changed:
            return self._queue.tickets.index(self)

    def seconds_left(self) -> float | None:
        """Until one's own pictures are there: all turns before, and one's own; None without experience of one."""
        with self._queue.changed:
            turns = [ticket._turn for ticket in self._queue.tickets[: self._queue.tickets.index(self) + 1]]
        left = [turn.left() if turn else None for turn in turns]
        return None if None in left else sum(left)

    def wait(self, seconds: float) -> None:
        """Return when the turn has come, or after so many seconds."""
        with self._queue.changed:
            self._queue.changed.wait_for(lambda: self._queue.tickets[0] is self, timeout=seconds)

    def leave(self) -> None:
        """Give the place, or the turn, up."""
        with self._queue.changed:
            self._queue.tickets.remove(self)
            self._queue.changed.notify_all()
