"""The blind votes of the page in a SQLite file, and their export. What they add up to is told in `ranking.py`.

`python -m demo.votes FILE --out votes.csv` exports them from the command line.
"""

import argparse
import csv
import io
import os
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dalle2 import atomic
from demo.ranking import QUESTIONS, WINNERS, rank

HEADER = ("question", "a", "b", "winner")
FILE = "votes.sqlite3"
BUCKET = Path("/data")  # where a Space mounts its bucket, the only place there that outlives a restart
BUSY_SECONDS = 30  # how long a vote waits while another one is written
# No identifier of a visitor; the prompt stays NULL without consent.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS votes (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    question TEXT NOT NULL CHECK (question IN {QUESTIONS}),
    a TEXT NOT NULL,
    b TEXT NOT NULL CHECK (a <> b),
    winner TEXT NOT NULL CHECK (winner IN {WINNERS}),
    seed INTEGER NOT NULL,
    prompt TEXT
)
"""


def usual_file() -> Path:
    """Return where votes are kept: in what VOTES_FILE names, else on a Space in its bucket, else in this folder."""
    if named := os.environ.get("VOTES_FILE"):
        return Path(named)
    mounted = "SPACE_ID" in os.environ and BUCKET.is_dir() and os.access(BUCKET, os.W_OK)
    return BUCKET / FILE if mounted else Path(FILE)


@dataclass(frozen=True)
class Vote:
    """One visitor's answer to one question: `winner` is "a", "b" or "tie", as the two were shown.

    `a` and `b` name the contestants; `prompt` is None unless the visitor agreed to its being kept.
    ValueError when a value is not among those allowed.
    """

    question: str
    a: str
    b: str
    winner: str
    seed: int
    prompt: str | None = None

    def __post_init__(self) -> None:
        for value, allowed in ((self.question, QUESTIONS), (self.winner, WINNERS)):
            if value not in allowed:
                raise ValueError(f"A vote takes one of {', '.join(allowed)}, not {value!r}.")
        if not self.a or not self.b or self.a == self.b:
            raise ValueError(f"A vote needs two different contestants, not {self.a!r} and {self.b!r}.")


class Votes:
    """The file of votes, which appears with the first one.

    Each call has a connection of its own, hence any thread and any process may call; sqlite3.Error and OSError when
    the file cannot be read or written.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)

    def add(self, votes: Sequence[Vote]) -> None:
        """Keep all of these or none."""
        time = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(time, vote.question, vote.a, vote.b, vote.winner, vote.seed, vote.prompt) for vote in votes]
        with self._open() as connection:
            connection.executemany(
                "INSERT INTO votes (time, question, a, b, winner, seed, prompt) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )

    def read(self) -> list[Vote]:
        """Return all votes, the oldest first; [] before the first one."""
        if not self.file.exists():
            return []
        with self._open() as connection:
            rows = connection.execute("SELECT question, a, b, winner, seed, prompt FROM votes ORDER BY id").fetchall()
        return [Vote(*row) for row in rows]

    def to_csv(self) -> str:
        """Return what `evaluation.compare --votes` reads: a header and one line a vote, without prompts and seeds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([getattr(vote, column) for column in HEADER] for vote in self.read())
        return text.getvalue()

    def export(self, path: str | Path) -> Path:
        """Write `to_csv` into a file, which appears whole or not at all."""
        path = Path(path)
        with atomic.file(path) as partial:
            partial.write_text(self.to_csv(), encoding="utf-8")
        return path

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """Yield a connection whose changes are kept if no error comes."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.file, timeout=BUSY_SECONDS)) as connection, connection:
            connection.execute(SCHEMA)
            yield connection


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ranking for each question, and export the votes if asked to."""
    parser = argparse.ArgumentParser(prog="python -m demo.votes", description="The ranking of the page's blind votes.")
    parser.add_argument("file", type=Path, help="the votes' file, such as votes.sqlite3")
    parser.add_argument("--out", type=Path, help="CSV file to write for evaluation.compare --votes")
    options = parser.parse_args(arguments)
    try:
        if not options.file.is_file():
            raise FileNotFoundError(f"{options.file} does not exist: give the page's file of votes (VOTES_FILE).")
        votes = Votes(options.file).read()
        if options.out:
            Votes(options.file).export(options.out)
    except (OSError, ValueError, sqlite3.Error) as error:
        Console(stderr=True).print(f"demo.votes: {error}", markup=False, soft_wrap=True)
        sys.exit(2)
    for question in QUESTIONS:
        table = Table(title=f"{question} ({sum(vote.question == question for vote in votes)} votes)")
        table.add_column("contestant")
        for column in ("rating", "95 %", "win rate", "95 %", "votes"):
            table.add_column(column, justify="right")
        for place in rank(votes, question):
            table.add_row(*place.cells())
        Console().print(table)


if __name__ == "__main__":
    main()
