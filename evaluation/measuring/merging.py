"""Statistics of parts as those of the whole: the work of `evaluation.merge`."""

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from pathlib import Path

from evaluation.metrics.overlap import require_different
from evaluation.metrics.statistics import Statistics


def merged(files: Sequence[Path]) -> tuple[Statistics, list[str]]:
    """Return the statistics of all files together, and what a reader must know of them.

    ValueError for parts that were not taken alike, and for pictures that would count twice.
    """
    for a, b in combinations(files, 2):
        if a.exists() and b.exists() and a.samefile(b):
            raise ValueError(f"{a} is named twice (as {b}), and its pictures would count twice: name every part once.")
    parts = {str(file): Statistics.load(file) for file in files}
    first = parts[str(files[0])]
    for name, part in parts.items():
        first.space.require(part.space, f"The statistics in {name}")
    notes = require_different(parts)
    return reduce(Statistics.merge, parts.values()), notes
