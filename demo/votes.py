"""The blind votes of the page in a SQLite file or another database, and their export; `ranking.py` counts them.

`python -m demo.votes FILE --out votes.csv` exports them from the command line.
"""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dalle2 import atomic
from dalle2.judgements.ranking import QUESTIONS, WINNERS, rank
from dalle2.refusal import Refusal
from dalle2.serving import store

if TYPE_CHECKING:
    from sqlalchemy import MetaData

HEADER = ("question", "a", "b", "winner")
FILE = "votes.sqlite3"


def usual_place() -> Path | str:
    """Return where votes are kept: in what VOTES_FILE names, else in a file, on a Space in its bucket."""
    return store.usual_place("VOTES_FILE", FILE)


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
                raise Refusal(f"A vote takes one of {', '.join(allowed)}, not {value!r}.")
        if not self.a or not self.b or self.a == self.b:
            raise Refusal(f"A vote needs two different contestants, not {self.a!r} and {self.b!r}.")


class Votes:
    """The votes in a file, which appears with the first one, or in the database of a URL.

    Any thread and any process may call; OSError when the file or the database cannot be read or written, ValueError
    for a URL of no database.
    """

    def __init__(self, place: str | Path) -> None:
        self._store = store.Store(place, _tables)
        self.file = self._store.file  # None where a server has the database

    def add(self, votes: Sequence[Vote]) -> None:
        """Keep all of these or none."""
        from demo.vote_table import VOTES

        time = datetime.now(UTC).isoformat(timespec="seconds")
        with self._store.open() as connection:
            connection.execute(VOTES.insert(), [{"time": time, **asdict(vote)} for vote in votes])

    def read(self) -> list[Vote]:
        """Return all votes, the oldest first; [] before the first one."""
        from demo.vote_table import VOTES

        if not self._store.begun:
            return []
        with self._store.read() as connection:
            rows = connection.execute(VOTES.select().order_by(VOTES.c.id)).mappings().all()
        return [Vote(**{field.name: row[field.name] for field in fields(Vote)}) for row in rows]

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


def _tables() -> "MetaData":
    from demo.vote_table import TABLES  # what a page that nobody votes on need not wait for

    return TABLES


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the ranking for each question, and export the votes if asked to."""
    parser = argparse.ArgumentParser(prog="python -m demo.votes", description="The ranking of the page's blind votes.")
    parser.add_argument("file", help="the votes' file, such as votes.sqlite3, or the URL of their database")
    parser.add_argument("--out", type=Path, help="CSV file to write for evaluation.compare --votes")
    options = parser.parse_args(arguments)
    try:
        if not store.is_url(options.file) and not Path(options.file).is_file():
            raise FileNotFoundError(f"{options.file} does not exist: give the page's file of votes (VOTES_FILE).")
        if options.out:
            atomic.check_suffix(options.out, ".csv")
        votes = Votes(options.file).read()
        if options.out:
            Votes(options.file).export(options.out)
    except (OSError, ValueError) as error:
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
