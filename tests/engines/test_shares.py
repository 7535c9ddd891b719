"""Rows of a call are shared out among threads, and come back in their order."""

import threading
from collections.abc import Mapping

import numpy as np
import pytest

from dalle2_runner.shares import Run, Shares

WIDTH = 3


class Engine:
    """Doubles its rows, and remembers by how many threads, for how many callers, in which calls."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []
        self.calls: list[tuple[int, int, bool]] = []

    def make(self, threads: int, callers: int) -> Run:
        self.made.append((threads, callers))

        def run(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            own = threading.current_thread() is threading.main_thread()
            self.calls.append((threads, len(inputs["x"]), own))
            if (inputs["x"] < 0).any():
                raise RuntimeError("below zero")
            return 2 * inputs["x"] + inputs["t"]

        return run


def inputs(rows: int) -> dict[str, np.ndarray]:
    return {"x": np.arange(rows * WIDTH, dtype=np.float32).reshape(rows, WIDTH), "t": np.array(5)}


@pytest.mark.parametrize(
    "rows, shares", [(1, {(2, 1, True)}), (2, {(1, 1, True), (1, 1, False)}), (5, {(1, 2, True), (1, 3, False)})]
)
def test_each_thread_computes_its_own_rows(rows: int, shares: set) -> None:
    engine = Engine()
    network = Shares(engine.make, 2, rows)
    assert engine.made == [(2, 1) if rows == 1 else (1, 2)], "made before it is asked"
    given = inputs(rows)
    assert np.array_equal(network(given), 2 * given["x"] + 5)
    assert set(engine.calls) == shares


def test_what_computes_other_numbers_of_rows_is_made_once_when_they_come() -> None:
    engine = Engine()
    network = Shares(engine.make, 4, 1)
    for rows in (1, 3, 8, 4, 2, 9):
        assert len(network(inputs(rows))) == rows
    assert engine.made == [(4, 1), (1, 4)]


def test_one_thread_has_nobody_to_share_with() -> None:
    engine = Engine()
    Shares(engine.make, 1, 2)(inputs(6))
    assert engine.made == [(1, 1)] and engine.calls == [(1, 6, True)]


def test_what_is_not_of_each_row_is_not_cut() -> None:
    engine = Engine()
    network = Shares(engine.make, 2, 2)
    assert network({**inputs(2), "t": np.ones(3, np.float32)}).shape == (2, WIDTH)
    assert engine.calls == [(2, 2, True)]


@pytest.mark.parametrize("row", [0, 3])
def test_an_error_in_any_share_is_the_caller_s(row: int) -> None:
    given = inputs(4)
    given["x"][row] = -1
    with pytest.raises(RuntimeError, match="below zero"):
        Shares(Engine().make, 2, 4)(given)
