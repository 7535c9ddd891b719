"""`python -m dalle2 reports`: what visitors reported of the pictures that a server has shown."""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dalle2 import atomic


def parser() -> argparse.ArgumentParser:
    """Return what the options of reading reports may be."""
    parser = argparse.ArgumentParser(
        prog="python -m dalle2 reports", description="Print how often pictures were reported, and which."
    )
    help_text = (
        "the file or the database's URL where they are kept; default: what REPORTS_FILE names, else reports.sqlite3"
    )
    parser.add_argument("file", nargs="?", help=help_text)
    parser.add_argument("--last", type=int, default=20, metavar="N", help="reports to print; default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write all reports into a new CSV file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts and the last reports; the exit code is 0, or 1 where the file cannot be read or written."""
    options = parser().parse_args(arguments)
    from dalle2.serving.log import shown
    from dalle2.serving.reports import Reports  # which imports torch: --help need not wait for it

    reports = Reports(options.file)
    try:
        if options.out:
            atomic.check_suffix(options.out, ".csv")
        if options.last < 0:
            raise ValueError(f"--last takes a number of reports from 0 on, not {options.last}.")
        if not reports.begun:
            raise ValueError(f"{reports.place()} is not there: nothing was reported yet, or it is kept elsewhere.")
        counts, rows = reports.counts(), reports.latest()
        if options.out:
            _export(rows, options.out)
    except (ValueError, OSError) as error:
        print(f"dalle2 reports: {error}", file=sys.stderr)
        return 1
    print(f"{sum(counts.values())} reports: " + ", ".join(f"{reason} {times}" for reason, times in counts.items()))
    for row in rows[: options.last]:
        note = f" “{row['note']}”" if row["note"] else ""
        how = f"×{row['times']} by {row['askers']}"
        line = f"{row['last']} {row['reason']} {how} {row['picture']} {row['checkpoint']} {row['seed']}{note}"
        print(shown(line, len(line)))  # what a visitor wrote must not pass for another line
    return 0


def _export(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    from dalle2.serving.reports import SHOWN

    text = io.StringIO()
    writer = csv.DictWriter(text, SHOWN, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic.file(path, overwrite=False) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")
