"""A comparison written, printed, and handed to trackers."""

from pathlib import Path

from rich.console import Console

from evaluation.comparing.comparison import Comparison
from evaluation.comparing.comparison_page import to_html
from evaluation.comparing.tables import tables, to_csv, to_markdown
from evaluation.reporting import report, trackers


def write(result: Comparison, path: Path) -> Path:
    """Write the comparison in the format of the suffix; ValueError for another one."""
    match path.suffix.lower():
        case ".html":
            text = to_html(result)
        case ".md":
            text = to_markdown(result)
        case ".json":
            text = result.to_json()
        case ".csv":
            text = to_csv(result)
        case _:
            raise ValueError(f"A comparison is written as .html, .md, .json or .csv, not as {path.name!r}.")
    return report.write_text(path, text)


def show(result: Comparison, console: Console) -> None:
    """Print the tables and the verdicts."""
    for table in tables(result):
        report.print_table(console, table.heading, table.columns, table.rows)
    for warning in result.warnings:
        console.print(f"Note: {warning}", style="yellow", markup=False, highlight=False)
    for sentence in result.summary:
        console.print(sentence, style="bold", markup=False, highlight=False)


def log(result: Comparison, tracker: str, out: Path) -> None:
    """Hand every measure to a tracker, one step a contestant; ValueError where it is missing."""
    trackers.log("compare", [measured.measures for measured in result.contestants], tracker, folder=out)
