"""Reports of pictures that should not be shown: what visitors send, within bounds, and counts for the operator.

`python -m dalle2 reports` prints them. MOST_REPORTS are kept; above that those go which the fewest different askers
made, and of them the oldest, while the counts stay. A prompt is kept only where the one who reports it says so, and of
who reports nothing is kept: that one asker is one is known in memory, for a day.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from dalle2.requests import name_of
from dalle2.serving.refusal import Busy, Refusal, Unwritable
from dalle2.serving.store import Store, usual_place
from dalle2.serving.uploads import read_record

if TYPE_CHECKING:
    from sqlalchemy import MetaData

REASONS = ("sexual", "violent", "hateful", "person", "copyright", "other")
MOST_REPORTS = 2_000
MOST_OF_ONE, DAY = 50, 86_400.0  # different pictures that one asker may report, within so many seconds
MOST_ASKERS = 10_000  # remembered
MOST_NOTE_CHARACTERS = 500
MOST_RECORD_CHARACTERS = 20_000  # a longer record is left out: a program may have written anything into a file
FILE = "reports.sqlite3"
SHOWN = ("picture", "reason", "checkpoint", "seed", "note", "record", "times", "askers", "first", "last")

log = logging.getLogger("dalle2.reports")


@dataclass(frozen=True)
class Report:
    """One picture and what is wrong with it.

    Attributes:
        picture: "sha256:…" of its pixels, as records name pictures.
        reason: one of REASONS.
        checkpoint, seed: what drew it, as its record says; "" and None without one.
        note: what the reporter wrote, "" for nothing.
        record: the picture's record as JSON, with its prompt; None without the reporter's consent.
    """

    picture: str
    reason: str
    checkpoint: str = ""
    seed: int | None = None
    note: str = ""
    record: str | None = None

    @classmethod
    def of(cls, picture: Image.Image, reason: str, note: str = "", with_record: bool = False) -> Self:
        """Return the report of a picture, opened by `uploads.open_own`, which keeps its record.

        `with_record` is the reporter's consent to keeping the record. Refusal for another reason or a long note.
        """
        check_reason(reason)
        note = (note or "").strip()
        if len(note) > MOST_NOTE_CHARACTERS:
            raise Refusal(
                f"The note has {len(note):,} characters, but at most {MOST_NOTE_CHARACTERS} are allowed: shorten it."
            )
        record = _record(picture)
        seed, text = record.get("seed"), json.dumps(record, ensure_ascii=False)
        kept = text if with_record and record and len(text) <= MOST_RECORD_CHARACTERS else None
        return cls(
            name_of(picture),
            reason,
            _storable(str(record.get("checkpoint", "")))[:100],
            seed if isinstance(seed, int) and 0 <= seed < 2**63 else None,
            _storable(note),
            None if kept is None else _storable(kept),
        )


class Askers:
    """Who has reported what within a day, in memory alone: each counts once, and none can fill all the room."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._told: dict[str, dict[tuple[str, str], float]] = {}

    def take(self, asker: str, report: Report, bounded: bool = True) -> bool:
        """Return whether this asker reports it for the first time; Busy for who has reported enough for a day.

        Who is not `bounded` never has.
        """
        now, own = self._clock(), (report.picture, report.reason)
        with self._lock:
            before = self._told.pop(asker, {})
            self._told[asker] = told = {one: when for one, when in before.items() if when > now - DAY}
            while len(self._told) > MOST_ASKERS:  # whoever has been silent for longest
                del self._told[next(iter(self._told))]
            if own in told:
                return False
            if bounded and len(told) >= MOST_OF_ONE:
                wait = min(told.values()) + DAY - now
                raise Busy(
                    f"You have reported {MOST_OF_ONE} pictures within a day, the most that are taken: wait a day.", wait
                )
            told[own] = now
            return True

    def forget(self, asker: str, report: Report) -> None:
        """Take back what could not be kept."""
        with self._lock:
            self._told.get(asker, {}).pop((report.picture, report.reason), None)


class Reports:
    """The reports in a file, which appears with the first one, or in a database; any thread and process may call."""

    def __init__(
        self,
        place: str | Path | None = None,
        most: int = MOST_REPORTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most `most` in a file or the database of a URL, by default in what REPORTS_FILE names."""
        self._store = Store(place or usual_place("REPORTS_FILE", FILE), _tables)
        self.file, self.most, self._askers = self._store.file, most, Askers(clock)

    @property
    def begun(self) -> bool:
        """Whether there may be some."""
        return self._store.begun

    def place(self) -> str:
        """Return in words where they are, for the operator; a URL, which may hold a password, is told to nobody."""
        return "the database" if self.file is None else str(self.file)

    def check(self) -> None:
        """ValueError for a URL of no database, OSError for one that is not reached."""
        self._store.check()

    def add(self, report: Report, asker: str = "", bounded: bool = True) -> int:
        """Keep the report, and return how often this picture has been reported for this reason.

        `asker` is whose it is, as limits know it; an operator's are not `bounded`. Busy for who has reported too much,
        unless others have reported the same, Unwritable if it cannot be kept.
        """
        from dalle2.serving import report_table

        full = None
        try:
            by_another = self._askers.take(asker, report, bounded)
        except Busy as error:
            by_another, full = False, error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rules = {"by_another": by_another, "most": self.most, "only_known": full is not None}
        try:
            with self._store.open() as connection:
                times = report_table.add(connection, asdict(report), now, **rules)
        except (OSError, ValueError) as error:
            if by_another:
                self._askers.forget(asker, report)
            log.error("A report could not be kept", exc_info=error)
            raise Unwritable(
                "The report could not be kept, and the server's log says why: please try again."
            ) from error
        if full is not None and not times:
            raise full
        log.info("reported as %s: %s, %d times", report.reason, report.picture, times)
        return times

    def counts(self) -> dict[str, int]:
        """Return how often each reason has been given since the beginning; OSError where that cannot be read."""
        from dalle2.serving import report_table

        counts = dict.fromkeys(REASONS, 0)
        if self.begun:
            with self._store.read() as connection:
                counts |= report_table.totals(connection)
        return counts

    def latest(self, most: int = MOST_REPORTS) -> list[dict[str, Any]]:
        """Return the reports with how often, by how many, first and last they came, the last one first."""
        from dalle2.serving.report_table import REPORTS

        if not self.begun:
            return []
        with self._store.read() as connection:
            newest = REPORTS.select().order_by(REPORTS.c.last.desc(), REPORTS.c.id.desc()).limit(most)
            return [{name: row[name] for name in SHOWN} for row in connection.execute(newest).mappings()]


def check_reason(reason: str) -> str:
    """Return the reason; Refusal unless it is one of REASONS."""
    if reason not in REASONS:
        raise Refusal(f"There is no reason {reason!r} to report a picture: choose one of {', '.join(REASONS)}.")
    return reason


def _tables() -> "MetaData":
    from dalle2.serving.report_table import TABLES  # SQLAlchemy, for which who reports nothing need not wait

    return TABLES


def _record(picture: Image.Image) -> Mapping[str, Any]:
    try:
        return read_record(picture)
    except Refusal:
        return {}


def _storable(text: str) -> str:
    """Return the text as databases can hold it: without zeros and half characters, which a forged record may have."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
