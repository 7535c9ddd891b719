"""Where a server keeps for long what it is told: a file of SQLite, or a database that several servers share."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData

BUCKET = Path("/data")  # where a Space mounts its bucket, the only place there that outlives a restart


def usual_place(variable: str, file: str) -> Path | str:
    """Return what a variable of the environment names, else a file of this name: on a Space in its bucket, else here.

    The variable names a file, or the URL of a database.
    """
    if named := os.environ.get(variable):
        return named if is_url(named) else Path(named)
    mounted = "SPACE_ID" in os.environ and BUCKET.is_dir() and os.access(BUCKET, os.W_OK)
    return BUCKET / file if mounted else Path(file)


def is_url(place: str | Path) -> bool:
    """Whether this is the URL of a database, and not the path of a file."""
    return "://" in str(place)


class Store:
    """Tables in a file, which appears with the first row, or in the database of a URL.

    Any thread and any process may use it. Attributes: `file`, None where a database has them.
    """

    def __init__(self, place: str | Path, tables: "Callable[[], MetaData]") -> None:
        """Keep them there; they are asked for when they are needed, since who keeps nothing need not import them."""
        self._url, self._tables = str(place), tables
        self.file, self._prepared = None if is_url(place) else Path(place), False

    @property
    def begun(self) -> bool:
        """Whether there may be something in it."""
        return self.file is None or self.file.exists()

    def check(self) -> None:
        """ValueError for a URL of no database, OSError for one that is not reached; a file need not be there yet."""
        if self.file is None:
            with self.open():
                pass

    @contextmanager
    def open(self) -> "Generator[Connection]":
        """Yield a connection whose changes are kept if no error comes.

        OSError where the file or the database cannot be read or written, ValueError for a URL of no database.
        """
        with _clear_errors():
            if self.file is not None:
                self.file.parent.mkdir(parents=True, exist_ok=True)
            self._prepare()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def read(self) -> "Generator[Connection]":
        """Yield a connection that only reads, as `open`; it writes nothing unless tables or columns are missing."""
        from dalle2.serving.database import missing, reading

        with _clear_errors():
            with reading(self._engine).begin() as connection:
                complete = not missing(connection, self._tables())
            if not complete:
                self._prepare()
            with reading(self._engine).begin() as connection:
                yield connection

    def _prepare(self) -> None:
        from dalle2.serving.database import prepare

        if self.file is not None or not self._prepared:  # a file each time, since somebody may have moved it away
            prepare(self._engine, self._tables())
            self._prepared = True

    @cached_property
    def _engine(self) -> "Engine":
        from sqlalchemy import URL

        from dalle2.serving.database import engine_of

        return engine_of(self._url if self.file is None else URL.create("sqlite", database=str(self.file)))


@contextmanager
def _clear_errors() -> Generator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    from dalle2.serving.database import unreachable

    try:
        yield
    except SQLAlchemyError as error:
        raise unreachable(error) from error
