"""python -m benchmarks.visitors: many visitors at once at a real, running page, each a process with a gradio_client.

Each draws one picture after another. The run fails when one gets a picture that is not its own (by the prompt and
seed in the PNG's record), waits in silence, gets no picture at all, or when the server's memory grows.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty

import psutil
from gradio_client import Client
from gradio_client.client import Job
from gradio_client.exceptions import AppError
from PIL import Image
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
START_SECONDS = 300  # the most that the server's start or a visitor's last picture may take
SILENT_SECONDS = 10.0  # who hears nothing for longer waits without knowing
GROWTH = 0.05  # the server's memory may end by this share above what it was once warm
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Visit:
    """One request: how it ended, and its seconds in all, until the first word, and of the longest silence.

    `outcome` is "own" or "foreign" (a picture), "busy" (refused because the line is full) or an error's sentence.
    `waited` tells whether others were before it, and `told` whether it then heard how many.
    """

    outcome: str
    seconds: float
    first_word: float
    silence: float
    waited: bool
    told: bool


@dataclass(frozen=True)
class Run:
    """All visits, and the server's resident memory, (second, megabytes), [] where it cannot be seen."""

    visits: Sequence[Visit]
    memory: Sequence[tuple[float, float]]

    def failures(self) -> list[str]:
        """Return what went wrong, one sentence each."""
        drawn = [visit for visit in self.visits if visit.outcome in ("own", "foreign")]
        foreign = sum(visit.outcome == "foreign" for visit in drawn)
        silent = sum(visit.silence > SILENT_SECONDS or (visit.waited and not visit.told) for visit in self.visits)
        broken = sorted({visit.outcome for visit in self.visits} - {"own", "foreign", "busy"})
        growth = self.growth()
        found = {
            "No picture was drawn.": not drawn,
            f"{foreign} of {len(drawn)} pictures belonged to another visitor.": foreign,
            f"{silent} of {len(self.visits)} requests waited without knowing how long.": silent,
            f"The server's memory grew by {growth:.1%}." if growth else "": growth is not None and growth > GROWTH,
        }
        return [sentence for sentence, bad in found.items() if bad] + [f"Error: {sentence}" for sentence in broken]

    def growth(self) -> float | None:
        """Return the last quarter's median memory over that of the second, when the server was warm; None if unseen."""
        if len(self.memory) < 8:
            return None
        quarter = len(self.memory) // 4
        early, late = self.memory[quarter : 2 * quarter], self.memory[-quarter:]
        return statistics.median(rss for _, rss in late) / statistics.median(rss for _, rss in early) - 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page if no address is given, let the visitors in, print what they met; exit 1 if it was not good."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.visitors", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--visitors", type=int, default=20, help="visitors at once (default 20)")
    parser.add_argument("--seconds", type=float, default=180, help="how long they go on asking (default 180)")
    parser.add_argument("--checkpoint", help="folder or hub id; default: the embedded checkpoint")
    parser.add_argument("--address", help="a page that runs already, such as http://127.0.0.1:7860")
    source = "folder of another commit's code, whose page is served instead, to be compared with"
    parser.add_argument("--source", type=Path, default=ROOT, help=source)
    options = parser.parse_args(arguments)
    if options.visitors < 1 or options.seconds <= 0:
        parser.error("give at least one visitor and more than 0 seconds.")
    if not (options.source / "app.py").is_file():
        parser.error(f"{options.source} has no app.py: give the folder of a commit's code.")
    if options.address:
        run = let_in(options.address, options.visitors, options.seconds)
    else:
        with served(options.checkpoint, options.source) as (address, server):
            run = let_in(address, options.visitors, options.seconds, server)
    _report(run, options.visitors, options.seconds)
    if failures := run.failures():
        Console(stderr=True).print("\n".join(failures), style="bold red", highlight=False, markup=False)
        sys.exit(1)


@contextmanager
def served(
    checkpoint: str | None = None, source: Path = ROOT, folder: Path | None = None, within: Sequence[str] = ()
) -> Generator[tuple[str, psutil.Process]]:
    """Yield the page's address and its process, a real `python app.py`; RuntimeError with its log if it fails.

    `folder` takes its files and its log, by default one that is removed afterwards; `within` is a command that runs it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    if checkpoint and Path(checkpoint).is_dir():
        checkpoint = str(Path(checkpoint).resolve())  # the page starts in another folder
    command = [*within, sys.executable, "app.py", "--port", str(port)]
    command += ["--checkpoint", checkpoint] if checkpoint else []
    with tempfile.TemporaryDirectory() as own:
        place = folder or Path(own)
        environment = os.environ | {"GRADIO_TEMP_DIR": str(place / "cache"), "TMPDIR": str(place)}
        environment |= {name: str(place / name) for name in ("VOTES_FILE", "REPORTS_FILE")}
        log = Path(own, "log")
        with log.open("w") as file:
            server = subprocess.Popen(command, cwd=source, env=environment, stdout=file, stderr=file)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(address):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"The page does not start: {log.read_text()}")
                time.sleep(0.2)
            yield address, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait()


def let_in(address: str, visitors: int, seconds: float, server: psutil.Process | None = None) -> Run:
    """Let in all visitors at once, for so many seconds; RuntimeError when one of their processes dies."""
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(visitors + 1), context.Queue()
    processes = [
        context.Process(target=_visitor, args=(address, number, seconds, together, results), daemon=True)
        for number in range(visitors)
    ]
    for process in processes:
        process.start()
    together.wait(START_SECONDS)
    begun = time.monotonic()
    visits: list[Visit] = []
    memory: list[tuple[float, float]] = []
    reports = 0
    while reports < visitors:
        if server:
            memory.append((time.monotonic() - begun, server.memory_info().rss / 1e6))
        try:
            visits += results.get(timeout=0.5)
            reports += 1
        except Empty:
            if any(process.exitcode for process in processes) or time.monotonic() - begun > seconds + START_SECONDS:
                raise RuntimeError("A visitor's process ended without a report.") from None
    for process in processes:
        process.join()
    # Later, fewer visitors are left than were meant.
    return Run(visits, [(second, rss) for second, rss in memory if second <= seconds])


def _visitor(address: str, number: int, seconds: float, together: Barrier, results: "Queue[list[Visit]]") -> None:
    """One visitor's process: picture after picture, each with a prompt and a seed that nobody else has."""
    with tempfile.TemporaryDirectory() as folder:
        # On a busy machine an answer that takes long is a wait, and no error.
        client = Client(address, verbose=False, download_files=folder, httpx_kwargs={"timeout": START_SECONDS})
        together.wait(START_SECONDS)
        deadline = time.monotonic() + seconds
        visits: list[Visit] = []
        while time.monotonic() < deadline:
            visits.append(visit(client, f"a cat face of visitor {number}", 1_000_000 * number + len(visits)))
            if visits[-1].outcome == "busy":
                time.sleep(1)
        results.put(visits)


def visit(client: Client, prompt: str, seed: int) -> Visit:
    """Ask for one picture, listening to everything that is told meanwhile."""
    begun = time.monotonic()
    job = client.submit(prompt=prompt, seed=seed, random_seed=False, count=1, api_name="/text_to_image")
    heard: list[float] = [begun]
    waited = told = False
    done = False
    while not done:
        done = job.done()
        answers = job.outputs()[len(heard) - 1 :]
        for *_, state in answers:
            heard.append(time.monotonic())
            if state["state"] == "waiting":
                waited = True
                told = told or any(letter.isdigit() for letter in state["text"])
        time.sleep(0 if done else LOOK_SECONDS)
    ended = time.monotonic()
    silences = [after - before for before, after in zip(heard, [*heard[1:], ended], strict=True)]
    first_word = silences[0]
    return Visit(_outcome(job, prompt, seed), ended - begun, first_word, max(silences), waited, told)


def _outcome(job: Job, prompt: str, seed: int) -> str:
    try:
        pictures, *_ = job.result()
    except AppError as error:
        return "busy" if "waiting already" in str(error) else str(error)
    return "own" if all(owns(entry["image"], prompt, seed) for entry in pictures) and pictures else "foreign"


def owns(file: str | Path, prompt: str, seed: int) -> bool:
    """Return whether the PNG's record holds this prompt and seed."""
    with Image.open(file) as picture:
        picture.load()
        record = json.loads(picture.info["parameters"])
    return (record["prompt"], record["seed"]) == (prompt, seed)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=START_SECONDS).close()
    except OSError:
        return False
    return True


def _report(run: Run, visitors: int, seconds: float) -> None:
    drawn = [visit for visit in run.visits if visit.outcome == "own"]
    table = Table(title=f"{visitors} visitors at once for {seconds:g} s, {os.cpu_count()} CPU cores")
    table.add_column("measured")
    for column in ("p50", "p95", "max"):
        table.add_column(column, justify="right")
    for name, values in (
        ("seconds until the picture", [visit.seconds for visit in drawn]),
        ("seconds until the first word", [visit.first_word for visit in run.visits]),
        ("longest silence, seconds", [visit.silence for visit in run.visits]),
        ("server's memory, MB", [rss for _, rss in run.memory]),
    ):
        table.add_row(name, *(f"{value:.2f}" for value in _percentiles(values)))
    console = Console(width=100)
    console.print(table)
    busy = sum(visit.outcome == "busy" for visit in run.visits)
    waited = sum(visit.waited for visit in run.visits)
    told = sum(visit.told for visit in run.visits)
    growth = run.growth()
    console.print(
        f"{len(drawn)} own pictures, {len(drawn) / seconds:.2f} a second; {waited} requests waited in the line and "
        f"{told} of them were told their place; {busy} refused because it was full; "
        f"memory once warm to the end: {'not seen' if growth is None else f'{growth:+.1%}'}.",
        highlight=False,
    )


def _percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """p50, p95 and the maximum; nan of nothing."""
    if not values:
        return (float("nan"),) * 3
    ordered = sorted(values)
    return tuple(ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95, 1))


if __name__ == "__main__":
    main()
