"""Keys, limits and addresses of pictures that several servers share, in a database.

All servers' clocks must agree to about a second. What a server that is killed had begun counts until LEASE_SECONDS
after it began.
"""

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dalle2.serving.api.keys import PER_MINUTE, PICTURES, Key, fresh, hashed
from dalle2.serving.api.links import MOST_BYTES, SECONDS, File, new_name
from dalle2.serving.api.meter import MINUTE, too_many_at_once, too_many_pictures, too_often
from dalle2.serving.database import engine_of, prepare, unreachable

LEASE_SECONDS = 1800.0
HOUR, DAY = 3600.0, 86_400.0  # how often each server takes out callers, and of how long ago
CONNECTIONS = anyio.CapacityLimiter(4)  # of one server at a time

TABLES = MetaData()
KEYS = Table(
    "api_keys",
    TABLES,
    Column("name", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("per_minute", Integer, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("operator", Boolean, nullable=False),
)
CALLERS = Table("api_callers", TABLES, Column("name", String(64), primary_key=True), Column("seen", Float))
REQUESTS = Table(
    "api_requests",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("caller", String(64), nullable=False, index=True),
    Column("time", Float, nullable=False),
)
DRAWINGS = Table(
    "api_drawings",
    TABLES,
    Column("id", String(32), primary_key=True),
    Column("caller", String(64), nullable=False, index=True),
    Column("pictures", Integer, nullable=False),
    Column("until", Float, nullable=False),
)
FILES = Table(
    "api_files",
    TABLES,
    Column("name", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("until", Float, nullable=False, index=True),
)

T = TypeVar("T")


class Shared:
    """One server's door to the database; OSError where that is not reached."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        """Make the tables that are not there yet; ValueError for a URL of no database."""
        self.engine, self.clock = engine_of(url), clock
        prepare(self.engine, TABLES)
        self.keys, self.meter, self.links = SharedKeys(self), SharedMeter(self), SharedLinks(self)

    def change(self, work: Callable[[Connection], T]) -> T:
        """Do all of the work or nothing."""
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise unreachable(error) from error

    async def changed(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do the same beside the event loop."""
        whole = partial(self.change, lambda connection: work(connection, *arguments))
        return await to_thread.run_sync(whole, limiter=CONNECTIONS)


class SharedKeys:
    """Keys in the database; one that is taken out of it opens nothing any more, at once."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    @property
    def keys(self) -> tuple[Key, ...]:
        """All that there are now."""
        rows = self._shared.change(lambda connection: connection.execute(select(KEYS)).all())
        return tuple(Key(*row) for row in rows)

    async def find(self, given: str) -> Key | None:
        """Return whose key this is. What is looked up is its hash, whose likeness to another says nothing of a key."""
        return await self._shared.changed(_find_key, hashed(given))

    def make(self, name: str, per_minute: int = PER_MINUTE, pictures: int = PICTURES, *, operator: bool = False) -> str:
        """Return a new key, whose hash is kept; ValueError for a name taken."""
        given, key = fresh(name, per_minute, pictures, operator)
        if not self._shared.change(partial(_add_key, key=key)):
            raise ValueError(f"The database has a key called {name} already: choose another name.")
        return given


def _find_key(connection: Connection, sha256: str) -> Key | None:
    row = connection.execute(select(KEYS).where(KEYS.c.sha256 == sha256)).one_or_none()
    return row and Key(*row)


def _add_key(connection: Connection, key: Key) -> bool:
    """Return whether it is new."""
    try:
        with connection.begin_nested():
            connection.execute(insert(KEYS).values(asdict(key)))
    except IntegrityError:
        return False
    return True


class SharedMeter:
    """How much each caller asks of all servers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._tidied = shared.clock()

    async def count(self, name: str, per_minute: int | None, most: int | None) -> "SharedCaller":
        """Return the caller, with this request counted, as `Meter.count`."""
        now = self._shared.clock()
        if now - self._tidied >= HOUR:  # apart from counting, which holds a row: so nobody waits for two
            self._tidied = now
            await self._shared.changed(_forget, now - DAY)
        if per_minute is not None:
            await self._shared.changed(_count, name, per_minute, now)
        return SharedCaller(self._shared, name, most)


@dataclass
class SharedCaller:
    """Who asks, as `Caller`."""

    shared: Shared
    name: str
    most: int | None
    operator: bool = False

    @asynccontextmanager
    async def drawing(self, pictures: int, seconds: Callable[[], float]) -> AsyncGenerator[None]:
        """While these pictures are drawn, as `Caller.drawing`."""
        if self.most is None:
            yield
            return
        if pictures > self.most:
            raise too_many_at_once(self.most)
        number = secrets.token_hex(16)
        row = {"id": number, "caller": self.name, "pictures": pictures}
        others = await self.shared.changed(_begin, row, self.most, self.shared.clock())
        if others is not None:
            raise too_many_pictures(others, self.most, seconds())
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self.shared.changed(_end, number)


def _alone(connection: Connection, caller: str, now: float) -> None:
    """Let no other server count for this caller until all of this is done: a row of theirs is locked."""
    seen = update(CALLERS).where(CALLERS.c.name == caller).values(seen=now)
    if connection.execute(seen).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(CALLERS).values(name=caller, seen=now))
    except IntegrityError:  # another server did it meanwhile
        connection.execute(seen)


def _forget(connection: Connection, then: float) -> None:
    """Take out the callers who have asked for nothing since then: addresses are without number."""
    connection.execute(delete(CALLERS).where(CALLERS.c.seen < then))


def _count(connection: Connection, caller: str, per_minute: int, now: float) -> None:
    _alone(connection, caller, now)
    connection.execute(delete(REQUESTS).where(REQUESTS.c.time <= now - MINUTE))
    many, first = connection.execute(
        select(func.count(), func.min(REQUESTS.c.time)).where(REQUESTS.c.caller == caller)
    ).one()
    if many >= per_minute:
        raise too_often(per_minute, first + MINUTE - now)
    connection.execute(insert(REQUESTS).values(caller=caller, time=now))


def _begin(connection: Connection, row: dict[str, Any], most: int, now: float) -> int | None:
    """Note a drawing; return how many pictures are being drawn for the caller where that is too many."""
    caller = row["caller"]
    _alone(connection, caller, now)
    connection.execute(delete(DRAWINGS).where(DRAWINGS.c.until <= now))
    others = select(func.coalesce(func.sum(DRAWINGS.c.pictures), 0)).where(DRAWINGS.c.caller == caller)
    drawn = int(connection.execute(others).scalar_one())
    if drawn + row["pictures"] > most:
        return drawn
    connection.execute(insert(DRAWINGS).values(row | {"until": now + LEASE_SECONDS}))
    return None


def _end(connection: Connection, number: str) -> None:
    connection.execute(delete(DRAWINGS).where(DRAWINGS.c.id == number))


class SharedLinks:
    """Pictures that lie at an address for a while, which opens at every server."""

    def __init__(self, shared: Shared, seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> None:
        self._shared, self._seconds, self._most = shared, seconds, most_bytes

    async def put(self, content: bytes, kind: str) -> str:
        """Keep a file, and return the name that opens it."""
        name, now = new_name(kind), self._shared.clock()
        row = {"name": name, "content": content, "size": len(content), "kind": kind, "until": now + self._seconds}
        await self._shared.changed(_put, row, now, self._most)
        return name

    async def get(self, name: str) -> File | None:
        """Return the file, or None where there is none of this name any more."""
        return await self._shared.changed(_get, name, self._shared.clock())


def _put(connection: Connection, row: dict[str, Any], now: float, most: int) -> None:
    connection.execute(delete(FILES).where(FILES.c.until <= now))
    connection.execute(insert(FILES).values(row))
    size = int(connection.execute(select(func.sum(FILES.c.size))).scalar_one())
    if size <= most:
        return
    oldest = connection.execute(select(FILES.c.name, FILES.c.size).order_by(FILES.c.until)).all()
    for name, each in oldest[:-1]:
        if size <= most:
            break
        connection.execute(delete(FILES).where(FILES.c.name == name))
        size -= each


def _get(connection: Connection, name: str, now: float) -> File | None:
    asked = select(FILES.c.content, FILES.c.kind, FILES.c.until).where(FILES.c.name == name, FILES.c.until > now)
    row = connection.execute(asked).one_or_none()
    return row and File(*row)
