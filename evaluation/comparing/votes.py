"""Votes of people on pairs of contestants, as the page exports them: read, counted, tested."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.metrics.bootstrap import holm, sign_test
from evaluation.prompts.tables import read_csv

COLUMNS = ("question", "a", "b", "winner")


@dataclass(frozen=True)
class VoteCount:
    """What people said: a's share of the votes that were no ties, its interval, and the corrected p-value."""

    question: str
    a: str
    b: str
    wins: int
    losses: int
    ties: int
    share: float
    interval: tuple[float, float]
    p_holm: float


def read_votes(path: Path) -> tuple[VoteCount, ...]:
    """Read and count votes as the page exports them; ValueError names the first row that is not one."""
    return count_votes(read_rows(path))


def read_rows(path: Path) -> list[Mapping[str, str]]:
    """Read votes as the page exports them; ValueError names the first row that is not one."""
    rows = read_csv(path)
    if not rows:
        raise ValueError(f"{path} holds no votes: leave it out.")
    for where, row in rows:
        if missing := [name for name in COLUMNS if name not in row]:
            raise ValueError(f"{path} has no column {missing[0]!r}: votes have the columns {', '.join(COLUMNS)}.")
        if row["winner"] not in ("a", "b", "tie") or not row["a"] or not row["b"] or row["a"] == row["b"]:
            raise ValueError(f"{where}: two different names and a winner of a, b or tie are needed.")
    return [row for _, row in rows]


def count_votes(rows: Sequence[Mapping[str, str]]) -> tuple[VoteCount, ...]:
    """Count rows of question, a, b (in any order) and winner ("a", "b" or "tie"): a line for each question and pair."""
    counts: dict[tuple[str, str, str], list[int]] = {}  # won by the first of the two, by the second, by none
    for row in rows:
        first, second = sorted((row["a"], row["b"]))
        entry = counts.setdefault((row["question"], first, second), [0, 0, 0])
        entry[2 if row["winner"] == "tie" else (first, second).index(row[row["winner"]])] += 1
    tests = [sign_test(wins, losses) for wins, losses, _ in counts.values()]
    corrected = holm([p for *_, p in tests])
    return tuple(
        VoteCount(*pair, *entry, share, interval, p)
        for (pair, entry), (share, interval, _), p in zip(counts.items(), tests, corrected, strict=True)
    )
