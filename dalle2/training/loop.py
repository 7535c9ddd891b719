"""The one training loop: a stage, its pictures and a plan in, trained weights out; resumable to the bit."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from dalle2.datasets.pictures import Batch, PicturesInMemory, PicturesInStream
from dalle2.datasets.randomness import Randomness
from dalle2.training.optimizer import Optimizers
from dalle2.training.recipe import Fit
from dalle2.training.resuming import check_shapes, read_snapshot, write_snapshot
from dalle2.training.stage import Stage

Pictures = PicturesInMemory | PicturesInStream
T = TypeVar("T")
_HELD_OUT_BATCHES = 4


@dataclass(frozen=True)
class Run:
    """What all stages of a run share: its folder, its seed and its processes."""

    folder: Path
    seed: int
    accelerator: Accelerator

    def randomness(self, stage: str, step: int, batch_size: int) -> Randomness:
        """The draws of a step for this process."""
        processes, index = self.accelerator.num_processes, self.accelerator.process_index
        if batch_size % processes:
            raise ValueError(f"batch_size {batch_size} cannot be split over {processes} processes: make it a multiple.")
        share = batch_size // processes
        return Randomness(self.seed, stage, step, batch_size, slice(index * share, (index + 1) * share))


def fit(stage: Stage, pictures: Pictures, held_out: Pictures | None, plan: Fit, run: Run) -> Stage:
    """Trains a stage and returns it with the weights of its moving average.

    Each step is a function of the weights before it, the seed and its number, so a run that was killed and
    resumed from its last snapshot ends with exactly the weights of an unbroken one.

    Args:
        held_out: pictures that watch for overfitting; without them nothing stops early.

    Raises:
        FloatingPointError: when the loss is no longer finite.
    """
    accelerator, device = run.accelerator, run.accelerator.device
    stage.to(device)
    parameters = list(stage.trained().values())
    optimizer = Optimizers(stage, plan)
    ema = EMAModel(parameters, decay=plan.ema_max, use_ema_warmup=True, power=plan.ema_power, foreach=True)
    watch = _Watch(plan.patience)
    snapshot = run.folder / "snapshots" / f"{stage.name}.pt"
    first = _restore(snapshot, stage, optimizer, ema, watch)
    if plan.compile:
        stage.compiled()
    network = accelerator.prepare(stage) if accelerator.num_processes > 1 else stage
    writer = SummaryWriter(str(run.folder / "logs")) if accelerator.is_main_process else None
    batches = _batches(stage, pictures, plan, run, first)
    bar = tqdm(
        batches if device.type == "cpu" else ahead(batches),  # a thread would take from the cores that train
        initial=first,
        total=plan.steps,
        desc=stage.name,
        disable=not accelerator.is_main_process,
        mininterval=1,
        smoothing=0.05,
    )
    for randomness, batch in bar:
        step = randomness.step
        stage.train()
        randomness.seed_dropout()
        with accelerator.autocast():
            losses = network(batch, randomness)
        accelerator.backward(losses["loss"])
        losses = {name: value.detach() for name, value in losses.items()}
        norm = torch.nn.utils.clip_grad_norm_(parameters, plan.clip_norm)
        if not math.isfinite(float(norm)):
            raise FloatingPointError(
                f"The {stage.name} stage diverged at step {step}: lower its learning_rate and resume from the "
                "last snapshot."
            )
        optimizer.step(step)
        ema.step(parameters)
        done = step + 1
        if done % 10 == 0:
            bar.set_postfix(loss=f"{float(losses['loss']):.4f}")
            _log(writer, stage.name, "train", losses, done)
        if done % plan.evaluate_every == 0 or done == plan.steps:
            ema.store(parameters)
            ema.copy_to(parameters)
            better = _evaluate(stage, held_out, plan, run, writer, done, watch)
            ema.restore(parameters)
            bar.set_postfix(loss=f"{float(losses['loss']):.4f}", held_out=f"{watch.last:.4f}")
            if not better and watch.exhausted():
                break
        if done % plan.snapshot_every == 0 and accelerator.is_main_process:
            _keep(snapshot, stage, optimizer, ema, watch, done)
    if writer:
        writer.close()
    ema.copy_to(parameters)
    return stage.eval()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next one being made in a thread while one is used."""
    items, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, items, end)
        while (present := following.result()) is not end:
            following = thread.submit(next, items, end)
            yield present


def _batches(stage: Stage, pictures: Pictures, plan: Fit, run: Run, first: int) -> Iterator[tuple[Randomness, Batch]]:
    """Each step's draws and batch, from step `first` on."""
    for step in range(first, plan.steps):
        randomness = run.randomness(stage.name, step, plan.batch_size)
        yield randomness, pictures.batch(randomness, stage.per_concept)


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


@torch.no_grad()
def _evaluate(
    stage: Stage,
    held_out: Pictures | None,
    plan: Fit,
    run: Run,
    writer: SummaryWriter | None,
    step: int,
    watch: _Watch,
) -> bool:
    """Held-out loss with always the same pictures and noise; tells whether it is the best so far."""
    if held_out is None:
        return True
    stage.eval()
    totals: dict[str, float] = {}
    for index in range(_HELD_OUT_BATCHES):
        randomness = run.randomness(f"{stage.name} held out", index, plan.batch_size)
        batch = held_out.batch(randomness, stage.per_concept)
        with run.accelerator.autocast():
            losses = stage(batch, randomness)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + float(value) / _HELD_OUT_BATCHES
    averaged = run.accelerator.reduce({name: torch.tensor(value) for name, value in totals.items()}, "mean")
    _log(writer, stage.name, "held_out", averaged, step)
    if writer and (picture := stage.samples(batch)) is not None:
        writer.add_image(f"{stage.name}/samples", picture, step)
    return watch.see(float(averaged["loss"]))


def _log(writer: SummaryWriter | None, stage: str, kind: str, losses: dict[str, torch.Tensor], step: int) -> None:
    if writer:
        for name, value in losses.items():
            writer.add_scalar(f"{stage}/{kind}/{name}", float(value), step)
        writer.flush()


def _keep(path: Path, stage: Stage, optimizer: Optimizers, ema: EMAModel, watch: _Watch, step: int) -> None:
    state = {
        "step": step,
        "trained": {name: parameter.detach() for name, parameter in stage.trained().items()},
        "optimizer": optimizer.state_dict(),
        "ema": ema.state_dict(),
        "watch": vars(watch),
    }
    write_snapshot(path, state)


def _restore(path: Path, stage: Stage, optimizer: Optimizers, ema: EMAModel, watch: _Watch) -> int:
    """The step to go on with, after loading the snapshot if there is one."""
    state, trained = read_snapshot(path), stage.trained()
    if state is None:
        return 0
    check_shapes(path, state["trained"], trained)
    with torch.no_grad():
        for name, value in state["trained"].items():
            trained[name].copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    ema.load_state_dict(state["ema"])
    ema.to(next(iter(trained.values())).device)
    vars(watch).update(state["watch"])
    return state["step"]
