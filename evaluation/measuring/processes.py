"""Several processes that `accelerate launch` started, which share the extraction of features; one of them measures."""

import datetime
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from evaluation.networks.feature_parts import Share
from evaluation.networks.ray_features import RayShare

DAYS = 7  # that a process waits for others, of which one may have more to do


def several() -> bool:
    """Return whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main() -> bool:
    """Return whether this process is the one that measures and tells."""
    return int(os.environ.get("RANK", "0")) == 0


def started(device: str | None) -> PartialState:
    """Return the state of these processes, each with a device of its own."""
    cpu = device == "cpu" or not torch.cuda.is_available()
    return PartialState(cpu=cpu, timeout=datetime.timedelta(days=DAYS))


def wait() -> None:
    """Wait until every process is here."""
    if several():
        PartialState().wait_for_everyone()


@contextmanager
def alone(folder: Path | None, ray: str | None, device: str) -> Generator[Share | None]:
    """Yield the folder of parts of one process, which a cluster may help: see `networks.ray_map`.

    None where nothing is kept in parts; a temporary folder where the parts of a cluster are kept nowhere else.
    """
    if ray is None:
        yield None if folder is None else Share(folder)
        return
    with tempfile.TemporaryDirectory(prefix="features-") as made:
        yield RayShare(folder or Path(made), address=ray, gpus=int(device.startswith("cuda")))


@contextmanager
def shared(folder: Path | None, state: PartialState) -> Generator[Share]:
    """Yield this process's share of a folder: the named one, or a temporary one that goes afterwards.

    ValueError where not all processes see the same folder.
    """
    made = [tempfile.mkdtemp(prefix="features-") if folder is None and state.is_main_process else None]
    if folder is None:
        broadcast_object_list(made)
    place = Path(str(made[0])) if folder is None else folder
    try:
        if state.is_main_process:
            place.mkdir(parents=True, exist_ok=True)
        state.wait_for_everyone()
        if not all(gather_object([place.is_dir()])):
            raise ValueError("The machines share no folder: name one that all of them see with --work.")
        yield Share(place, state.process_index, state.num_processes)
    finally:
        if folder is None and state.is_main_process:
            shutil.rmtree(place, ignore_errors=True)
        state.destroy_process_group()
