"""python -m benchmarks.manifold: precision, recall, density and coverage beside prdc and torch-fidelity.

    python -m benchmarks.peers           once: fetches both into a folder that only benchmarks see
    python -m benchmarks.manifold        10,000 pictures a side beside both, then 30,000 by ours alone

Features are synthetic, of 2,048 numbers and a spread that falls from number to number as that of trained networks, and
are the same for all. Each measures in a process of its own with as many threads; the clock runs for the measures alone,
and memory is what the process holds for itself at most (RssAnon, of Linux), features included. prdc gives all four
measures at one number of neighbours, torch-fidelity the first two: the times are of one call each.
"""

import argparse
import contextlib
import importlib.util
import io
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.fid_peers import stand_in_for_torchvision
from benchmarks.scale import watched
from evaluation.metrics import prdc

Values = Mapping[str, float]
BLOCK = 5000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of times, memory and values."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manifold", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=int, default=10_000, help="a side, beside the peers; default 10000")
    parser.add_argument("--large", type=int, default=30_000, help="a side, by ours alone; 0 for none; default 30000")
    parser.add_argument("--dim", type=int, default=2048, help="features of a picture; default 2048")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each; default: the cores")
    options = parser.parse_args(arguments)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read by numpy and torch in the processes
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_features(place, options.pictures, options.dim)
        others = [(peer, _alone(peer, place, options.threads)) for peer in PEERS if _is_present(peer)]
        values, seconds, megabytes = _alone(OURS, place, options.threads)
        rows.append(_row(OURS, options.pictures, seconds, megabytes, "", values))
        for peer, (theirs, their_seconds, their_megabytes) in others:
            apart = max(abs(values[name] - value) for name, value in theirs.items())
            told = f"{their_seconds / seconds:.2f} times ours; values within {apart:.1e}"
            rows.append(_row(peer, options.pictures, their_seconds, their_megabytes, told, theirs))
        if options.large:
            write_features(place, options.large, options.dim)
            values, seconds, megabytes = _alone(OURS, place, options.threads)
            rows.append(_row(OURS, options.large, seconds, megabytes, "", values))
    table = Table(title=f"Features of {options.dim:,} numbers, {options.threads} threads")
    for column in ("measured by", "pictures a side", "seconds", "MB", "", "precision, recall, density, coverage"):
        table.add_column(column, justify="left" if column in ("measured by", "") else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=160).print(table)


def write_features(folder: Path, count: int, dim: int) -> None:
    """Write drawn.npy and real.npy, a block at a time."""
    spread = (np.arange(1, dim + 1) ** -0.6).astype(np.float32)
    for seed, (name, scale) in enumerate((("drawn", 0.9), ("real", 1.0))):
        rng = np.random.default_rng(seed)
        rows = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (count, dim))
        for start in range(0, count, BLOCK):
            part = rows[start : start + BLOCK]
            part[:] = 0.4 + rng.standard_normal(part.shape, dtype=np.float32) * spread * np.float32(scale)
        rows.flush()


@dataclass(frozen=True)
class Contestant:
    """Who measures: `make` returns a call that is timed, and one of the values it gave, or that others give."""

    name: str
    make: Callable[[np.ndarray, np.ndarray], tuple[Callable[[], object], Callable[[object], Values]]]
    packages: tuple[str, ...] = ()


def by_ours(drawn: np.ndarray, real: np.ndarray) -> tuple[Callable[[], object], Callable[[object], Values]]:
    """Return our call, and its means."""
    names = ("precision", "recall", "density", "coverage")
    return (
        lambda: prdc.measure(drawn, real),
        lambda found: {name: float(getattr(found, name).mean()) for name in names},
    )


def by_prdc(drawn: np.ndarray, real: np.ndarray) -> tuple[Callable[[], object], Callable[[object], Values]]:
    """Return prdc's call at five neighbours, and its values at those that ours are of."""
    from prdc import compute_prdc

    def values(of_five: object) -> Values:
        assert isinstance(of_five, dict)
        of_three = compute_prdc(real, drawn, prdc.PRECISION_NEIGHBOURS)
        return {name: float(of_three[name]) for name in ("precision", "recall")} | {
            name: float(of_five[name]) for name in ("density", "coverage")
        }

    return lambda: compute_prdc(real, drawn, prdc.DENSITY_NEIGHBOURS), values


def by_torch_fidelity(drawn: np.ndarray, real: np.ndarray) -> tuple[Callable[[], object], Callable[[object], Values]]:
    """Return torch-fidelity's call, and its values; its first set is the drawn one."""
    from torch_fidelity.metric_prc import prc_features_to_metric

    sets = [torch.from_numpy(np.array(side)) for side in (drawn, real)]
    how = {"prc_neighborhood": prdc.PRECISION_NEIGHBOURS, "prc_batch_size": 10_000}
    how |= {"save_cpu_ram": False, "verbose": False}

    def values(found: object) -> Values:
        assert isinstance(found, dict)
        return {name: float(found[name]) for name in ("precision", "recall")}

    return lambda: prc_features_to_metric(*sets, **how), values


OURS = Contestant("ours", by_ours)
PEERS = (
    Contestant("prdc 0.2", by_prdc, ("prdc", "sklearn")),
    Contestant("torch-fidelity 0.4.0", by_torch_fidelity, ("torch_fidelity",)),
)


def _is_present(peer: Contestant) -> bool:
    absent = peers.missing(peer.packages)
    if absent:
        print(f"{peer.name} is left out, since {absent[0]} is not there: {peers.COMMAND} fetches it.")
    return not absent


def _row(
    who: Contestant, pictures: int, seconds: float, megabytes: float, told: str, values: Values
) -> tuple[str, ...]:
    shown = ", ".join(f"{value:.5f}" for value in values.values())
    return who.name, f"{pictures:,}", f"{seconds:.1f}", f"{megabytes:,.0f}", told, shown


def _alone(who: Contestant, place: Path, threads: int) -> tuple[Values, float, float]:
    """Return values, seconds and MB of a contestant, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(who, place, threads, there))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError as error:
        raise SystemExit(f"{who.name}: its process was ended; why may stand above.") from error
    finally:
        process.join()


def _measure(who: Contestant, place: Path, threads: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    if who.packages:
        peers.enter()
        if importlib.util.find_spec("torchvision") is None and "torch_fidelity" in who.packages:
            stand_in_for_torchvision(place)
    drawn, real = (np.load(place / f"{name}.npy", mmap_mode="r") for name in ("drawn", "real"))
    call, values = who.make(drawn, real)
    with watched() as peak, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        found = call()
        seconds = time.perf_counter() - start
    with contextlib.redirect_stdout(io.StringIO()):
        pipe.send((values(found), seconds, max(peak)))


if __name__ == "__main__":
    main()
