"""Measures handed to an experiment tracker, by way of accelerate, which knows how each wants to be called."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from evaluation.reporting.measure import Measure

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")
FOLDER = Path("runs")  # of trackers that write files, where no folder is named


def require(tracker: str) -> None:
    """Raise ValueError where it is not installed."""
    if find_spec(tracker) is None:
        raise ValueError(f"{tracker} is not installed: pip install {tracker}, or leave out --log-with.")


def log(
    project: str,
    steps: Sequence[Iterable[Measure]],
    tracker: str,
    facts: Mapping[str, str | int | float] | None = None,
    *,
    folder: Path = FOLDER,
    at: Sequence[int] | None = None,
) -> None:
    """Hand over measures by their keys, those of each step together, and `facts` as the run's configuration.

    `at` are the steps' numbers, rising; None for 0, 1, …

    ValueError where the tracker is missing, or does not take them.
    """
    require(tracker)
    from accelerate import Accelerator  # only where a tracker is asked for

    try:
        accelerator = Accelerator(log_with=tracker, project_dir=folder)
        accelerator.init_trackers(project, config=dict(facts) if facts else None)
        for step, measures in zip(range(len(steps)) if at is None else at, steps, strict=True):
            accelerator.log({_name(one.key): float(one.value) for one in measures}, step=step)
        accelerator.end_training()
    except Exception as error:  # of whatever kind the tracker has: the numbers are written already
        raise ValueError(f"{tracker} did not take the measures: {type(error).__name__}: {error}") from error


def _name(key: str) -> str:
    """Return a key without the signs that some tracker refuses."""
    return re.sub(r"[^\w./ -]+", "_", key)
