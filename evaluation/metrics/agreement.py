"""How far several raters agree: Krippendorff's alpha, which takes any number of raters and answers that are missing.

Krippendorff, Content Analysis (2004), chapter 11, and "Computing Krippendorff's Alpha-Reliability" (2011), whose
examples are tested. The Python package of that name is under the GPL, so the closed formula is written out here.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(units: Sequence[Sequence[int]], level: Level = "nominal") -> float | None:
    """Return 1 for raters that always agree, 0 for agreement by chance, below 0 for less than that.

    `units` holds for each thing that was rated the values it got, whoever gave them; those with fewer than two say
    nothing of agreement. None where nothing was rated twice, or all values are the same, so that chance is not known.
    """
    pairable = [unit for unit in units if len(unit) > 1]
    values = sorted({value for unit in pairable for value in unit})
    if len(values) < 2:
        return None
    place = {value: index for index, value in enumerate(values)}
    coincidences = np.zeros((len(values), len(values)))
    for unit in pairable:
        counts = np.bincount([place[value] for value in unit], minlength=len(values))
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(unit) - 1)
    totals = coincidences.sum(1)
    distances = _distances(np.array(values, dtype=float), totals, level)
    expected = (np.outer(totals, totals) * distances).sum() / (totals.sum() - 1)
    return float(1 - (coincidences * distances).sum() / expected)


def _distances(values: np.ndarray, totals: np.ndarray, level: Level) -> np.ndarray:
    """Return the squared difference (k, k) of every two values, whose frequencies are `totals`."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "interval":
        return np.square(np.subtract.outer(values, values))
    ranks = np.cumsum(totals) - totals / 2  # the mean rank of each value: what lies between two is half of both ends
    return np.square(np.subtract.outer(ranks, ranks))
