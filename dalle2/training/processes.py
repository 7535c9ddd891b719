"""The processes that train: those that `accelerate launch` was asked for, on GPUs or, without any, on the CPU."""

import os
import sys

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

_LAUNCH = "accelerate launch --multi_gpu --num_processes N -m dalle2.training …"


def start(precision: str) -> Accelerator:
    """Find this process's place among the others.

    Raises:
        ValueError: fewer processes train together than were started or asked for.
    """
    # Unless told so, accelerate lets each process of a machine without GPUs think that it is alone.
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision=precision)
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started != accelerator.num_processes:
        raise ValueError(
            f"{started} processes were started, but accelerate joins {accelerator.num_processes}: start them as "
            f"{_LAUNCH}"
        )
    launched, asked = "ACCELERATE_MIXED_PRECISION" in os.environ, "MASTER_ADDR" in os.environ
    if launched and asked and "WORLD_SIZE" not in os.environ:  # set where it was asked for more than it started
        raise ValueError(
            f"accelerate started one process, although it was asked for several: on CPUs too start them as {_LAUNCH}"
        )
    threads = started * torch.get_num_threads()
    if launched and accelerator.device.type == "cpu" and accelerator.is_main_process and threads < _cores():
        note = f"Note: {threads} of {_cores()} cores train: give accelerate launch --num_cpu_threads_per_process."
        tqdm.write(note, file=sys.stderr)
    return accelerator


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
