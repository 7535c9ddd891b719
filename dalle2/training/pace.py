"""How far a stage is and when it ends: by its steps, or by the clock. Nothing else in training knows the time."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from dalle2.training.recipe import Fit

EVALUATIONS = 4  # of a stage that has a share of a budget, after its first step
SNAPSHOT_SECONDS = 30.0
_LEAVE = 1.3  # times what the end took when it was last measured: other stages may be busier now
_SAVING = 1.0  # seconds to write a stage's folder


class Pace(ABC):
    """When a stage looks at its held-out pictures, keeps a snapshot and ends, and its learning rate meanwhile."""

    total: int | None = None  # steps, where they are known

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """Return the learning rate of the step with this number, from 0 on."""

    @abstractmethod
    def over(self, done: int) -> bool:
        """Return whether no step comes after `done` steps."""

    @abstractmethod
    def evaluates(self, done: int) -> bool:
        """Return whether held-out pictures are due after `done` steps, of which the last is not the stage's last."""

    @abstractmethod
    def keeps(self, done: int) -> bool:
        """Return whether a snapshot is due after `done` steps."""

    @abstractmethod
    def progress(self, done: int) -> float:
        """Return the share of the stage that is behind it after `done` steps."""

    def passed(self, what: Literal["step", "evaluation", "snapshot"], seconds: float) -> None:  # noqa: B027
        """Note that something has ended that took so long."""


class StepPace(Pace):
    """As many steps as the plan says: a function of the step alone, so there is no state to lose."""

    def __init__(self, plan: Fit) -> None:
        self.plan, self.total = plan, plan.steps

    def learning_rate(self, step: int) -> float:
        return learning_rate(self.plan, step)

    def over(self, done: int) -> bool:
        return done >= self.plan.steps

    def evaluates(self, done: int) -> bool:
        return done % self.plan.evaluate_every == 0

    def keeps(self, done: int) -> bool:
        return done % self.plan.snapshot_every == 0

    def progress(self, done: int) -> float:
        return done / max(1, self.plan.steps)


class TimePace(Pace):
    """As many steps as there is time for, with the whole schedule of the learning rate.

    The schedule runs from where the last snapshot left it to its end. Its clock starts when the first step has
    ended, which may have been compiling for a minute.

    Args:
        until: when the stage's folder has to be there, on `clock`. progress: of the snapshot that it resumes from.
        clock: seconds, the same in all processes of a machine.
    """

    def __init__(
        self, plan: Fit, until: float, progress: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.plan, self.until, self.clock = plan, until, clock
        self.start = self._reached = progress
        self._begun: float | None = None
        self._kept = clock()
        self._step = self._look = self._write = 0.0
        self._looked = progress

    def learning_rate(self, step: int) -> float:
        return scheduled(self.plan, self.progress(step))

    def progress(self, done: int) -> float:
        if self._begun is not None:
            left = max(1e-9, self.until - self._closing() - self._begun)
            reached = self.start + (1 - self.start) * (self.clock() - self._begun) / left
            self._reached = min(1.0, max(self._reached, reached))
        return self._reached

    def over(self, done: int) -> bool:
        return self.plan.steps == 0 or self.start >= 1 or self.clock() + self._step + self._closing() >= self.until

    def passed(self, what: Literal["step", "evaluation", "snapshot"], seconds: float) -> None:
        now = self.clock()
        if what == "evaluation":
            self._look = seconds
        elif what == "snapshot":
            self._write, self._kept = seconds, now
        elif self._begun is None:
            self._begun = now
        else:
            self._step = max(seconds, 0.9 * self._step)

    def evaluates(self, done: int) -> bool:
        if self._look == 0 or self.progress(done) - self._looked >= 1 / EVALUATIONS:
            self._looked = self.progress(done)
            return True
        return False

    def keeps(self, done: int) -> bool:
        return self._write == 0 or self.clock() - self._kept >= SNAPSHOT_SECONDS

    def _closing(self) -> float:
        """Seconds from the last step to the stage's folder: held-out pictures, a snapshot, the folder itself."""
        return _LEAVE * (self._look + 2 * self._write) + _SAVING


def learning_rate(plan: Fit, step: int) -> float:
    """Return the rate of a linear warm-up, then cosine to zero, by steps."""
    warmup = max(1, round(plan.warmup * plan.steps))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, plan.steps - warmup)))


def scheduled(plan: Fit, progress: float) -> float:
    """Return the same by the share of the stage that is done, 0 to 1."""
    if progress < plan.warmup:
        return plan.learning_rate * progress / plan.warmup
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - plan.warmup) / (1 - plan.warmup)))
