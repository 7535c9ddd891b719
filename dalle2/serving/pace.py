"""How long turns take, from those of late, and so how long it is until a picture is there."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

SMOOTHING = 0.5  # the share of the newest measurement in an estimate
# A batch of n pictures takes about as long as OVERHEAD + n of what one more picture adds, until both are known.
OVERHEAD = 1.5
ALIKE = {"inversion": "decoder"}  # the way back runs the decoder twice a step, as often as guidance does
REST = ""  # the stage after the last step: saving, signing, and whatever tells of no steps


@dataclass(frozen=True)
class Job:
    """What is asked for, as far as its time depends on it: its kind, (stage, steps) in order, and pictures."""

    kind: str
    stages: tuple[tuple[str, int], ...]
    pictures: int


class Pace:
    """How long stages have taken of late, by the kind of job, and so how long another will take."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        # (kind, stage) -> pictures at once -> seconds a step
        self._known: dict[tuple[str, str], dict[int, float]] = {}
        self._cold: set[tuple[str, str, int]] = set()  # what is known from a first time alone

    def learn(self, job: Job, stage: str, seconds: float) -> None:
        """Learn how long a step of this stage of this job has taken, on average.

        A first time holds what only first uses cost, and is forgotten at the second.
        """
        known, key = self._known.setdefault((job.kind, stage), {}), (job.kind, stage, job.pictures)
        first = job.pictures not in known
        old = seconds if first or key in self._cold else known[job.pictures]
        known[job.pictures] = (1 - SMOOTHING) * old + SMOOTHING * seconds
        (self._cold.add if first else self._cold.discard)(key)

    def seconds(self, job: Job, done: Mapping[str, int]) -> float | None:
        """Return the seconds that a job still takes after so many steps of each stage; None without experience."""
        total = self._of(job, REST) or 0.0
        if not job.stages and self._of(job, REST) is None:
            return None
        for stage, steps in job.stages:
            rest = steps - done.get(stage, 0)
            step = self._of(job, stage)
            if rest and step is None:
                return None
            total += rest * (step or 0.0)
        return total

    def _of(self, job: Job, stage: str) -> float | None:
        """Seconds a step, from jobs of the same kind, else of any; of the same number of pictures, else scaled."""
        known = self._known.get((job.kind, stage)) or (None if stage == REST else self._of_any_kind(stage))
        if not known:
            return None
        near = sorted(known, key=lambda pictures: abs(pictures - job.pictures))[:2]
        if len(near) == 1 or near[0] == job.pictures:
            return known[near[0]] * (OVERHEAD + job.pictures) / (OVERHEAD + near[0])
        slope = (known[near[1]] - known[near[0]]) / (near[1] - near[0])
        least = known[near[0]] * min(1.0, job.pictures / near[0])
        return max(known[near[0]] + slope * (job.pictures - near[0]), least)

    def _of_any_kind(self, stage: str) -> dict[int, float] | None:
        for alike in (stage, ALIKE.get(stage)):
            if rates := next((rates for (_, name), rates in self._known.items() if name == alike), None):
                return rates
        return None


@dataclass
class Turn:
    """One job: it waits, then runs and is measured."""

    job: Job
    pace: Pace
    _done: dict[str, int] = field(default_factory=dict)
    _found: dict[str, tuple[int, float]] = field(default_factory=dict)  # stage -> pictures at once, seconds a step
    _together: int = 0
    _begun: float | None = None
    _spent: dict[str, float] = field(default_factory=dict)  # stage -> seconds
    _last: float = 0.0

    @property
    def begun(self) -> bool:
        """Return whether something of it has been computed, or is being computed."""
        return self._begun is not None

    def begin(self, together: int = 0) -> None:
        """Begin its first stage, or another after a pause, in a batch of so many pictures: by default its own."""
        self._last = self.pace.clock()
        self._begun = self._last if self._begun is None else self._begun
        self._together = together or self.job.pictures

    def step(self, stage: str, index: int) -> None:
        """Count step `index`, from 1 on, of this stage as done; steps of several stages may alternate."""
        now = self.pace.clock()
        self._spent[stage] = self._spent.get(stage, 0.0) + now - self._last
        self._last = now
        self._done[stage] = index
        if index == dict(self.job.stages).get(stage):
            self._found[stage] = (self._together, self._spent[stage] / index)

    def end(self) -> None:
        """End the whole job: others can be told by it how long theirs will take."""
        for stage, (together, seconds) in self._found.items():
            self.pace.learn(replace(self.job, pictures=together), stage, seconds)
        self.pace.learn(self.job, REST, self.pace.clock() - self._last)

    def left(self) -> float | None:
        """Return the seconds to the end, by experience and by how fast this turn has been; None without experience."""
        job = replace(self.job, pictures=self._together or self.job.pictures)
        whole, rest = self.pace.seconds(job, {}), self.pace.seconds(job, self._done)
        if whole is None or rest is None or self._begun is None:
            return whole
        # What is known of others counts as a fifth of a turn beside what this one has shown itself.
        known = 0.2 * whole + 1e-9
        factor = (self._last - self._begun + known) / (whole - rest + known)
        return max(rest * factor - (self.pace.clock() - self._last), 0.0)


def job_of(kind: str, stages: Sequence[tuple[str, int, int]], pictures: int) -> Job:
    """Return a job from (stage, steps done, steps in all)."""
    return Job(kind, tuple((name, total) for name, _, total in stages), pictures)
