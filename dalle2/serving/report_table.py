"""The tables of reports, in a file of SQLite or in a database that several servers share."""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    case,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

TABLES = MetaData()
# No identifier of a visitor; the record, with its prompt, stays NULL without consent.
REPORTS = Table(
    "reports",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("picture", String(80), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("checkpoint", String(100), nullable=False),
    Column("seed", BigInteger),
    Column("note", String, nullable=False),
    Column("record", String),
    Column("times", Integer, nullable=False),
    Column("askers", Integer, nullable=False, server_default="1"),  # which older files do not have
    Column("first", String(32), nullable=False),
    Column("last", String(32), nullable=False),
    UniqueConstraint("picture", "reason"),
)
TOTALS = Table(
    "totals",
    TABLES,
    Column("reason", String(32), primary_key=True),
    Column("times", Integer, nullable=False),
)


def add(
    connection: Connection,
    report: dict[str, object],
    now: str,
    *,
    by_another: bool,
    most: int,
    only_known: bool = False,
) -> int:
    """Keep a report, and return how often this picture has been reported for this reason.

    `by_another` says that who reports it has not done so before. With `only_known` a report that is not there yet is
    not kept, and the answer 0. Of more than `most` those go which the fewest
    different askers made, and of them the oldest.
    """
    if not _add_up(connection, report, now, by_another, only_known):
        return 0
    _count(connection, str(report["reason"]))
    own = (REPORTS.c.picture == report["picture"]) & (REPORTS.c.reason == report["reason"])
    times = connection.execute(select(REPORTS.c.times).where(own)).scalar_one()
    kept = REPORTS.c.askers.desc(), REPORTS.c.last.desc(), REPORTS.c.id.desc()
    surplus = connection.execute(select(REPORTS.c.id).order_by(*kept).offset(most)).scalars().all()
    if surplus:
        connection.execute(delete(REPORTS).where(REPORTS.c.id.in_(surplus)))
    return times


def totals(connection: Connection) -> dict[str, int]:
    """Return how often each reason has been given."""
    return {row.reason: row.times for row in connection.execute(select(TOTALS))}


def _add_up(connection: Connection, report: dict[str, object], now: str, by_another: bool, only_known: bool) -> bool:
    own = (REPORTS.c.picture == report["picture"]) & (REPORTS.c.reason == report["reason"])
    again = (
        update(REPORTS)
        .where(own)
        .values(
            times=REPORTS.c.times + 1,
            askers=REPORTS.c.askers + int(by_another),
            last=now,
            note=case((REPORTS.c.note == "", report["note"]), else_=REPORTS.c.note),
            record=func.coalesce(REPORTS.c.record, report["record"]),
        )
    )
    if connection.execute(again).rowcount:
        return True
    if only_known:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(REPORTS).values(**report, times=1, askers=1, first=now, last=now))
    except IntegrityError:  # another server did it meanwhile
        connection.execute(again)
    return True


def _count(connection: Connection, reason: str) -> None:
    one_more = update(TOTALS).where(TOTALS.c.reason == reason).values(times=TOTALS.c.times + 1)
    if connection.execute(one_more).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(TOTALS).values(reason=reason, times=1))
    except IntegrityError:
        connection.execute(one_more)
