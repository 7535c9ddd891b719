"""A network's rows, shared out among threads: each computes its own from end to end.

Threads that share an engine's every operation wait for one another at the end of each, some hundred times a call, and
what the engine does not share one of them computes alone. Rows know nothing of one another: where there are as many
rows as threads, nobody waits before the call is over.
"""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], np.ndarray]  # a network's inputs by name -> its prediction


class Shares:
    """A network that is computed by so many `threads` (0: all cores), by whichever engine.

    `make(threads, callers)` returns what computes it, for so many callers at a time by so many threads each. There are
    up to two of these: one for calls of few rows, by all threads together, and one for as many rows as threads or more,
    by one thread for each share. That for calls of `rows` is made at once, the other when it is needed.
    """

    def __init__(self, make: Callable[[int, int], Run], threads: int, rows: int) -> None:
        self.threads = threads or cores()
        self._make, self._made, self._making = make, dict[int, Run](), threading.Lock()
        self._others = ThreadPoolExecutor(max(self.threads - 1, 1))  # the caller computes the first share itself
        self._by(1 if rows >= self.threads else self.threads)

    def __call__(self, inputs: Arrays) -> np.ndarray:
        lengths = {len(values) for values in inputs.values() if values.ndim}
        (rows,) = lengths if len(lengths) == 1 else (1,)  # what is not of each row cannot be shared out
        if self.threads == 1 or rows < self.threads:
            return self._by(self.threads)(inputs)
        run, ends = self._by(1), np.linspace(0, rows, self.threads + 1).round().astype(int)
        shares = [
            {name: values[first:last] if values.ndim else values for name, values in inputs.items()}
            for first, last in pairwise(ends)
        ]
        others = [self._others.submit(run, share) for share in shares[1:]]
        return np.concatenate([run(shares[0]), *(other.result() for other in others)])

    def _by(self, threads: int) -> Run:
        with self._making:
            if threads not in self._made:
                self._made[threads] = self._make(threads, self.threads // threads)
            return self._made[threads]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
