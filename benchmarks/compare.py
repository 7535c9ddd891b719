"""python -m benchmarks.compare: the time of a comparison after the features, of this tree beside an older commit.

Two contestants and a reference of drawn noise, as features of 2,048 numbers that both trees are handed in place of a
network's. Each tree measures both contestants (distances, precision and recall, CLIP scores, intervals) and tests their
differences, as `evaluation.compare` does once it has features; reading pictures is left out. The trees take turns in
one run, each time in a fresh process; ratios are of the medians, by the clock and of the processor's time, which a
busy machine moves less. The older tree is a git worktree in a temporary folder, which is removed in the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE = "d00d3d8"
TURN = Path(__file__).with_name("compare_turn.py")
# What stands between features and result is the same in both, but in other files.
PLACES = {
    BASE: {
        "measure": "evaluation.compare",
        "extract": ("evaluation.compare", "evaluation.clip_score"),
        "contests": "evaluation.comparison",
        "contestant": "evaluation.contestants",
        "manifest": "evaluation.manifest",
        "moments": "evaluation.statistics",
        "statistics": "evaluation.statistics",
        "network": "evaluation.inception",
        "space": "evaluation.features",
    },
    "this tree": {
        "measure": "evaluation.comparing.measuring",
        "extract": ("evaluation.comparing.measuring", "evaluation.metrics.clip_score"),
        "contests": "evaluation.comparing.comparison",
        "contestant": "evaluation.comparing.contestants",
        "manifest": "evaluation.pictures.manifest",
        "moments": "evaluation.metrics.frechet",
        "statistics": "evaluation.metrics.statistics",
        "network": "evaluation.networks.inception",
        "space": "evaluation.networks.network",
    },
}


def main() -> None:
    """Time both trees in turns, and print each turn, the medians, their ratio and how equal the results are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000, help="of each side; default 5,000")
    parser.add_argument("--dim", type=int, default=2048, help="numbers in a feature; default 2,048, as Inception's")
    parser.add_argument("--turns", type=int, default=1, help="of each tree; default 1")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        older = Path(place) / "older"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(older), BASE], check=True)
        try:
            trees = {BASE: older, "this tree": ROOT}
            results: dict[str, list[dict]] = {name: [] for name in trees}
            for turn in range(options.turns):
                for name, tree in trees.items() if turn % 2 == 0 else reversed(trees.items()):
                    results[name].append(_turn(name, tree, Path(place), options))
                    print(f"{name}: {results[name][-1]['seconds']:.1f} s", flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(older)], check=True)
    _report(results, options)


def _report(results: dict[str, list[dict]], options: argparse.Namespace) -> None:
    """Print the medians, by the clock and of the processor, their ratios, and how equal the differences are."""
    count = _count(results)
    print(f"{options.pictures:,} pictures a side, {options.dim:,} features, {options.threads} threads:")
    for key, what in (("seconds", "by the clock"), ("processor_seconds", "of the processor")):
        old, new = (statistics.median(one[key] for one in results[name]) for name in PLACES)
        print(f"  {what}: {BASE} {old:.1f} s, this tree {new:.1f} s, {old / new:.2f} times faster")
    pairs = [zip(*(found[0]["found"][row] for found in results.values()), strict=True) for row in range(count)]
    apart = max(abs(a - b) / max(abs(a), abs(b), 1e-12) for row in pairs for a, b in row)
    print(f"  the {count} differences agree to {apart:.0e} relative")


def _turn(name: str, tree: Path, place: Path, options: argparse.Namespace) -> dict:
    """Return seconds and results of one tree, in a process of its own."""
    given = {"places": PLACES[name], "pictures": options.pictures, "dim": options.dim, "threads": options.threads}
    command = [sys.executable, "-P", str(TURN), json.dumps(given | {"folder": str(place)})]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _count(results: dict[str, list[dict]]) -> int:
    """Count the differences that each tree tested; ValueError unless as many."""
    counts = {len(found[0]["found"]) for found in results.values()}
    if len(counts) != 1:
        raise ValueError(f"The trees tested {' and '.join(map(str, counts))} differences.")
    return counts.pop()


if __name__ == "__main__":
    main()
