"""The batches of a stage in turn; where a GPU trains, other processes draw their words meanwhile."""

import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

import torch

from dalle2.datasets.batch import Batch, BatchPlan
from dalle2.datasets.picture_stream import PicturesInStream
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness

Pictures = PicturesInMemory | PicturesInStream
T = TypeVar("T")
_DRAWERS = 2  # captions of a thousand pictures take one core longer than a GPU takes to learn from them
_AHEAD = 3  # batches of each of them


def batches(
    pictures: Pictures, steps: Iterable[Randomness], per_concept: int, device: torch.device
) -> Iterator[tuple[Randomness, Batch]]:
    """Yield each step's draws and batch, the same on every device.

    Cores that train make their batches themselves; a GPU must not wait for them.
    """
    if device.type == "cpu":
        return ((randomness, pictures.batch(randomness, per_concept)) for randomness in steps)
    if isinstance(pictures, PicturesInMemory):
        workers = min(_DRAWERS, max(1, (os.cpu_count() or 1) // 4))
        return drawn_ahead(pictures, steps, per_concept, workers)
    return ahead((randomness, pictures.batch(randomness, per_concept)) for randomness in steps)


def drawn_ahead(
    pictures: PicturesInMemory, steps: Iterable[Randomness], per_concept: int, workers: int
) -> Iterator[tuple[Randomness, Batch]]:
    """Yield each step's draws and batch: other processes draw what it shows and says, its pixels are made here."""
    spawn = multiprocessing.get_context("spawn")  # a forked child would inherit the GPU and the locks of threads
    pool = ProcessPoolExecutor(workers, spawn, _remember, (pictures.words(),))
    steps, waiting = iter(steps), deque()
    try:
        for randomness in itertools.islice(steps, _AHEAD * workers):
            waiting.append((randomness, pool.submit(_drawn, *randomness.key, per_concept)))
        while waiting:
            present, drawn = waiting.popleft()
            for randomness in itertools.islice(steps, 1):
                waiting.append((randomness, pool.submit(_drawn, *randomness.key, per_concept)))
            yield present, pictures.render(drawn.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the same items, the next one being made in a thread while one is used."""
    rest = iter(items)

    def advance() -> list[T]:
        return list(itertools.islice(rest, 1))

    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(advance)
        while present := following.result():
            following = thread.submit(advance)
            yield present[0]


_words: PicturesInMemory  # of a drawing process


def _remember(words: PicturesInMemory) -> None:
    global _words
    _words = words
    end_with_parent()


def end_with_parent() -> None:
    """End this process when the one that started it ends, even by a kill."""
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)


def _drawn(seed: int, stage: str, step: int, batch_size: int, slots: slice, per_concept: int) -> BatchPlan:
    return _words.draw(Randomness(seed, stage, step, batch_size, slots), per_concept)
