"""The one training loop: a stage, its pictures and a plan in, trained weights out; resumable to the bit."""

import contextlib
import itertools
import json
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from dalle2 import atomic
from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.training.batches import Pictures, batches
from dalle2.training.optimizer import Optimizers
from dalle2.training.pace import StepPace, TimePace
from dalle2.training.recipe import Fit
from dalle2.training.resuming import check_shapes, read_snapshot, write_snapshot
from dalle2.training.stage import TrainingStage

_HELD_OUT_BATCHES = 4
_LOG_EVERY = 10
_LOOK_EVERY = 50  # steps of a GPU: to look at a number, it has to stop


@dataclass(frozen=True)
class Run:
    """What all stages of a run share: its folder, its seed and its processes."""

    folder: Path
    seed: int
    accelerator: Accelerator

    def randomness(self, stage: str, step: int, batch_size: int) -> Randomness:
        """Return the draws of a step for this process."""
        processes, index = self.accelerator.num_processes, self.accelerator.process_index
        if batch_size % processes:
            raise ValueError(f"batch_size {batch_size} cannot be split over {processes} processes: make it a multiple.")
        share = batch_size // processes
        slots = slice(index * share, (index + 1) * share)
        return Randomness(self.seed, stage, step, batch_size, slots, self.accelerator.device)


def fit(
    stage: TrainingStage, pictures: Pictures, held_out: Pictures | None, plan: Fit, run: Run, until: float | None = None
) -> TrainingStage:
    """Train a stage and return it with the weights of its moving average.

    Each step is a function of the weights before it, the seed and its number, so a run that was killed and
    resumed from its last snapshot ends with exactly the weights of an unbroken one.

    Args:
        held_out: pictures that watch for overfitting; without them nothing stops early.
        until: when it has to be done, on the clock of `pace`: it takes the steps that there is time for, and its
            learning rate runs over that time. Unless given, `plan.steps` says when.

    Raises:
        FloatingPointError: when the loss is no longer finite.
    """
    return _Fitting(stage, held_out, plan, run, until).train(pictures)


class _Fitting:
    """A stage, what moves it, and how far it is."""

    def __init__(
        self, stage: TrainingStage, held_out: Pictures | None, plan: Fit, run: Run, until: float | None
    ) -> None:
        self.stage, self.held_out, self.plan, self.run = stage.to(run.accelerator.device), held_out, plan, run
        self.parameters = list(stage.trained().values())
        self.optimizer = Optimizers(stage, plan)
        self.ema = EMAModel(
            self.parameters, decay=plan.ema_max, use_ema_warmup=True, power=plan.ema_power, foreach=True
        )
        self.watch, self.held_out_losses = _Watch(plan.patience), {}
        self.first, progress = self._restore()
        self.pace = StepPace(plan) if until is None else TimePace(plan, until, progress)
        self.timed = until is not None
        self.finite = torch.ones((), dtype=torch.bool, device=run.accelerator.device)
        self.writer = SummaryWriter(str(run.folder / "logs")) if run.accelerator.is_main_process else None

    def train(self, pictures: Pictures) -> TrainingStage:
        """Train all steps that are left."""
        accelerator, done, ending = self.run.accelerator, self.first, False
        if self.plan.compile:
            self.stage.compiled()
        network = accelerator.prepare(self.stage) if accelerator.num_processes > 1 else self.stage
        look_every = 1 if accelerator.device.type == "cpu" else _LOOK_EVERY
        with contextlib.closing(self._batches(pictures)) as steps:
            bar = tqdm(
                steps,
                initial=done,
                total=self.pace.total,
                desc=self.stage.name,
                disable=not accelerator.is_main_process,
                mininterval=1,
                smoothing=0.05,
            )
            for randomness, batch in bar:
                losses = self._step(network, randomness, batch)
                done = randomness.step + 1
                ending = self.pace.over(done)
                evaluates, keeps = ending or self.pace.evaluates(done), self.pace.keeps(done)
                if done % look_every == 0 or evaluates or keeps:
                    self._check(done)
                if done % max(_LOG_EVERY, look_every) == 0:
                    bar.set_postfix(loss=f"{float(losses['loss']):.4f}")
                    _log(self.writer, self.stage.name, "train", losses, done)
                if evaluates and not self._evaluated(done) and self.watch.exhausted():
                    break
                if keeps and accelerator.is_main_process:
                    self._keep(done)
                if ending:
                    break
        return self._ended(done)

    def _batches(self, pictures: Pictures) -> Generator[tuple[Randomness, Batch]]:
        if self.pace.over(self.first):
            return
        numbers = itertools.count(self.first) if self.pace.total is None else range(self.first, self.pace.total)
        steps = (self.run.randomness(self.stage.name, step, self.plan.batch_size) for step in numbers)
        yield from batches(pictures, steps, self.stage.per_concept, self.run.accelerator.device)

    def _step(self, network: torch.nn.Module, randomness: Randomness, batch: Batch) -> dict[str, torch.Tensor]:
        """One step; nothing in it waits for a GPU."""
        with self._measured("step"):
            self.stage.train()
            randomness.seed_dropout()
            with self.run.accelerator.autocast():
                losses = network(batch, randomness)
            self.run.accelerator.backward(losses["loss"])
            norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.plan.clip_norm)
            self.finite &= norm.isfinite()
            self.optimizer.step(self.pace.learning_rate(randomness.step))
            self.ema.step(self.parameters)
        return {name: value.detach() for name, value in losses.items()}

    def _check(self, done: int) -> None:
        if not self.finite:
            raise FloatingPointError(
                f"The {self.stage.name} stage diverged at step {done - 1}: lower its learning_rate and resume from the "
                "last snapshot."
            )

    def _evaluated(self, done: int) -> bool:
        """Whether the average's held-out loss is the best so far."""
        with self._measured("evaluation"), self._uncompiled():
            self.ema.store(self.parameters)
            self.ema.copy_to(self.parameters)
            better = self._evaluate(done)
            self.ema.restore(self.parameters)
        return better

    def _uncompiled(self) -> contextlib.AbstractContextManager:
        """Held-out batches are few: where time is short, compiling once more for them costs more than it saves."""
        return torch.compiler.set_stance("force_eager") if self.timed else contextlib.nullcontext()

    @contextlib.contextmanager
    def _measured(self, what: Literal["step", "evaluation", "snapshot"]) -> Generator[None]:
        began = time.monotonic()
        yield
        self.pace.passed(what, time.monotonic() - began)

    @torch.no_grad()
    def _evaluate(self, step: int) -> bool:
        """Held-out loss with always the same pictures and noise; tells whether it is the best so far."""
        if self.held_out is None:
            return True
        stage, run = self.stage.eval(), self.run
        totals: dict[str, float] = {}
        for index in range(_HELD_OUT_BATCHES):
            randomness = run.randomness(f"{stage.name} held out", index, self.plan.batch_size)
            batch = self.held_out.batch(randomness, stage.per_concept)
            with run.accelerator.autocast():
                losses = stage(batch, randomness)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value) / _HELD_OUT_BATCHES
        averaged = run.accelerator.reduce({name: torch.tensor(value) for name, value in totals.items()}, "mean")
        self.held_out_losses = {name: float(value) for name, value in averaged.items()}
        _log(self.writer, stage.name, "held_out", averaged, step)
        if self.writer and (picture := stage.samples(batch)) is not None:
            self.writer.add_image(f"{stage.name}/samples", picture, step)
        return self.watch.see(self.held_out_losses["loss"])

    def _ended(self, done: int) -> TrainingStage:
        """Give the stage its average's weights; a run against the clock may be killed before they are written."""
        if self.timed:
            if done > self.first:
                self._keep(done, progress=1.0)
            self._report(done)
        if self.writer:
            self.writer.close()
        self.ema.copy_to(self.parameters)
        return self.stage.eval()

    def _keep(self, done: int, progress: float | None = None) -> None:
        state = {
            "step": done,
            "progress": self.pace.progress(done) if progress is None else progress,
            "trained": {name: parameter.detach() for name, parameter in self.stage.trained().items()},
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
            "watch": vars(self.watch),
        }
        with self._measured("snapshot"):
            write_snapshot(self._snapshot, state)

    def _report(self, done: int) -> None:
        """Write what the clock made of the stage, which no recipe tells."""
        report = {"steps": done, "pictures": done * self.plan.batch_size, "held_out": self.held_out_losses}
        file = self.run.folder / "reports" / f"{self.stage.name}.json"
        with atomic.file(file) as partial:
            partial.write_text(json.dumps(report) + "\n", encoding="utf-8")

    @property
    def _snapshot(self) -> Path:
        return self.run.folder / "snapshots" / f"{self.stage.name}.pt"

    def _restore(self) -> tuple[int, float]:
        """Return the step to go on with and the share of the schedule behind it, from the snapshot if there is one."""
        state, trained = read_snapshot(self._snapshot), self.stage.trained()
        if state is None:
            return 0, 0.0
        check_shapes(self._snapshot, state["trained"], trained)
        with torch.no_grad():
            for name, value in state["trained"].items():
                trained[name].copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(next(iter(trained.values())).device)
        vars(self.watch).update(state["watch"])
        return state["step"], state.get("progress", 0.0)


class _Watch:
    """The best held-out loss so far and how long ago it was."""

    def __init__(self, patience: int) -> None:
        self.patience, self.best, self.last, self.since = patience, math.inf, math.nan, 0

    def see(self, loss: float) -> bool:
        self.last = loss
        better = loss < self.best
        self.best, self.since = (loss, 0) if better else (self.best, self.since + 1)
        return better

    def exhausted(self) -> bool:
        return 0 < self.patience <= self.since


def _log(writer: SummaryWriter | None, stage: str, kind: str, losses: dict[str, torch.Tensor], step: int) -> None:
    if writer:
        for name, value in losses.items():
            writer.add_scalar(f"{stage}/{kind}/{name}", float(value), step)
        writer.flush()


def read_reports(folder: Path) -> dict[str, dict[str, Any]]:
    """Read stage -> the steps, pictures and held-out losses of a run against the clock, in its folder."""
    files = sorted((folder / "reports").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
