"""Batches across visitors: what several requests ask of the networks at a time is computed at once where it agrees.

Requests run side by side, each in a thread of its own, but none touches a network: it hands over a `Call` and waits,
and one thread computes. Calls of one key are rows of one batch. A picture's noise comes from its own generator, so
that company changes nothing but the rounding.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from dalle2.serving.pace import Company, Turn, first_of
from dalle2.serving.refusal import Cancelled
from dalle2.settings import MAX_PICTURES, OnStep, Step

if TYPE_CHECKING:
    import torch  # seconds, for which those who draw nothing need not wait

# How long a visit waits in all for others that may be about to come, also where it is others' calls that wait for them.
# It has several calls of which others can be part, such as the prior's and the decoder's: none takes more than half.
COMPANY_SECONDS = 0.02
IDLE_SECONDS = 10.0  # after which the computing thread ends, until it is needed again

Column: TypeAlias = "Sequence[Any] | torch.Tensor | None"


@dataclass(eq=False)
class Visit:
    """One request from the queue to its end: its turn, whether it was given up, how long it may yet wait for company.

    Who came first is served first.
    """

    turn: Turn
    closed: threading.Event = field(default_factory=threading.Event)
    patience: float = field(default_factory=lambda: COMPANY_SECONDS)
    number: int = field(default_factory=itertools.count().__next__)


# The visit for which a thread works.
current: ContextVar[Visit] = ContextVar("visit")


@dataclass(eq=False)
class Call:
    """One operation of one request: `compute(*columns, on_step)` gives a result of as many rows as each column has.

    A column that is None stays None. `key` is what must agree for calls to be one; None lets a call be alone, and its
    result may then be anything.
    """

    visit: Visit
    columns: tuple[Column, ...]
    compute: Callable[..., Any]
    key: Hashable = None
    on_step: OnStep | None = None
    result: Any = None
    error: Exception | None = None
    done: bool = False

    @property
    def rows(self) -> int:
        """Return how many pictures it is about."""
        first = self.columns[0]
        assert first is not None, "what an operation is about comes first"
        return len(first)

    def told(self, step: Step) -> None:
        """Let the request hear of a step; what it raises, or that it was given up, ends its part in the call."""
        if self.visit.closed.is_set():
            self.error = Cancelled()
        if self.error or self.on_step is None:
            return
        try:
            self.on_step(step)
        except Exception as error:
            self.error = error


class Batches:
    """The one place where the networks of a machine are used: one call, or calls that agree, after another."""

    def __init__(self, most: int = MAX_PICTURES, clock: Callable[[], float] = time.monotonic) -> None:
        """Compute at most `most` pictures at once, so that memory does not grow with the visitors."""
        self.most, self._clock = most, clock
        self._changed = threading.Condition()
        self._waiting: list[Call] = []
        self._visits = 0
        self._computing: threading.Thread | None = None

    @contextmanager
    def during(self, visit: Visit) -> Generator[None]:
        """Expect calls of this thread while it works for the visit."""
        token = current.set(visit)
        with self._changed:
            self._visits += 1
        try:
            yield
        finally:
            with self._changed:
                self._visits -= 1
                self._changed.notify_all()
            current.reset(token)

    def compute(self, call: Call) -> Any:
        """Return the call's result, once it is computed, alone or with others; Cancelled when it is given up before."""
        with self._changed:
            self._waiting.append(call)
            if self._computing is None or not self._computing.is_alive():
                self._computing = threading.Thread(target=self._work, daemon=True)
                self._computing.start()
            self._changed.notify_all()
            while not call.done:
                if call.visit.closed.is_set() and call in self._waiting:
                    self._waiting.remove(call)
                    raise Cancelled
                self._changed.wait()
        if call.error:
            raise call.error
        return call.result

    def give_up(self, visit: Visit) -> None:
        """Give the visit up: what it waits for is not computed, and what is being computed ends for it with a step."""
        visit.closed.set()
        with self._changed:
            self._changed.notify_all()

    def _work(self) -> None:
        while calls := self._next():
            try:
                _compute(calls)
            finally:
                with self._changed:
                    for call in calls:
                        call.visit.turn.pause()
                        call.done = True
                    self._changed.notify_all()

    def _next(self) -> list[Call]:
        """Return the calls to be computed at once, taken from those that wait; [] when for long there was none."""
        with self._changed:
            chosen: list[Call] = []
            while not chosen:
                if not self._changed.wait_for(self._open, timeout=IDLE_SECONDS):
                    self._computing = None
                    break
                if self._open()[0].key is not None:
                    self._wait_for_company()
                chosen = self._chosen()
            self._waiting = [call for call in self._waiting if call not in chosen]
            return chosen

    def _wait_for_company(self) -> None:
        """Wait for calls that go with the first one, at the cost of the patience of all who wait meanwhile."""
        before, begun = self._open(), self._clock()
        patience = min(COMPANY_SECONDS / 2, _least_patience(before))
        if patience <= 0:
            return

        def enough() -> bool:
            left = begun + patience - self._clock()
            return self._complete() or _least_patience(self._open()) < left - 1e-6  # of somebody who has just come

        self._changed.wait_for(enough, timeout=patience)
        spent = self._clock() - begun
        for visit in {call.visit for call in (*before, *self._open())}:
            visit.patience -= spent

    def _open(self) -> list[Call]:
        """Return the calls that somebody still waits for, in the order in which the visitors came."""
        return sorted(
            (call for call in self._waiting if not call.visit.closed.is_set()), key=lambda call: call.visit.number
        )

    def _complete(self) -> bool:
        """Whether nobody else is about to come."""
        return len(self._waiting) >= self._visits

    def _chosen(self) -> list[Call]:
        """Return the call of who came first, and those that go with it as far as there is room: see `Company`."""
        calls, company = self._open(), Company(self.most)
        if not calls:
            return []
        turn = first_of([call.visit.turn for call in calls])
        first = next(call for call in calls if call.visit.turn is turn)
        if first.key is None:
            return [first]
        chosen: list[Call] = []
        for call in [first, *(call for call in calls if call is not first)]:
            if call.key != first.key:
                company.passes(call.visit.turn)
            elif company.takes(call.visit.turn, call.rows):
                chosen.append(call)
        return chosen


def _least_patience(calls: Sequence[Call]) -> float:
    """Return for how long all of them may wait for company yet."""
    return min((call.visit.patience for call in calls), default=0.0)


class _Abandoned(Exception):
    """Nobody waits for any part of a batch any more."""


def _compute(calls: Sequence[Call]) -> None:
    """Fill in each call's result or error. What goes wrong for several is tried for each alone: one may be to blame."""
    states = [(one, one.get_state()) for call in calls for one in _generators(call)] if len(calls) > 1 else []
    try:
        _together(calls)
    except _Abandoned:
        pass
    except Exception as error:
        if len(calls) == 1:
            calls[0].error = error
            return
        for generator, state in states:
            generator.set_state(state)
        for call in calls:
            if call.error is None:
                _compute([call])


def _together(calls: Sequence[Call]) -> None:
    if len(calls) == 1:
        (call,) = calls
        call.visit.turn.begin()
        call.result = call.compute(*call.columns, _teller(calls, [slice(None)]))
        return
    ends = list(itertools.accumulate((call.rows for call in calls), initial=0))
    parts = [slice(first, last) for first, last in itertools.pairwise(ends)]
    for call in calls:
        call.visit.turn.begin(ends[-1])
    columns = [_joined(columns) for columns in zip(*(call.columns for call in calls), strict=True)]
    result = calls[0].compute(*columns, _teller(calls, parts))
    for call, part in zip(calls, parts, strict=True):
        call.result = result[part]


def _teller(calls: Sequence[Call], parts: Sequence[slice]) -> OnStep:
    """Return what tells each request of a step, with its own pictures."""

    def on_step(step: Step) -> None:
        pictures = functools.cache(step.pictures)
        for call, part in zip(calls, parts, strict=True):
            if call.error is None:
                call.told(dataclasses.replace(step, draw=lambda part=part: pictures()[part]))
        if all(call.error for call in calls):
            raise _Abandoned

    return on_step


def _joined(columns: Sequence[Column]) -> Column:
    """One column of several; all are of one kind, which their calls' key says."""
    import torch

    if columns[0] is None:
        return None
    if isinstance(columns[0], torch.Tensor):
        return torch.cat([column for column in columns if isinstance(column, torch.Tensor)])
    return [row for column in columns if column is not None for row in column]


def _generators(call: Call) -> Iterator[torch.Generator]:
    import torch

    for column in call.columns:
        if not isinstance(column, torch.Tensor):
            yield from (row for row in column or () if isinstance(row, torch.Generator))
