"""How far FID in bfloat16 is from FID in float32: two halves of a set of pictures against each other, in both."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluation.metrics.frechet import Moments, frechet_distance
from evaluation.networks.features import extract
from evaluation.networks.inception import Inception
from evaluation.pictures.sources import open_source

PRECISIONS = ("float32", "bf16")
COLUMNS = ("pictures", "a side", "FID in float32", "in bf16", "relative difference", "features, of their spread")


def report(places: Sequence[str], most: int, weights: Path, batch_size: int, workers: int) -> None:
    """Print a row for each place of pictures: see `deviation`."""
    table = Table(title=f"FID of one half of the pictures to the other, {weights.stem} weights, resize clean")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == COLUMNS[0] else "right")
    for place in places:
        count, exact, rounded, noise = deviation(place, most, weights, batch_size, workers)
        cells = (f"{count:,}", f"{exact:.6f}", f"{rounded:.6f}", f"{rounded / exact - 1:+.1e}", f"{noise:.1e}")
        table.add_row(place, *cells)
    Console(width=140).print(table)


def deviation(
    place: str, most: int, weights: Path, batch_size: int = 32, workers: int = 0
) -> tuple[int, float, float, float]:
    """Return pictures a side, `most` of them, both distances, and the features' difference over their spread (rms)."""
    pictures = open_source(place).pictures
    count = min(most, len(pictures) // 2)
    if count < 2:
        raise SystemExit(f"{place} holds {len(pictures)} pictures: two halves need four or more.")
    chosen = [pictures[index * len(pictures) // (2 * count)] for index in range(2 * count)]
    networks = {precision: Inception(weights, "clean", precision=precision) for precision in PRECISIONS}
    features = {name: extract(chosen, one, None, batch_size, workers) for name, one in networks.items()}
    exact, rounded = (
        frechet_distance(*(Moments.of(half) for half in (rows[:count], rows[count:]))) for rows in features.values()
    )
    right = np.asarray(features["float32"], dtype=np.float64)
    apart = float(np.sqrt(np.square(features["bf16"] - right).mean() / right.var(0).mean()))
    return count, exact, rounded, apart
