"""The database that several servers share: PostgreSQL or any other that SQLAlchemy opens, or a file of SQLite."""

from typing import Any

from sqlalchemy import URL, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

BUSY_SECONDS = 30  # how long a change of a SQLite file waits while another one is written
ATTEMPTS = 3


def engine_of(place: str | URL) -> Engine:
    """Return the database at a URL such as postgresql+psycopg://user:password@host/name or sqlite:///file.

    Nothing is opened yet. ValueError where there is no such database or its driver is not installed; no sentence
    tells the URL, which may hold a password.
    """
    try:
        url = make_url(place)
        if url.get_backend_name() != "sqlite":
            return create_engine(url, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError) as error:
        raise ValueError(
            "This is no URL of a database: write it as postgresql+psycopg://user:password@host/name, or sqlite:///file."
        ) from error
    except ModuleNotFoundError as error:
        raise ValueError(
            f"The database needs the package {error.name}: pip install 'open-dalle2[database]'."
        ) from error
    # A connection for each use, so that threads and processes may share the file, and none keeps it open.
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def prepare(engine: Engine, tables: MetaData) -> None:
    """Make the tables that are not there yet; others may be doing the same. OSError as by `unreachable`."""
    for attempt in range(ATTEMPTS):
        try:
            return tables.create_all(engine)
        except (IntegrityError, ProgrammingError) as error:
            if attempt == ATTEMPTS - 1:
                raise unreachable(error) from error
        except SQLAlchemyError as error:
            raise unreachable(error) from error
    return None


def unreachable(error: SQLAlchemyError) -> OSError:
    """Return what a database says as an error of reading and writing, without the statement and its values."""
    return OSError(f"The database does not do it: {getattr(error, 'orig', None) or type(error).__name__}")


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # sqlite3 would begin one only with the first change, after what was read before
