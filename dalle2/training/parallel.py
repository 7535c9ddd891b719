"""A run against the clock: its stages at the same time, each in a process of its own, and a checkpoint before its end.

Every process starts at once: it loads its libraries and compiles its network while the stages that it needs are still
training. Then all share one device; what each leaves idle between its kernels is another's.
"""

import math
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

import torch
from accelerate import Accelerator

from dalle2.training import resuming
from dalle2.training.batches import end_with_parent
from dalle2.training.estimate import rehearse
from dalle2.training.loop import Run
from dalle2.training.processes import start
from dalle2.training.recipe import Recipe
from dalle2.training.run import Training
from dalle2.training.schedule import Schedule, parts

_WRITING = 0.04  # of the budget, and these seconds, for the checkpoint
_WRITING_SECONDS = 5.0
_LOADING = 0.5  # the most of a budget that may have gone before the first step
_ATTEMPTS = 2
_LATE = 0.4  # of the budget: who compiles longer is started again without compiling
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Job:
    """One stage of a run: what its process needs to know."""

    stage: str
    recipe: Recipe
    folder: Path
    schedule: Schedule
    compiles: bool
    threads: int  # where the processor trains


class Attempt:
    """A process that trains a stage."""

    def __init__(self, job: Job) -> None:
        self.job, self.ready, self.reason = job, False, ""
        context = _context()
        self._heard, told = context.Pipe(duplex=False)
        self.process = context.Process(target=_train, args=(job, told), name=job.stage)
        self.process.start()
        told.close()

    def listen(self) -> int | None:
        """Hear what the process has told; return its exit code once it has ended."""
        code = self.process.exitcode
        try:
            while self._heard.poll():
                word = self._heard.recv()
                self.ready, self.reason = True, word or self.reason
        except EOFError:
            pass
        return code

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


class Parallel:
    """Trains the stages of a recipe within a budget of time.

    Args:
        recipe: what to train. folder: of the run. minutes: from `began` on, when the command was given, on the clock of
            `pace`.
    """

    def __init__(self, recipe: Recipe, folder: Path, minutes: float, began: float) -> None:
        self.recipe, self.folder, self.began = recipe, folder, began
        self.seconds = 60 * minutes
        end = began + self.seconds * (1 - _WRITING) - _WRITING_SECONDS
        self.schedule = Schedule.of(recipe, folder, time.monotonic(), end)
        self._threads = 1
        self._attempts: dict[str, list[Attempt]] = {}
        self._failed: dict[str, str] = {}
        self._told: set[str] = set()
        self._hurried: set[str] = set()

    def train(self, stages: Sequence[str]) -> Path | None:
        """Do as `Training.train`; ValueError or OSError when a stage could not be trained, its snapshots stay."""
        wanted = [stage for stage in stages if not (self.folder / stage).exists()]
        self._check_needs(wanted)
        resuming.check(self.folder, self.recipe)
        training = Training(self.recipe, Run(self.folder, self.recipe.seed, Accelerator(cpu=True)), self.schedule)
        shutil.rmtree(training.shared, ignore_errors=True)  # of a run that was killed
        self._threads = max(1, torch.get_num_threads() // max(1, len(wanted)))
        try:
            for stage in wanted:
                self._start(stage)
            if wanted:
                training.share_pictures()
                self._check_loading()
            self._wait(wanted)
        finally:
            for attempts in self._attempts.values():
                attempts[-1].stop()
            shutil.rmtree(training.shared, ignore_errors=True)
        if self._failed:
            self._complain()
        return training.checkpoint()

    def _check_needs(self, wanted: Sequence[str]) -> None:
        for stage in wanted:
            for needed in self.schedule.needs[stage]:
                if needed not in wanted and not (self.folder / needed).exists():
                    raise ValueError(f"{self.folder / needed} does not exist: train the {needed} stage first.")

    def _wait(self, wanted: Sequence[str]) -> None:
        """Until all have ended, one way or another."""
        while running := [stage for stage in wanted if self._runs(stage)]:
            now = time.monotonic()
            if now >= self.schedule.end + _WRITING_SECONDS / 2:
                self._hurry(running)
            if now >= self.began + self.seconds:
                self._failed |= dict.fromkeys(running, "its time was over")
                break
            time.sleep(_POLL_SECONDS)

    def _start(self, stage: str) -> None:
        attempts = self._attempts.setdefault(stage, [])
        plan = getattr(self.recipe, stage)
        compiles = getattr(plan, "compile", False) and not attempts
        attempts.append(Attempt(Job(stage, self.recipe, self.folder, self.schedule, compiles, self._threads)))

    def _check_loading(self) -> None:
        gone = time.monotonic() - self.began
        if gone > _LOADING * self.seconds:
            raise ValueError(
                f"Loading took {gone:.0f} of the {self.seconds:.0f} seconds: the least that works here is about "
                f"--minutes {math.ceil(gone / _LOADING / 6) / 10:g}."
            )

    def _runs(self, stage: str) -> bool:
        """Whether this stage is still being trained; starts it once more if it was lost."""
        if stage in self._failed:
            return False
        attempt = self._attempts[stage][-1]
        code = attempt.listen()
        # A stage's folder appears when all is done, whereas its process may need seconds more to end.
        if code == 0 or (self.folder / stage).exists():
            return self._announce(stage)
        if lost := [need for need in self.schedule.needs[stage] if need in self._failed]:
            self._fail(stage, f"it needs {lost[0]}")
        elif code is not None:
            self._again(stage, attempt.reason or f"its process ended with {code}")
        elif not attempt.ready and time.monotonic() > self.began + _LATE * self.seconds and attempt.job.compiles:
            self._again(stage, "it took too long to compile")
        return stage not in self._failed

    def _announce(self, stage: str) -> bool:
        """Tells once that a stage has ended; False, since it runs no more."""
        if stage not in self._told:
            self._told.add(stage)
            _say(f"{stage}: done after {time.monotonic() - self.began:.0f} s.")
        return False

    def _again(self, stage: str, reason: str) -> None:
        self._attempts[stage][-1].stop()
        if len(self._attempts[stage]) == _ATTEMPTS or time.monotonic() >= self.schedule.end:
            self._fail(stage, reason)
        else:
            _say(f"{stage}: {reason.rstrip('.')}. Once more, from its last snapshot and without compiling.")
            self.schedule = Schedule.of(self.recipe, self.folder, time.monotonic(), self.schedule.end)
            self._start(stage)

    def _hurry(self, late: Sequence[str]) -> None:
        """Has the late ones write what their last snapshots hold: started after the end, a stage takes no step."""
        for stage in late:
            if stage in self._hurried:
                continue
            self._hurried.add(stage)
            self._attempts[stage][-1].stop()
            if any((self.folder / "snapshots" / f"{part}.pt").exists() for part in parts(self.recipe, stage)):
                _say(f"{stage}: its time is over; its last snapshot is taken.")
                self._start(stage)
            else:
                self._fail(stage, "its time was over before its first step had ended")

    def _fail(self, stage: str, reason: str) -> None:
        self._attempts[stage][-1].stop()
        self._failed[stage] = reason

    def _complain(self) -> None:
        reasons = "; ".join(f"{stage}: {reason.rstrip('.')}" for stage, reason in self._failed.items())
        raise OSError(
            f"Not all stages were trained ({reasons}). What was finished and the last snapshots stay in {self.folder}: "
            "--resume continues from them."
        )


def _context() -> SpawnContext | ForkServerContext:
    """How processes are started: without the threads of this one, nor anything that it may know of a GPU."""
    if torch.backends.cuda.is_built() or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")  # loads the libraries once for all: here cores are few
    context.set_forkserver_preload([__name__])
    return context


def _train(job: Job, told: Connection) -> None:
    """Be the process of a stage."""
    end_with_parent()  # whatever is written appears whole or not at all
    log = job.folder / "logs" / f"{job.stage}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    try:
        _train_here(job, told)
    except Exception as error:
        told.send(next(iter(str(error).splitlines()), "") or type(error).__name__)
        raise


def _train_here(job: Job, told: Connection) -> None:
    recipe = job.recipe
    if not job.compiles and getattr(getattr(recipe, job.stage), "compile", False):
        plan = getattr(recipe, job.stage).model_copy(update={"compile": False})
        recipe = recipe.model_copy(update={job.stage: plan})
    accelerator = start(recipe.precision)
    if accelerator.device.type == "cpu":
        torch.set_float32_matmul_precision("high")
        torch.set_num_threads(job.threads)
    if job.compiles:
        rehearse(recipe, job.stage, accelerator)
    told.send("")
    training = Training(recipe, Run(job.folder, recipe.seed, accelerator), job.schedule)
    while not training.shared.exists():
        time.sleep(_POLL_SECONDS)
    training.shrink_pictures(job.stage)
    while not all((job.folder / need).exists() for need in job.schedule.needs[job.stage]):
        time.sleep(_POLL_SECONDS)
    training.train_stage(job.stage)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
