"""How long turns take, from those of late, and so how long it is until a picture is there."""

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

SMOOTHING = 0.5  # the share of the newest measurement in an estimate
# A batch of n pictures takes about as long as OVERHEAD + n of what one more picture adds, until both are known.
OVERHEAD = 1.5
CPU_OVERHEAD = 0.6  # where company saves little: eight at once take five to six times what one takes
ALIKE = {"inversion": "decoder"}  # the way back runs the decoder twice a step, as often as guidance does
BEGINNING = "beginning of "  # and a stage: what its steps take beside so many times the median, as reading a prompt
REST = ""  # the stage of what is no step: reading pictures, saving, signing, and whatever tells of no steps
FIRST_USE = 0.5  # of what beginning a stage takes the first time: opening a graph, which is not done again
LATE = 1.2  # times what a visitor was told, by which company that comes later may lengthen the wait at most


@dataclass(frozen=True)
class Job:
    """What is asked for, as far as its time depends on it: its kind, (stage, steps) in order, and pictures."""

    kind: str
    stages: tuple[tuple[str, int], ...]
    pictures: int


class Pace:
    """How long stages have taken of late, by the kind of job, and so how long another will take."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, overhead: float = OVERHEAD) -> None:
        self.clock, self._overhead = clock, overhead
        # (kind, stage) -> pictures at once -> seconds a step
        self._known: dict[tuple[str, str], dict[int, float]] = {}
        self._cold: set[tuple[str, str, int]] = set()  # what is known from a first time alone

    def learn(self, job: Job, stage: str, seconds: float) -> None:
        """Learn how long a step of this stage of this job has taken, or its BEGINNING.

        A first time holds what only first uses cost, and is forgotten at the second.
        """
        known, key = self._known.setdefault((job.kind, stage), {}), (job.kind, stage, job.pictures)
        first = job.pictures not in known
        if first and stage.startswith(BEGINNING):
            seconds *= FIRST_USE
        old = seconds if first or key in self._cold else known[job.pictures]
        known[job.pictures] = (1 - SMOOTHING) * old + SMOOTHING * seconds
        (self._cold.add if first else self._cold.discard)(key)

    def seconds(self, job: Job, done: Mapping[str, int]) -> float | None:
        """Return the seconds that a job still takes after so many steps of each stage; None without experience."""
        total = self.step(job, REST) or 0.0
        if not job.stages and self.step(job, REST) is None:
            return None
        for stage, steps in job.stages:
            rest = steps - done.get(stage, 0)
            step = self.step(job, stage)
            if rest and step is None:
                return None
            total += rest * (step or 0.0) + (self.step(job, BEGINNING + stage) or 0.0) * (rest == steps > 0)
        return total

    def step(self, job: Job, stage: str) -> float | None:
        """Return the seconds a step, None without experience: from jobs of the same kind, else of any.

        Of the same number of pictures where there were any, else scaled.
        """
        known = self._known.get((job.kind, stage)) or (None if stage == REST else self._of_any_kind(stage))
        if not known:
            return None
        near = sorted(known, key=lambda pictures: abs(pictures - job.pictures))[:2]
        if len(near) == 1 or near[0] == job.pictures:
            return known[near[0]] * (self._overhead + job.pictures) / (self._overhead + near[0])
        slope = (known[near[1]] - known[near[0]]) / (near[1] - near[0])
        least = known[near[0]] * min(1.0, job.pictures / near[0])
        return max(known[near[0]] + slope * (job.pictures - near[0]), least)

    def _of_any_kind(self, stage: str) -> dict[int, float] | None:
        for alike in (stage, *(stage.replace(name, other) for name, other in ALIKE.items())):
            if rates := next((rates for (_, name), rates in list(self._known.items()) if name == alike), None):
                return rates
        return None


@dataclass(eq=False)
class Turn:
    """One job: it waits, then runs and is measured. A batch computes it for a while, and others between.

    `due` is when, by the pace's clock, its pictures must be there if it is to be no later than LATE times what its
    visitor was told first.
    """

    job: Job
    pace: Pace
    due: float | None = None
    begun: bool = False  # whether something of it has been computed, or is being computed
    _together: int = 0  # pictures in the batch that is computing it; 0 while none does
    _last: float = 0.0
    _done: dict[str, int] = field(default_factory=dict)
    _batches: dict[str, int] = field(default_factory=dict)  # stage -> pictures at once at its end
    _spent: dict[str, list[float]] = field(default_factory=dict)  # stage -> seconds of each step
    _shown: float = 0.0  # seconds that steps have taken
    _expected: float = 0.0  # and those that others' experience let expect of them

    @property
    def place(self) -> tuple[Hashable, ...]:
        """Return what two turns agree in that can be in one batch, as far as their jobs tell."""
        return self.job.kind, self.job.stages, self.begun, self._together, tuple(self._done.items())

    @property
    def running(self) -> bool:
        """Whether a batch is computing it."""
        return self._together > 0

    def promise(self, seconds: float | None) -> None:
        """Take down what its visitor is told first."""
        self.due = None if seconds is None else self.pace.clock() + LATE * seconds

    def begin(self, together: int = 0) -> None:
        """Begin its first stage, or another after a pause, in a batch of so many pictures: by default its own."""
        self._last = self.pace.clock()
        self.begun = True
        self._together = together or self.job.pictures

    def step(self, stage: str, index: int) -> None:
        """Count step `index`, from 1 on, of this stage as done; steps of several stages may alternate."""
        seconds, job = self._count(stage), replace(self.job, pictures=self._together)
        if expected := self.pace.step(job, stage):
            first = index == 1 and self.pace.step(job, BEGINNING + stage)
            self._expected += expected + (first or 0.0)
            self._shown += seconds
        self._done[stage] = index
        if index == dict(self.job.stages).get(stage):
            self._batches[stage] = self._together

    def pause(self) -> None:
        """End what a batch computes of it: what follows waits for the next one, or is no network's work."""
        if self.running:
            self._count(REST)
            self._together = 0

    def end(self) -> None:
        """End the whole job: others can be told by it how long theirs will take."""
        self._count(REST)
        for stage, together in self._batches.items():
            job, steps = replace(self.job, pictures=together), self._spent[stage]
            usual = median(steps)
            self.pace.learn(job, stage, usual)
            self.pace.learn(job, BEGINNING + stage, max(sum(steps) - len(steps) * usual, 0.0))
        if self.begun:
            self.pace.learn(self.job, REST, sum(self._spent[REST]))

    def left(self, together: int = 0) -> float | None:
        """Return the seconds to the end, by experience and by how fast this turn has been; None without experience.

        It is computed in the batch that computes it now, and before any in one of so many pictures.
        """
        job = replace(self.job, pictures=self._together or together or self.job.pictures)
        whole, rest = self.pace.seconds(job, {}), self.pace.seconds(job, self._done)
        if whole is None or rest is None:
            return whole
        # What is known of others counts as a fifth of a turn beside what this one has shown itself.
        known = 0.2 * whole + 1e-9
        passed = self.pace.clock() - self._last if self.running else 0.0
        return max(rest * (self._shown + known) / (self._expected + known) - passed, 0.0)

    def latest(self, begins: float) -> float:
        """Return in how many seconds its pictures must be there, if its batch begins in so many.

        Infinity without a promise, and for whoever would be late without any company: all are served soonest then.
        """
        left = self.left()
        due = math.inf if self.due is None or left is None else self.due - self.pace.clock()
        return due if left is not None and begins + left <= due else math.inf

    def _count(self, stage: str) -> float:
        """Count the time since the last event as this stage's, and return it."""
        now = self.pace.clock()
        seconds, self._last = now - self._last, now
        self._spent.setdefault(stage, []).append(seconds)
        return seconds


def first_of(turns: Sequence[Turn], begins: float = 0.0) -> Turn:
    """Return whose batch begins in so many seconds: who came first, or one who would get late behind that turn.

    That is one who was to go with a batch that had no room in the end. The first is not made late by it, nor later
    where it is late already.
    """
    first, *others = turns
    left, latest = first.left(), first.latest(begins)
    if left is None or latest == math.inf or first.running:
        return first
    for turn in others:
        own = turn.left()
        if own is not None and begins + own <= turn.latest(begins) < begins + left + own <= latest:
            return turn
    return first


class Company:
    """Those who are drawn in one batch: as many as there is room for without anybody getting late by it.

    Whoever has come is asked in the order of coming: `takes` or, where the turn is of another kind, `passes`.
    """

    def __init__(self, most: int, begins: float = 0.0) -> None:
        """Begin without anybody: a batch of at most so many pictures, which begins in so many seconds."""
        self.pictures = 0
        self._most, self._begins = most, begins
        self._first: Turn | None = None
        self._latest = math.inf  # seconds from now

    def takes(self, turn: Turn, pictures: int) -> bool:
        """Take this turn in too, with so many pictures, or pass it: the first one comes whatever its size."""
        more = self.pictures + pictures
        if self._first and (more > self._most or self._ends(more) > self._latest):
            self.passes(turn)
            return False
        self._first, self.pictures = self._first or turn, more
        self._latest = min(self._latest, turn.latest(self._begins))
        return True

    def passes(self, turn: Turn) -> None:
        """Leave this turn to a later batch: whoever is taken in after it has overtaken it."""
        self._latest = min(self._latest, turn.latest(self._ends(self.pictures)) - (turn.left() or 0.0))

    def _ends(self, pictures: int) -> float:
        """Return in how many seconds the batch ends with so many pictures."""
        left = self._first.left(pictures) if self._first else None
        return self._begins + (left or 0.0)


def job_of(kind: str, stages: Sequence[tuple[str, int, int]], pictures: int) -> Job:
    """Return a job from (stage, steps done, steps in all)."""
    return Job(kind, tuple((name, total) for name, _, total in stages), pictures)
