"""python -m benchmarks.replicas: pictures a second by Ray Serve with one replica and with two, on this machine.

Clients of the API ask for one picture after another, each with a prompt and a seed that nobody else has. The run fails
when an answer is an error or another's picture. Needs `pip install -r requirements-ray.txt`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import ray
from ray import serve
from rich.console import Console
from rich.table import Table

from dalle2.serving.ray.app import api
from dalle2.serving.ray.options import Options

PORT = 8126
ADDRESS = f"http://127.0.0.1:{PORT}/v1/images/generations"
OBJECT_STORE_BYTES = 200_000_000
MOST_SECONDS = 300.0  # that an answer may take


@dataclass(frozen=True)
class Run:
    """What the clients of so many replicas met: the seconds of each picture, and errors."""

    replicas: int
    seconds: Sequence[float]
    errors: Sequence[str]
    lasted: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Let the clients in for each number of replicas, print what they met; exit 1 after an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replicas", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--cpus", type=float, default=1.0, help="of each replica: its networks' threads (default 1)")
    parser.add_argument("--clients", type=int, default=20, help="clients at once (default 20)")
    parser.add_argument("--seconds", type=float, default=60, help="how long they go on asking (default 60)")
    parser.add_argument("--checkpoint", default="emoji", help="folder or hub id; default: the embedded checkpoint")
    options = parser.parse_args(arguments)
    if min(options.replicas) < 1 or options.clients < 1 or options.seconds <= 0 or options.cpus <= 0:
        parser.error("give at least one replica, one client, and more than 0 seconds and cpus.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cores = max(os.cpu_count() or 1, options.cpus * max(options.replicas))
    ray.init(num_cpus=cores, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, log_to_driver=False)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        runs = [_run(replicas, options) for replicas in options.replicas]
    finally:
        serve.shutdown()
        ray.shutdown()
    _report(runs, options.clients)
    if any(run.errors for run in runs):
        sys.exit(1)


def _run(replicas: int, options: argparse.Namespace) -> Run:
    asked = Options(
        checkpoints=(options.checkpoint,),
        min_replicas=replicas,
        max_replicas=replicas,
        cpus=options.cpus,
        waiting=options.clients,
    )
    serve.run(api(asked), name="dalle2", route_prefix="/")
    asyncio.run(_ask_all(options.clients, 1.0))  # until it is warm
    begun = time.monotonic()
    found = asyncio.run(_ask_all(options.clients, options.seconds))
    errors = [one for one in found if isinstance(one, str)]
    return Run(replicas, [one for one in found if isinstance(one, float)], errors, time.monotonic() - begun)


async def _ask_all(clients: int, seconds: float) -> list[float | str]:
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=MOST_SECONDS, limits=limits) as client:
        until = time.monotonic() + seconds
        each = await asyncio.gather(*(_ask_on(client, number, until) for number in range(clients)))
    return [one for found in each for one in found]


async def _ask_on(client: httpx.AsyncClient, number: int, until: float) -> list[float | str]:
    """Return the seconds of each picture of one client's, or what went wrong instead."""
    found: list[float | str] = []
    while time.monotonic() < until:
        begun, seed = time.monotonic(), 1_000_000 * number + len(found)
        asked = {"prompt": f"a cat face of client {number}", "seed": seed, "response_format": "b64_json"}
        answer = await client.post(ADDRESS, json=asked)
        if answer.status_code != 200:
            found.append(f"{answer.status_code}: {answer.text[:200]}")
            continue
        record = answer.json()["data"][0]["record"]
        own = (record["prompt"], record["seed"]) == (asked["prompt"], seed)
        found.append(time.monotonic() - begun if own else "another's picture")
    return found


def _report(runs: Sequence[Run], clients: int) -> None:
    table = Table(title=f"{clients} clients at once, {os.cpu_count()} CPU cores")
    for column in ("replicas", "pictures a second", "median s", "95th percentile s", "errors"):
        table.add_column(column, justify="right")
    for run in runs:
        middle, late = _percentiles(run.seconds)
        rate = f"{len(run.seconds) / run.lasted:.2f}"
        table.add_row(str(run.replicas), rate, f"{middle:.1f}", f"{late:.1f}", str(len(run.errors)))
    console = Console()
    console.print(table)
    for error in sorted({error for run in runs for error in run.errors}):
        console.print(error, markup=False)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    return statistics.median(values), sorted(values)[min(int(0.95 * len(values)), len(values) - 1)]


if __name__ == "__main__":
    main()
