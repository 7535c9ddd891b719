"""python -m benchmarks.scale: memory over the number of pictures, and what a second process brings.

    python -m benchmarks.scale --pictures 100000 1000000         synthetic features on the disk: memory must stay flat
    python -m benchmarks.scale --images PHOTOS --network judge   one process and two, of one thread each

Each measurement is a process of its own. Memory is what it holds for itself at most (RssAnon, of Linux): the features
are mapped from the disk, and the system may keep as much of them as it has room for.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.metrics.frechet import Moments, frechet_distance, leave_groups_out
from evaluation.metrics.kernel_distance import kid_of_subsets
from evaluation.metrics.mind import mind

BLOCK = 10_000
GROUPS = 20
ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of memory, or of processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[100_000, 1_000_000], help="of synthetic features")
    parser.add_argument("--dim", type=int, default=256, help="features of a picture; default 256")
    parser.add_argument("--images", type=Path, help="instead: pictures whose features one process and two extract")
    parser.add_argument("--network", default="judge", help="with --images; default judge")
    options = parser.parse_args(arguments)
    if options.images is not None:
        return _processes(options.images, options.network)
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    table = Table(title=f"Synthetic features of {options.dim} numbers, {threads} threads, {GROUPS} groups left out")
    table.add_column("pictures a side", justify="right")
    for name in MEASURES:
        table.add_column(f"{name}: value, seconds, MB", justify="right")
    peaks: list[list[float]] = []
    for count in options.pictures:
        found = _alone(count, options.dim)
        table.add_row(f"{count:,}", *(f"{value:.4f}, {seconds:.0f} s, {peak:.0f} MB" for value, seconds, peak in found))
        peaks.append([peak for _, _, peak in found])
    Console(width=140).print(table)
    times = [f"{name} {last / first:.2f}" for name, first, last in zip(MEASURES, peaks[0], peaks[-1], strict=True)]
    print(f"Memory at {options.pictures[-1]:,} over that at {options.pictures[0]:,}: {', '.join(times)}.")
    return None


def synthetic(count: int, dim: int, seed: int, folder: Path) -> np.ndarray:
    """Write features that are correlated, and shifted by the seed, a block at a time; return them as they lie there."""
    mixing = np.random.default_rng(0).normal(size=(dim, dim)).astype(np.float32) * np.linspace(0.1, 1, dim)
    rng, file = np.random.default_rng(seed), folder / f"{seed}.npy"
    rows = np.lib.format.open_memmap(file, "w+", np.float32, (count, dim))
    for start in range(0, count, BLOCK):
        part = rows[start : start + BLOCK]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32) @ mixing + 0.01 * seed
    rows.flush()
    del rows
    return np.load(file, mmap_mode="r")


def _frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return the distance, after its jackknife of one side, as a report takes both."""
    reference = Moments.of(y)
    for part in leave_groups_out(x, GROUPS):
        frechet_distance(part, reference)
    return frechet_distance(Moments.of(x), reference)


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "Fréchet distance": _frechet,
    "MIND": lambda x, y: mind(x, y, groups=GROUPS).value,
    "KID of subsets": lambda x, y: kid_of_subsets(x, y)[0],
}


def _alone(count: int, dim: int) -> list[tuple[float, float, float]]:
    """Return value, seconds and MB of each measure, each in a process of its own."""
    found, context = [], multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for seed in (0, 1):
            synthetic(count, dim, seed, Path(folder))
        for name in MEASURES:
            here, there = context.Pipe()
            process = context.Process(target=_measure, args=(name, folder, there))
            process.start()
            there.close()
            try:
                found.append(here.recv())
            except EOFError as error:
                raise SystemExit(f"{name} of {count:,} pictures was ended, perhaps for the memory.") from error
            finally:
                process.join()
    return found


def _measure(name: str, folder: str, pipe: Connection) -> None:
    x, y = (np.load(Path(folder) / f"{seed}.npy", mmap_mode="r") for seed in (0, 1))
    with watched() as peak:
        start = time.perf_counter()
        value = MEASURES[name](x, y)
        seconds = time.perf_counter() - start
    pipe.send((float(value), seconds, max(peak)))


@contextmanager
def watched() -> Generator[list[float]]:
    """Yield a list that takes this process's own memory in MB, read twenty times a second."""
    read, over = [_own_memory()], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            read.append(_own_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield read
    finally:
        over.set()
        thread.join()


def _own_memory() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def _processes(images: Path, network: str) -> None:
    """Print seconds and value of one process and of two, of one thread each, without workers."""
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for processes, before in ((1, []), (2, launch)):
            report = Path(folder) / f"{processes}.json"
            given: list[object] = [
                "-m",
                "evaluation.fid",
                "--images",
                images,
                "--reference",
                images,
                "--network",
                network,
            ]
            given += ["--device", "cpu", "--workers", 0, "--groups", 0, "--report", report]
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, *before, *map(str, given)], cwd=ROOT, env=environment, check=True)
            found = json.loads(report.read_text())
            (one,) = found["provenance"]["passes"].values()
            results[processes] = one["seconds"], [measure["value"] for measure in found["measures"]]
    (alone, values), (both, others) = results[1], results[2]
    same = "the same to the last digit" if values == others else "NOT THE SAME"
    print(f"One process {alone:.1f} s, two {both:.1f} s: {alone / both:.2f} times as fast; all measures {same}.")


if __name__ == "__main__":
    main()
