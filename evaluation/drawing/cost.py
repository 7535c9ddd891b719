"""What drawing costs: a stopwatch that leaves first uses out, and what it read, kept in a drawn folder's cost.json.

The first batch of a process reads weights, compiles kernels and finds its memory: it is drawn, but not timed, and
neither is a batch of another size than the rest. Of the others the median is told, since one batch that the machine
was busy with something else moves a mean.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pydantic

from evaluation.metrics.bootstrap import median_interval
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import write_text

COST = "cost.json"
# Keys and labels.
SECONDS, MEMORY = ("seconds_a_picture", "seconds a picture"), ("peak_megabytes", "peak memory in MB")


class Cost(pydantic.BaseModel):
    """Of a picture: seconds (None where too few batches were drawn to tell), and the process's peak memory in MB.

    Attributes:
        batches: seconds a picture of every timed batch, in order; () in folders of older versions, which kept
            the median alone.
        turns: the same for contestants that took turns, batch by batch, so that their times compare; "" for others.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    seconds_a_picture: float | None
    peak_megabytes: float
    processor: str = ""
    batches: tuple[float, ...] = ()
    turns: str = ""


class Stopwatch:
    """Reads how long batches of `size` pictures take; `seconds` has one number a timed batch, of a picture."""

    def __init__(self, size: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.size, self.seconds = size, []
        self._clock, self._warm = clock, False

    def start(self) -> float:
        return self._clock()

    def stop(self, start: float, pictures: int) -> None:
        """Count the batch of so many pictures that began at `start`, if it was a whole one and not the first."""
        if pictures == self.size:
            if self._warm:
                self.seconds.append((self._clock() - start) / pictures)
            self._warm = True


def measures(cost: Cost | None, pictures: int, batch_size: int) -> list[Measure]:
    """Return the measures of a cost over the pictures that were timed, or over all where older versions did not say."""
    if cost is None:
        return []
    found = []
    if cost.seconds_a_picture is not None:
        timed = len(cost.batches)
        details = {"timed batches": timed, "batch": batch_size} if timed else {}
        n = timed * batch_size or pictures
        interval = median_interval(cost.batches)
        found.append(Measure(*SECONDS, cost.seconds_a_picture, n, "lower", interval, details))
    return [*found, Measure(*MEMORY, cost.peak_megabytes, pictures, "lower")]


def read_cost(folder: Path) -> Cost | None:
    """Return what drawing the folder cost, None where it was not measured throughout; ValueError for a damaged file."""
    file = folder / COST
    try:
        return Cost.model_validate_json(file.read_bytes()) if file.is_file() else None
    except pydantic.ValidationError as error:
        raise ValueError(f"{file} is damaged: remove it, and the times are not known.") from error


def write_cost(cost: Cost, folder: Path) -> None:
    """Write what the drawing took into the folder of its pictures."""
    write_text(folder / COST, cost.model_dump_json() + "\n")
