"""A number with all that it needs to be believed: measures and where they come from, as JSON, CSV, Markdown or HTML."""

import csv
import io
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dalle2 import atomic
from evaluation.reporting import terminal, trackers, webpage
from evaluation.reporting.command_line import command_line
from evaluation.reporting.measure import Measure, as_json

PACKAGES = ("torch", "diffusers", "transformers", "torchmetrics", "numpy", "scipy", "pillow")
ARROWS = {"higher": "↑", "lower": "↓", "": ""}
LONGEST = 250  # characters of a fact that every tracker takes
SCHEMA_VERSION = 1  # of the JSON form: see `reporting.schema`
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Report:
    """Measures that were taken together, their provenance and what a reader must be warned of."""

    title: str
    measures: tuple[Measure, ...]
    provenance: Mapping[str, object]
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Report":
        """Return the inverse of `to_dict`; ValueError for anything else."""
        try:
            measures = tuple(map(Measure.from_dict, values["measures"]))
            return cls(values["title"], measures, dict(values["provenance"]), tuple(values["warnings"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not a report of evaluation's ({type(error).__name__}: {error}).") from error

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "measures": [measure.to_dict() for measure in self.measures],
            "warnings": list(self.warnings),
            "provenance": dict(self.provenance),
        }

    def to_json(self) -> str:
        """Return the whole report; ValueError for anything that JSON does not know, as NaN."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False, default=as_json) + "\n"

    def to_csv(self) -> str:
        """Return a row a measure; its details and the provenance repeat in columns, so that files can be joined."""
        facts = dict(flat(self.provenance))
        rows = []
        for measure in self.measures:
            low, high = measure.interval or ("", "")
            row = {"key": measure.key, "label": measure.label, "value": measure.value, "low": low, "high": high}
            row |= {"n": measure.n, "better": measure.better, "details": _one_line(measure.details)}
            rows.append(row | facts)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else ["key", "label", "value"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_markdown(self) -> str:
        """Return title, table, warnings and provenance."""
        lines = [f"# {_cell(self.title)}", "", *markdown_table(COLUMNS, self.rows()), ""]
        lines += markdown_notes(self.warnings)
        lines += ["## Provenance", "", *markdown_table(("fact", "value"), list(flat(self.provenance)))]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """Return one self-contained page."""
        return webpage.page(
            self.title,
            webpage.table(COLUMNS, self.rows(), numbers=(1, 2, 3)),
            *webpage.notes(self.warnings),
            webpage.provenance(flat(self.provenance)),
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Return the measures as `COLUMNS` have them."""
        return [
            (
                f"{measure.label} {ARROWS[measure.better]}".strip(),
                digits(measure.value),
                "" if measure.interval is None else " … ".join(map(digits, measure.interval)),
                f"{measure.n:,}",
                _one_line(measure.details),
            )
            for measure in self.measures
        ]


COLUMNS = ("measure", "value", "95% interval", "n", "details")


def provenance(**facts: object) -> dict[str, object]:
    """Return `facts` and what every report must say: versions, git commit if any, command, date, device."""
    found = {"device": "cpu", **facts, "processor": processor(), "command": command_line()}
    found["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    if commit := _commit():
        found["git_commit"] = commit
    found["versions"] = {"python": platform.python_version(), **_versions()}
    return found


def write(report: Report, path: str | Path) -> Path:
    """Write the report in the format of the suffix, else ValueError; the file appears whole or not at all."""
    path = Path(path)
    formats = {
        ".json": report.to_json,
        ".csv": report.to_csv,
        ".md": report.to_markdown,
        ".html": report.to_html,
    }
    if path.suffix.lower() not in formats:
        raise ValueError(f"A report is written as {', '.join(formats)}: give {path.name!r} one of these endings.")
    return write_text(path, formats[path.suffix.lower()]())


def deliver(
    report: Report,
    files: Iterable[Path],
    more: Iterable[Callable[[], object]] = (),
    *,
    log_with: str | None = None,
    project: str = "evaluation",
) -> None:
    """Write the report to all files, and what else is to be written of it, then print it: see `terminal.deliver`.

    `log_with` is a tracker that gets the measures too, in a run of the project.
    """
    writes = [*(partial(write, report, file) for file in files), *more]
    if log_with is not None:
        writes.append(partial(trackers.log, project, [report.measures], log_with, _facts(report)))
    terminal.deliver(writes, partial(show, report))


def _facts(report: Report) -> dict[str, str | int | float]:
    """Return what a tracker is told of a run: the facts that are no nested tables, and short."""
    plain = {name: value for name, value in report.provenance.items() if isinstance(value, str | int | float)}
    return {name: value[:LONGEST] if isinstance(value, str) else value for name, value in plain.items()}


def write_text(path: Path, text: str) -> Path:
    r"""Write a text file, which appears whole or not at all.

    What is no Unicode, as bytes in a file's name, is written as JSON would have it ("\udce9").
    """
    with atomic.file(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def show(report: Report, console: Console) -> None:
    """Print the table, with the warnings underneath."""
    print_table(console, report.title, COLUMNS, report.rows())
    for warning in report.warnings:
        console.print(f"[yellow]Note:[/yellow] {escape(warning)}", highlight=False)


def print_table(console: Console, title: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose columns of figures stand to the right."""
    rows = list(rows)
    table = Table(title=escape(title), title_justify="left")
    for column, name in enumerate(names):
        figures = all(row[column][:1] in "0123456789-–" for row in rows)
        table.add_column(escape(name), justify="right" if figures else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Return nested tables as ("outer.inner", value) pairs of text."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield f"{prefix}{name}", text


def digits(value: float) -> str:
    """Return five significant digits, without an exponent where a reader can do without."""
    return f"{value:,.1f}" if abs(value) >= 10_000 else f"{value:.5g}"


def markdown_table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table; bars and line breaks in cells are escaped."""
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return lines + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def markdown_notes(warnings: Iterable[str]) -> list[str]:
    """Return the warnings as quotations."""
    return [f"> **Note** {_cell(warning)}\n" for warning in warnings]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _one_line(details: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in flat(details))


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Return the commit of this project's own checkout, with "-dirty" when files differ from it."""
    if not (ROOT / ".git").exists():
        return None
    words = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """Return the processor's name and its number of cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"
