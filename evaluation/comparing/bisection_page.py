"""A bisection written, printed, and handed to trackers: a comparison with the first snapshot, and plots over steps."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from rich.console import Console

from evaluation.comparing import comparison_page, tables
from evaluation.comparing.bisection import Bisection
from evaluation.comparing.curves import Dot, plot
from evaluation.reporting import report, trackers, webpage

WORSE = {"higher": "higher is better", "lower": "lower is better"}


def write(found: Bisection, path: Path) -> Path:
    """Write the bisection in the format of the suffix; ValueError for another one."""
    match path.suffix.lower():
        case ".html":
            text = to_html(found)
        case ".md":
            lines = ["".join(f"> {sentence}\n>\n" for sentence in found.summary).rstrip(">\n"), ""]
            text = "\n".join([*lines, tables.to_markdown(found.comparison)])
        case ".json":
            text = to_json(found)
        case ".csv":
            text = tables.to_csv(found.comparison)
        case _:
            raise ValueError(f"A bisection is written as .html, .md, .json or .csv, not as {path.name!r}.")
    return report.write_text(path, text)


def to_json(found: Bisection) -> str:
    """Return the comparison as it is always told, and beside it what bisection found."""
    steps = [{"name": one.name, "step": one.step} for one in found.snapshots]
    bisection = {"good": found.good, "worse": found.worse, "reasons": found.reasons, "snapshots": steps}
    values = found.comparison.to_dict() | {"summary": found.summary, "bisection": bisection}
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(found: Bisection) -> str:
    """Return the page: what was found, a plot over steps for every measure, then the comparison."""
    verdicts = [f'<p class="verdict">{escape(sentence)}</p>' for sentence in found.summary]
    shown = list(plots(found))
    above = [*verdicts, *([webpage.section("Over the steps", *shown)] if shown else [])]
    return comparison_page.to_html(found.comparison, above)


def plots(found: Bisection) -> Iterator[str]:
    """Yield a plot over steps, with intervals, of each measure that has a better way."""
    steps = found.steps
    for first, own in found.comparison.measure_rows():
        if not first.better:
            continue
        dots = []
        for measured, one in zip(found.comparison.contestants, own, strict=True):
            if one is not None:
                low, high = one.interval or (one.value, one.value)
                dots.append(Dot("snapshots", steps[measured.contestant.name], one.value, low, high))
        if len(dots) > 1:
            yield plot(dots, ["snapshots"], f"{first.label} ({WORSE[first.better]})", "step")


def show(found: Bisection, console: Console) -> None:
    """Print the tables and what was found."""
    for table in tables.tables(found.comparison):
        report.print_table(console, table.heading, table.columns, table.rows)
    for warning in found.comparison.warnings:
        console.print(f"Note: {warning}", style="yellow", markup=False, highlight=False)
    for sentence in found.summary:
        console.print(sentence, style="bold", markup=False, highlight=False)


def log(found: Bisection, tracker: str, out: Path) -> None:
    """Hand every measure to a tracker, at the snapshots' steps; ValueError where it is missing."""
    measured = found.comparison.contestants
    at = [int(found.steps[one.contestant.name]) for one in measured]
    trackers.log("bisect", [one.measures for one in measured], tracker, folder=out, at=at)
