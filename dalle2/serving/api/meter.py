"""How much each caller asks for: requests of the last minute, and pictures that are being drawn."""

import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from dalle2.serving.api.problems import Problem

MINUTE = 60.0
MANY = 1_000  # callers, above which those who ask for nothing any more are forgotten


@dataclass
class Caller:
    """Who asks, and what they may: a key's owner, or an address where there are no keys. None is no limit.

    An operator may see the counts.
    """

    name: str
    per_minute: int | None = None
    most: int | None = None
    operator: bool = False
    times: deque[float] = field(default_factory=deque)
    pictures: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @asynccontextmanager
    async def drawing(self, pictures: int, seconds: Callable[[], float]) -> AsyncGenerator[None]:
        """While these pictures are drawn; Problem where they are too many. `seconds` tells until when others are."""
        with self.held(pictures, seconds):
            yield

    @contextmanager
    def held(self, pictures: int, seconds: Callable[[], float]) -> Generator[None]:
        """As `drawing`, in a thread."""
        with self.lock:
            if self.most is not None and pictures > self.most:
                raise too_many_at_once(self.most)
            if self.most is not None and self.pictures + pictures > self.most:
                raise too_many_pictures(self.pictures, self.most, seconds())
            self.pictures += pictures
        try:
            yield
        finally:
            with self.lock:
                self.pictures -= pictures


class Meter:
    """The callers of late, for all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._callers: dict[str, Caller] = {}
        self._lock = threading.Lock()

    async def count(self, name: str, per_minute: int | None, most: int | None) -> Caller:
        """Return the caller, with this request counted; Problem where there were too many within a minute."""
        return self.counted(name, per_minute, most)

    def counted(self, name: str, per_minute: int | None, most: int | None) -> Caller:
        """As `count`, in a thread."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            caller = self._callers.setdefault(name, Caller(name))
            caller.per_minute, caller.most = per_minute, most
            while caller.times and caller.times[0] <= now - MINUTE:
                caller.times.popleft()
            if per_minute is not None and len(caller.times) >= per_minute:
                raise too_often(per_minute, caller.times[0] + MINUTE - now)
            caller.times.append(now)
            return caller

    def _forget(self, now: float) -> None:
        if len(self._callers) > MANY:
            gone = [
                name
                for name, caller in self._callers.items()
                if not caller.pictures and (not caller.times or caller.times[-1] <= now - MINUTE)
            ]
            for name in gone:
                del self._callers[name]


def too_often(per_minute: int, seconds: float) -> Problem:
    """Return the problem of a request that was one too many, until so many seconds are over."""
    return Problem(429, f"At most {per_minute} requests a minute are answered: wait a little.", retry_after=seconds)


def too_many_at_once(most: int) -> Problem:
    """Return the problem of a request for more pictures than the caller may ever have drawn at a time."""
    return Problem(400, f"This key may have {most} pictures drawn at a time: ask for fewer.", param="n")


def too_many_pictures(drawn: int, most: int, seconds: float) -> Problem:
    """Return the problem of a request that must wait until others of the caller's are done, in about so long."""
    sentence = f"{drawn} pictures are being drawn for this key already, of {most} at a time."
    return Problem(429, sentence, retry_after=seconds)
