"""A scorecard's numbers: each over drawn pictures, beside the same over real ones; as JSON and as a table to paste."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from evaluation.metrics.bootstrap import ratio_interval
from evaluation.metrics.means import mean_of
from evaluation.reporting import report, terminal
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import ARROWS, flat, markdown_table

COLUMNS = ("measure", "drawn", "real pictures", "share of real", "n")
Unit = Literal["", "%", "dB", "s", "MB"]


@dataclass(frozen=True)
class Score:
    """A measure of drawn pictures, the same of real ones (the ceiling), and drawn / real, where there are such.

    `unit` says how values are written ("%" are kept as shares of 1); `how` is a sentence for the reader.
    """

    drawn: Measure
    real: Measure | None = None
    share: Measure | None = None
    unit: Unit = ""
    how: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        sides = {"drawn": self.drawn, "real": self.real, "share": self.share}
        measures = {name: None if one is None else one.to_dict() for name, one in sides.items()}
        return {**measures, "unit": self.unit, "how": self.how}

    def row(self) -> tuple[str, ...]:
        """Return a row under `COLUMNS`."""
        name = f"{self.drawn.label} {ARROWS[self.drawn.better]}".strip()
        cells = (written(self.drawn, self.unit), written(self.real, self.unit), written(self.share, "%"))
        return (name, *cells, f"{self.drawn.n:,}")


@dataclass(frozen=True)
class Scorecard:
    """All scores of a contestant, what must be known of them, and where they come from."""

    contestant: str
    scores: tuple[Score, ...]
    provenance: Mapping[str, object]
    notes: tuple[str, ...] = ()
    grid: tuple[str, ...] = ()  # the captions of grid.png, row by row

    def to_json(self) -> str:
        """Return plain values; ValueError for anything that JSON does not know."""
        values = {
            "contestant": self.contestant,
            "scores": [score.to_dict() for score in self.scores],
            "notes": self.notes,
            "grid": self.grid,
            "provenance": self.provenance,
        }
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Return the table, how each number was taken, notes and provenance: ready for a model card."""
        lines = [f"## Scorecard of {self.contestant}", "", *markdown_table(COLUMNS, [s.row() for s in self.scores]), ""]
        lines += ["95% intervals in brackets (bootstrap over pictures; jackknife for distances).", ""]
        ways: dict[str, list[str]] = {}
        for score in self.scores:
            if score.how:
                ways.setdefault(score.how, []).append(score.drawn.label)
        lines += [f"- **{'; '.join(names)}**: {how}" for how, names in ways.items()]
        lines += ["", *(f"> **Note** {note}\n" for note in self.notes)]
        facts = [(name, _one_line(value)) for name, value in self.provenance.items()]
        lines += ["### Provenance", "", *markdown_table(("fact", "value"), facts)]
        return "\n".join(lines) + "\n"


def deliver(card: Scorecard, title: str, *files: Path) -> None:
    """Write the card to a .json and an .md, then print it under the title."""
    writes = {".json": card.to_json, ".md": card.to_markdown}

    def show(console: Console) -> None:
        report.print_table(console, title, COLUMNS, [score.row() for score in card.scores])
        for note in card.notes:
            console.print(f"Note: {note}", style="yellow", markup=False, highlight=False)
        console.print(str(files[-1]), markup=False, highlight=False, soft_wrap=True)

    terminal.deliver([lambda file=file: report.write_text(file, writes[file.suffix]()) for file in files], show)


def of_values(
    key: str,
    label: str,
    drawn: np.ndarray,
    real: np.ndarray | None = None,
    seed: int = 0,
    unit: Unit = "%",
    how: str = "",
) -> Score:
    """Return the mean of a value a picture (n,), higher being better; `real` (n,) are of the same captions, in order.

    ValueError for no values.
    """
    if not len(drawn):
        raise ValueError(f"{label}: there are no pictures to measure.")
    if real is None:
        return Score(mean_of(key, label, drawn, seed=seed), unit=unit, how=how)
    sides = (mean_of(key, label, side, seed=seed) for side in (drawn, real))
    return Score(*sides, ratio(key, label, drawn, real, seed), unit, how)


def ratio(key: str, label: str, drawn: np.ndarray, other: np.ndarray, seed: int = 0) -> Measure | None:
    """Return mean(drawn) / mean(other), (n,) each, of the same captions in order; None where the other mean is 0."""
    if np.mean(other) == 0:
        return None
    interval = ratio_interval(drawn, other, seed) if len(drawn) > 1 else None
    return Measure(key, label, float(np.mean(drawn) / np.mean(other)), len(drawn), "higher", interval)


def written(measure: Measure | None, unit: Unit) -> str:
    """Return the value with its unit, and its interval in brackets; a dash for none."""
    if measure is None:
        return "–"
    text = _number(measure.value, unit) + (f" {unit}" if unit else "")
    if measure.interval is None:
        return text
    return f"{text} ({' … '.join(_number(end, unit) for end in measure.interval)})"


def _number(value: float, unit: Unit) -> str:
    if unit == "%":
        return f"{100 * value:.1f}"
    if unit in ("dB", "s"):
        return f"{value:.2f}"
    return f"{value:,.0f}" if unit == "MB" else f"{value:.3g}"


def _one_line(fact: object) -> str:
    """Return a value, or a table in a row: a model card has no room for a line a setting."""
    return ", ".join(f"{name} {value}" for name, value in flat(fact)) if isinstance(fact, Mapping) else str(fact)
