"""Contestants that take turns: each a process of generation of its own, which draws a batch when it is told to.

A machine is faster at one time than at another. Whoever draws all its pictures first and its rival's afterwards
measures the machine as well; batch by batch in turns, both have the same.
"""

import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from tqdm import tqdm

from evaluation.metrics.bootstrap import FEWEST

READY, END = "evaluation.generation is ready:", "end"  # what the two processes say to each other
EXTRA = 60.0  # seconds at most that all together draw again, where there are too few batches for an interval


class Drawer(Protocol):
    """Who draws a batch a turn; `left` are the batches that are still to be saved."""

    left: int

    def draw(self) -> None: ...


class Process:
    """generation, waiting for its turns; ValueError when it ended with a sentence of its own."""

    def __init__(self, name: str, arguments: Sequence[str], run: str) -> None:
        self.name, self.left = name, 0
        command = [sys.executable, "-m", "evaluation.generation", *arguments, "--turns", run]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None, "both are pipes"
        self._input, self._output = self._process.stdin, self._process.stdout
        try:
            self._listen()
        except BaseException:
            self.stop()
            raise

    def draw(self) -> None:
        """Draw one batch."""
        self._say("")
        self._listen()

    def end(self) -> None:
        """Let it write what it knows, and go."""
        self._say(END)
        self._input.close()
        if self._process.wait() != 0:
            raise self._fault()

    def stop(self) -> None:
        """End it where it is: what it wrote stays."""
        self._process.terminate()
        self._process.wait()

    def _say(self, line: str) -> None:
        try:
            self._input.write(f"{line}\n")
            self._input.flush()
        except BrokenPipeError as error:
            raise self._fault() from error

    def _listen(self) -> None:
        for line in self._output:
            if line.startswith(READY):
                self.left = int(line.removeprefix(READY))
                return
        raise self._fault()

    def _fault(self) -> ValueError:
        killed = self._process.wait() < 0
        memory = " (it was killed, perhaps for the memory: --one-at-a-time needs less)" if killed else ""
        return ValueError(f"{self.name} was not drawn; why stands above{memory}.")


def draw_in_turns(arguments: dict[str, Sequence[str]]) -> None:
    """Draw for all names what generation's `arguments` say; all are known to be right before the first picture.

    ValueError when one cannot draw. Whatever was drawn stays, and is gone on with.
    """
    run = uuid.uuid4().hex[:12]
    with contextlib.ExitStack() as started:
        processes = []
        for name, given in arguments.items():
            processes.append(Process(name, given, run))
            started.callback(processes[-1].stop)
        take_turns(processes)
        for process in processes:
            process.end()


def draw_one_by_one(arguments: dict[str, Sequence[str]]) -> None:
    """Do the same with one process at a time: less memory, and times that do not compare."""
    if len(arguments) > 1:  # so that none is drawn for days before another is found to be wrong
        for name, given in arguments.items():
            Process(name, given, run="").stop()
    for name, given in arguments.items():
        if subprocess.run([sys.executable, "-m", "evaluation.generation", *given], check=False).returncode != 0:
            raise ValueError(f"{name} was not drawn; why stands above.")


def take_turns(drawers: Sequence[Drawer], extra: float = EXTRA, clock: Callable[[], float] = time.monotonic) -> None:
    """Take a first turn for warming up, then turns until nobody has a batch left, and `FEWEST` were timed.

    Who has nothing to draw from the beginning takes no part. Turns only for the sake of the times end after `extra`
    seconds. The order is turned round every time, since the one that comes after the other's batch may find the
    processor warm.
    """
    drawers = [drawer for drawer in drawers if drawer.left]
    rounds, spare = 0, None
    with tqdm(desc="drawing in turns", unit=" rounds", disable=not sys.stderr.isatty()) as bar:
        while drawers:
            if rounds > 0 and not any(drawer.left for drawer in drawers):
                spare = clock() if spare is None else spare
                if rounds > FEWEST or clock() - spare > extra:
                    return
            for drawer in drawers if rounds % 2 == 0 else reversed(drawers):
                drawer.draw()
            rounds += 1
            bar.total = rounds + max(drawer.left for drawer in drawers)
            bar.update()
