"""The database that several servers share: PostgreSQL or any other that SQLAlchemy opens, or a file of SQLite."""

from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, MetaData, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateColumn

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
    event.listen(engine, "begin", _begin)
    return engine


def reading(engine: Engine) -> Engine:
    """Return the same database for transactions that only read, and so need no right to write its file."""
    return engine.execution_options(reads=True)


def prepare(engine: Engine, tables: MetaData) -> None:
    """Make the tables and columns that are not there yet; others may be doing the same. OSError as by `unreachable`.

    A column that came later needs a `server_default` for the rows that are there already.
    """
    for attempt in range(ATTEMPTS):
        try:
            with engine.begin() as connection:
                tables.create_all(connection)
                for column in missing(connection, tables):
                    added = CreateColumn(column).compile(dialect=engine.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {added}")
            return None
        except (IntegrityError, ProgrammingError) as error:
            if attempt == ATTEMPTS - 1:
                raise unreachable(error) from error
        except SQLAlchemyError as error:
            raise unreachable(error) from error
    return None


def missing(connection: Connection, tables: MetaData) -> list[Column]:
    """Return the columns that the database does not have yet, of all of these tables."""
    found, lacking = inspect(connection), []
    for table in tables.sorted_tables:
        names = {column["name"] for column in found.get_columns(table.name)} if found.has_table(table.name) else set()
        lacking += [column for column in table.columns if column.name not in names]
    return lacking


def unreachable(error: SQLAlchemyError) -> OSError:
    """Return what a database says as an error of reading and writing, without the statement and its values."""
    return OSError(f"The database does not do it: {getattr(error, 'orig', None) or type(error).__name__}")


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # sqlite3 would begin one only with the first change, after what was read before
