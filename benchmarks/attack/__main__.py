"""`python -m benchmarks.attack`: attack servers of its own, print what was answered, exit 1 if anything was wrong.

50 visitors of the page and 20 programs of the API for ten minutes, 10,000 requests that are broken at random (and
schemathesis's, where .ci/clients has installed it), slow and half-sent heads and bodies, dropped streams, 1,000
requests in one moment, a kill while it draws, and a full disk. A short one:
`--seconds 10 --visitors 5 --clients 4 --fuzzed 200`.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.attack import crowd, mishaps, rude
from benchmarks.attack.answers import ROOT, Answer, Attack
from benchmarks.visitors import served
from dalle2 import atomic
from dalle2.serving.api import links

SCHEMATHESIS = ROOT / "runs" / "clients" / "schemathesis" / "bin" / "schemathesis"
ADDRESSED = ("fuzz", "schemathesis", "queue")  # parts whose pictures lie at addresses
PARTS = ("crowd", "fuzz", "schemathesis", "rude", "queue", "kill", "disk")
# The server's memory may end a part by this above its beginning, and by what lies at addresses for an hour.
GROWTH, GROWTH_MEGABYTES = 0.1, 50.0
MOST_KINDS = 20  # of errors that are printed; the report has all
SETTLING_SECONDS = 3.0  # in which what a part leaves behind is freed


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are asked for, one after another; the report is written after each."""
    options = parser().parse_args(arguments)
    begun = time.monotonic()
    attacks: list[Attack] = []
    for attack in _attacks(options, Console()):
        attacks.append(attack)
        if options.report:
            _write(attacks, options.report)
    failed = print_attacks(attacks, time.monotonic() - begun)
    sys.exit(1 if failed else 0)


def parser() -> argparse.ArgumentParser:
    """Return what the options may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run; default: all")
    parser.add_argument("--seconds", type=float, default=600, help="of the crowd; default: %(default)s")
    parser.add_argument("--visitors", type=int, default=50, help="of the page at once; default: %(default)s")
    parser.add_argument("--clients", type=int, default=20, help="of the API at once; default: %(default)s")
    parser.add_argument("--fuzzed", type=int, default=10_000, help="requests broken at random; default: %(default)s")
    parser.add_argument("--examples", type=int, default=100, help="of schemathesis an operation; default: %(default)s")
    parser.add_argument("--rude", type=int, default=50, help="rude clients of each kind; default: %(default)s")
    parser.add_argument("--queued", type=int, default=1_000, help="requests in one moment; default: %(default)s")
    parser.add_argument("--checkpoint", help="folder or hub id; default: the embedded checkpoint")
    parser.add_argument("--report", type=Path, metavar="JSON", help="write the numbers into this file")
    return parser


def _attacks(options: argparse.Namespace, console: Console) -> Iterator[Attack]:
    """Attack one server, then one for each mishap."""
    if set(options.only) & set(PARTS[:5]):
        with served(options.checkpoint) as (address, server):
            yield from _on_one_server(options, address, server, console)
    for name, mishap in (("kill", mishaps.killed), ("disk", mishaps.full_disk)):
        if name in options.only:
            console.print(f"{name} …")
            try:
                yield Attack(name, mishap(options.checkpoint))
            except OSError as error:
                console.print(f"{name} is left out: {error}", markup=False)


def _on_one_server(
    options: argparse.Namespace, address: str, server: psutil.Process, console: Console
) -> Iterator[Attack]:
    def everybody() -> list[tuple[str, list[Answer]]]:
        with ThreadPoolExecutor(2) as pool:
            page = pool.submit(crowd.visitors, address, options.visitors, options.seconds)
            programs = pool.submit(crowd.clients, address, options.clients, options.seconds)
            return [("visitors of the page", page.result()), ("programs of the API", programs.result())]

    parts: dict[str, Callable[[], list[tuple[str, list[Answer]]]]] = {
        "crowd": everybody,
        "fuzz": lambda: [("fuzzed requests", crowd.fuzzed(address, options.fuzzed))],
        "schemathesis": lambda: [("schemathesis", _schemathesis(address, options.examples, console))],
        "rude": lambda: [
            ("slow senders", rude.slow_senders(address, options.rude, min(options.seconds, 20))),
            ("heads that stop half-way", rude.slow_heads(address, options.rude)),
            ("half-sent bodies", rude.half_sent(address, options.rude)),
            ("dropped streams", rude.dropped_streams(address, options.rude)),
        ],
        "queue": lambda: [("in one moment", rude.all_at_once(address, options.queued))],
    }
    # Memory is looked at once the first full batches have been drawn.
    crowd.clients(address, max(options.clients, 8), min(options.seconds, 30))
    for name, part in parts.items():
        if name in options.only:
            console.print(f"{name} …")
            before = mishaps.memory(server)
            answers = part()
            time.sleep(SETTLING_SECONDS)
            memory = (before, mishaps.memory(server))
            for kind, made in answers:
                yield Attack(kind, made, memory, links.MOST_BYTES / 1e6 if name in ADDRESSED else 0.0)


def _schemathesis(address: str, examples: int, console: Console) -> list[Answer]:
    """Let schemathesis try each operation of the OpenAPI document; [] where it is not installed.

    A field's value may be right and the request still wrong (a size that nothing draws), so that valid data may be
    refused. Whatever else schemathesis checks must hold.
    """
    if not SCHEMATHESIS.is_file():
        console.print("schemathesis is left out: bash .ci/clients installs it.")
        return []
    command = [str(SCHEMATHESIS), "run", f"{address}/v1/openapi.json", "--url", f"{address}/v1", "--seed", "7"]
    command += ["--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--continue-on-failure"]
    command += ["--exclude-checks", "positive_data_acceptance,negative_data_rejection", "--request-timeout", "120"]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:  # where it keeps what it has found
        run = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | {"NO_COLOR": "1"})
    seconds = time.monotonic() - begun
    fault = "" if run.returncode == 0 else run.stdout[-4000:]
    found = re.search(r"([\d,]+) generated", run.stdout)
    return [Answer(f"test cases: {found[1] if found else 'none'}", seconds, fault)]


def print_attacks(attacks: Sequence[Attack], seconds: float) -> bool:
    """Print the numbers and the faults; True if there were any."""
    console = Console()
    table = Table(title=f"{seconds:.0f} s, {os.cpu_count()} CPU cores, Python {platform.python_version()}")
    for column in ("attack", "requests", "outcomes", "p50 s", "p95 s", "memory MB"):
        table.add_column(column, justify="left" if column in ("attack", "outcomes") else "right")
    for attack in attacks:
        outcomes = ", ".join(f"{name}: {times:,}" for name, times in attack.outcomes().most_common())
        times = [f"{attack.seconds(share):.2f}" for share in (0.5, 0.95)]
        memory = "{:.0f} → {:.0f}".format(*attack.memory)
        table.add_row(attack.name, f"{len(attack.answers):,}", outcomes, *times, memory)
    console.print(table)
    for attack in attacks:
        if errors := attack.errors():
            kinds = ", ".join(f"{kind}: {times:,}" for kind, times in errors.most_common(MOST_KINDS))
            console.print(f"{attack.name}: errors by kind: {kinds}", markup=False, highlight=False)
    faults = [f"{attack.name}: {fault} (×{times})" for attack in attacks for fault, times in attack.faults().items()]
    faults += [sentence for attack in attacks if (sentence := _grown(attack))]
    for fault in faults[:40]:
        console.print(fault, style="bold red", markup=False, highlight=False)
    console.print(f"{len(faults)} faults." if faults else "No fault: no trace, no path, no answer of another shape.")
    return bool(faults)


def _grown(attack: Attack) -> str:
    before, after = attack.memory
    grown = after > before * (1 + GROWTH) + GROWTH_MEGABYTES + attack.kept
    return f"{attack.name}: the server's memory grew from {before:.0f} to {after:.0f} MB." if grown else ""


def _write(attacks: Sequence[Attack], path: Path) -> None:
    rows = [
        {
            "attack": attack.name,
            "requests": len(attack.answers),
            "outcomes": dict(attack.outcomes()),
            "errors": dict(attack.errors().most_common()),
            "faults": dict(attack.faults()),
            "p50": attack.seconds(0.5),
            "p95": attack.seconds(0.95),
            "memory": attack.memory,
        }
        for attack in attacks
    ]
    with atomic.file(path) as partial:
        partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
