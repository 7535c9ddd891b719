"""Which pairs hang together: five captions of a photograph are not five photographs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse.csgraph

from dalle2 import hashes
from evaluation.prompts.pairing import Pair


def blocks_of(pairs: Sequence[Pair]) -> np.ndarray | None:
    """Return which pairs share a picture, a caption or a reference: see `linked`."""
    return linked([(one.picture, one.caption, *([] if one.reference is None else [one.reference])) for one in pairs])


def linked(things: Sequence[Iterable[Path | str]]) -> np.ndarray | None:
    """Return which of n entries share a thing, also by way of others: (n,) numbers from 0; None where none do.

    A path stands for what its file holds, so that a copy under another name is the same picture; a text for itself.
    """
    known: dict[Path, str] = {}
    places: dict[tuple[bool, str], int] = {}
    own, shared = [], []
    for index, entry in enumerate(things):
        for thing in entry:
            if isinstance(thing, Path) and thing not in known:
                known[thing] = hashes.of_file(thing)
            name = known[thing] if isinstance(thing, Path) else thing
            own.append(index)
            shared.append(len(things) + places.setdefault((isinstance(thing, Path), name), len(places)))
    size = len(things) + len(places)
    graph = scipy.sparse.coo_array((np.ones(len(own)), (own, shared)), shape=(size, size))
    count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return None if count == len(things) else labels[: len(things)]
