"""Waiting for the turn: a fair line of bounded length, and how long a turn takes from experience."""

import threading
from collections.abc import Sequence

SMOOTHING = 0.3  # the share of the newest measurement in an estimate


class Line:
    """First come, first served; the first in line has the turn."""

    def __init__(self, waiting: int) -> None:
        """`waiting` is how many may wait behind the one that has the turn."""
        self._room = waiting + 1
        self.places: list[Place] = []
        self.changed = threading.Condition()

    def join(self) -> "Place | None":
        """A place at the end of the line, or None when it is full."""
        with self.changed:
            if len(self.places) >= self._room:
                return None
            place = Place(self)
            self.places.append(place)
            return place


class Place:
    """One visitor's place in a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def ahead(self) -> int:
        """How many come before this one; 0 is the turn."""
        with self._line.changed:
            return self._line.places.index(self)

    def wait(self, seconds: float) -> None:
        """Return when the turn has come, or after so many seconds."""
        with self._line.changed:
            self._line.changed.wait_for(lambda: self._line.places[0] is self, timeout=seconds)

    def leave(self) -> None:
        """Give the place, or the turn, up."""
        with self._line.changed:
            self._line.places.remove(self)
            self._line.changed.notify_all()


class Pace:
    """How long steps and turns have taken of late, and so how long the rest will take."""

    def __init__(self) -> None:
        self._step: dict[str, float] = {}  # a stage's seconds for a step of one picture
        self._turn: float | None = None  # seconds

    def step(self, stage: str, seconds: float) -> None:
        """One step of one picture has taken so long."""
        self._step[stage] = _blend(self._step.get(stage), seconds)

    def turn(self, seconds: float) -> None:
        """A whole turn has taken so long."""
        self._turn = _blend(self._turn, seconds)

    def left(self, stages: Sequence[tuple[str, int, int]], pictures: int) -> float | None:
        """The seconds of the steps to come, from (name, done, total) of each stage; None without experience."""
        rest = [(name, total - done) for name, done, total in stages if total > done]
        if any(name not in self._step for name, _ in rest):
            return None
        return sum(self._step[name] * steps for name, steps in rest) * pictures

    def turns(self, count: int) -> float | None:
        """The seconds of so many turns; None without experience."""
        return None if self._turn is None else self._turn * count


def _blend(old: float | None, new: float) -> float:
    return new if old is None else (1 - SMOOTHING) * old + SMOOTHING * new
