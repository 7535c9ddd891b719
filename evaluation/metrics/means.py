"""A mean over pictures as a report has it: its interval draws together what hangs together."""

from collections.abc import Mapping

import numpy as np

from evaluation.metrics.bootstrap import Values, mean_interval
from evaluation.reporting.measure import Better, Measure


def mean_of(
    key: str,
    label: str,
    values: Values,
    better: Better = "higher",
    *,
    seed: int = 0,
    blocks: np.ndarray | None = None,
    details: Mapping[str, object] | None = None,
) -> Measure:
    """Return the mean of the values, one or more, with its bootstrap interval where there are two.

    `blocks` (n,) number which values hang together, as in `bootstrap.mean_interval`; None where none do.
    """
    found = np.asarray(values, dtype=np.float64)
    interval = mean_interval(found, seed, blocks) if len(found) > 1 else None
    own = {"values": found, "blocks": blocks}
    return Measure(key, label, float(found.mean()), len(found), better, interval, details or {}, **own)


def notes_on(blocks: np.ndarray | None) -> list[str]:
    """Return what a reader of intervals must know where pairs hang together; nothing where none do, or all."""
    if blocks is None or not blocks.any():
        return []
    return [
        f"Pairs that share a picture, a caption or a reference are not independent, so the intervals draw from the "
        f"{len(np.unique(blocks)):,} sets of such pairs, not from the {len(blocks):,} pairs."
    ]
