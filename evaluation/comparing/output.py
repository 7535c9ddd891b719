"""A comparison written, printed, and handed to trackers."""

from pathlib import Path

from rich.console import Console

from evaluation.comparing.comparison import Comparison
from evaluation.comparing.comparison_page import to_html
from evaluation.comparing.tables import tables, to_csv, to_markdown
from evaluation.reporting import report


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
    """Hand every measure to TensorBoard or Weights & Biases, one step a contestant; ValueError where it is missing."""
    from accelerate import Accelerator  # only where a tracker is asked for

    require_tracker(tracker)
    accelerator = Accelerator(log_with=tracker, project_dir=out)
    accelerator.init_trackers("compare")
    for step, measured in enumerate(result.contestants):
        accelerator.log({measure.key: measure.value for measure in measured.measures}, step=step)
    accelerator.end_training()


def require_tracker(tracker: str) -> None:
    """Raise ValueError where it is not installed."""
    from accelerate.tracking import get_available_trackers  # only where a tracker is asked for

    if tracker not in map(str, get_available_trackers()):
        raise ValueError(f"{tracker} is not installed: pip install {tracker}, or leave out --log-with.")
