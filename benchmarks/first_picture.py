"""python -m benchmarks.first_picture: how long the command line takes, from its start to --help and to a picture.

With --source FOLDER, the code of another commit (git worktree add --detach FOLDER COMMIT), both take turns, each in a
process of its own: seconds by the clock, and of the processor.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
PROMPT = "a cat face, twemoji style"
TASKS = {"--help": ["--help"], "a picture": [PROMPT, "--seed", "0", "-o"], "four pictures": [PROMPT, "-n", "4", "-o"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run each command as often as asked, and print medians and their ratios to the other commit's."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_picture", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--source", type=Path, help="the code of another commit")
    parser.add_argument("--checkpoint", help="folder; default: the embedded one of each")
    parser.add_argument("--runs", type=int, default=5, help="how often to run each command (default 5)")
    options = parser.parse_args(arguments)
    sources = [ROOT, *([options.source.resolve()] if options.source else [])]
    times: dict[tuple[str, Path], list[tuple[float, float]]] = {}
    for turn in range(options.runs + 1):  # the first fills the disk's cache, and does not count
        for task, words in TASKS.items():
            for source in sources if turn % 2 == 0 else reversed(sources):
                spent = _run(words, source, options.checkpoint)
                times.setdefault((task, source), [])
                if turn:
                    times[task, source].append(spent)
    table = Table(title=f"Command line, {options.runs} times, {os.cpu_count()} CPU cores, medians")
    there = ["seconds there", "of the processor there", "ratios"] if options.source else []
    columns = ["", "seconds", "of the processor", *there]
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for task in TASKS:
        each = [[statistics.median(one) for one in zip(*times[task, source], strict=True)] for source in sources]
        cells = [f"{value:.2f}" for one in each for value in one]
        ratios = [" and ".join(f"{a / b:.2f}" for a, b in zip(*each, strict=True))] if options.source else []
        table.add_row(task, *cells, *ratios)
    Console(width=110).print(table)


def _run(words: Sequence[str], source: Path, checkpoint: str | None) -> tuple[float, float]:
    """Return the seconds of one command by the clock, and of the processor."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dalle2", *words]
        if words[-1] == "-o":
            command += [f"{folder}/", *(["--checkpoint", checkpoint] if checkpoint else [])]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    spent, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
