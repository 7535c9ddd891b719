"""Reports of pictures that should not be shown: what visitors send, a bounded file of it, and counts for the operator.

`python -m dalle2 reports` prints them. A file holds MOST_REPORTS; above that those that came least often, and of them
the oldest, go, while the counts stay. A prompt is kept only where the one who reports it says so.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from PIL import Image

from dalle2.requests import name_of
from dalle2.serving.refusal import Fault, Refusal
from dalle2.serving.uploads import read_record

REASONS = ("sexual", "violent", "hateful", "person", "copyright", "other")
MOST_REPORTS = 2_000
MOST_NOTE_CHARACTERS = 500
MOST_RECORD_CHARACTERS = 20_000  # a longer record is left out: a program may have written anything into a file
BUSY_SECONDS = 10  # how long a report waits while another one is written
FILE = "reports.sqlite3"
BUCKET = Path("/data")  # where a Space mounts its bucket, the only place there that outlives a restart
COLUMNS = ("picture", "reason", "checkpoint", "seed", "note", "record")
SHOWN = (*COLUMNS, "times", "first", "last")
# No identifier of a visitor; the record, with its prompt, stays NULL without consent.
SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    id INTEGER PRIMARY KEY, picture TEXT NOT NULL, reason TEXT NOT NULL, checkpoint TEXT NOT NULL, seed INTEGER,
    note TEXT NOT NULL, record TEXT, times INTEGER NOT NULL DEFAULT 1, first TEXT NOT NULL, last TEXT NOT NULL,
    UNIQUE (picture, reason)
);
CREATE TABLE IF NOT EXISTS totals (reason TEXT PRIMARY KEY, times INTEGER NOT NULL);
"""
ADD = """
INSERT INTO reports (picture, reason, checkpoint, seed, note, record, first, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (picture, reason) DO UPDATE SET times = times + 1, last = excluded.last,
    note = CASE note WHEN '' THEN excluded.note ELSE note END, record = COALESCE(record, excluded.record)
"""
TIMES = "SELECT times FROM reports WHERE picture = ? AND reason = ?"
COUNT = "INSERT INTO totals VALUES (?, 1) ON CONFLICT (reason) DO UPDATE SET times = times + 1"
BOUND = """
DELETE FROM reports WHERE id IN (SELECT id FROM reports ORDER BY times DESC, last DESC, id DESC LIMIT -1 OFFSET ?)
"""

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

        `with_record` is the reporter's consent to keeping the record. ValueError for another reason or a long note.
        """
        check_reason(reason)
        note = (note or "").strip()
        if len(note) > MOST_NOTE_CHARACTERS:
            raise ValueError(
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


class Reports:
    """The file of reports, which appears with the first one; any thread and any process may call."""

    def __init__(self, file: str | Path | None = None, most: int = MOST_REPORTS) -> None:
        """Keep at most `most` in `file`, by default `usual_file()`."""
        self.file, self.most = Path(file) if file else usual_file(), most

    def add(self, report: Report) -> int:
        """Keep the report, and return how often this picture has been reported for this reason; Fault if it cannot."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        values = asdict(report)
        try:
            with self._open() as connection:
                connection.execute(ADD, [*(values[column] for column in COLUMNS), now, now])
                connection.execute(COUNT, [report.reason])
                (times,) = connection.execute(TIMES, [report.picture, report.reason]).fetchone()
                connection.execute(BOUND, [self.most])
        except (sqlite3.Error, OSError) as error:
            log.error("A report could not be kept", exc_info=error)
            raise Fault("The report could not be kept, and the server's log says why: please try again.") from error
        log.info("reported as %s: %s, %d times", report.reason, report.picture, times)
        return times

    def counts(self) -> dict[str, int]:
        """Return how often each reason has been given since the file began."""
        counts = dict.fromkeys(REASONS, 0)
        if self.file.exists():
            with self._open() as connection:
                counts |= dict(connection.execute("SELECT reason, times FROM totals").fetchall())
        return counts

    def latest(self, most: int = MOST_REPORTS) -> list[dict[str, Any]]:
        """Return the reports with how often, first and last they came, the last one first."""
        if not self.file.exists():
            return []
        asked = f"SELECT {', '.join(SHOWN)} FROM reports ORDER BY last DESC, id DESC LIMIT ?"
        with self._open() as connection:
            return [dict(zip(SHOWN, row, strict=True)) for row in connection.execute(asked, [most])]

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """Yield a connection whose changes are kept if no error comes."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.file, timeout=BUSY_SECONDS)) as connection:
            connection.executescript(SCHEMA)
            with connection:
                yield connection


def check_reason(reason: str) -> str:
    """Return the reason; ValueError unless it is one of REASONS."""
    if reason not in REASONS:
        raise ValueError(f"There is no reason {reason!r} to report a picture: choose one of {', '.join(REASONS)}.")
    return reason


def usual_file() -> Path:
    """Return where reports are kept: what REPORTS_FILE names, else on a Space in its bucket, else in this folder."""
    if named := os.environ.get("REPORTS_FILE"):
        return Path(named)
    mounted = "SPACE_ID" in os.environ and BUCKET.is_dir() and os.access(BUCKET, os.W_OK)
    return BUCKET / FILE if mounted else Path(FILE)


def _record(picture: Image.Image) -> Mapping[str, Any]:
    try:
        return read_record(picture)
    except Refusal:
        return {}


def _storable(text: str) -> str:
    """Return the text as SQLite can hold it: without half characters, which a forged record may have."""
    return text.encode("utf-8", "replace").decode("utf-8")
