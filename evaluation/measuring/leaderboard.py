"""Results that accumulate in a folder, put side by side where they compare: the work of `evaluation.leaderboard`."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.drawing.cost import MEMORY, SECONDS
from evaluation.drawing.licences import licence_of
from evaluation.prompts.tables import read_json
from evaluation.reporting.measure import Measure

UNKNOWN = "prompts that nobody noted"
TAKEN_WITH = ("network", "resize", "size", "references", "captions")  # details that must agree within a column


@dataclass(frozen=True, order=True)
class Model:
    """Weights and settings: a row. `name` is the checkpoint's, `how` the settings in short."""

    name: str
    how: str
    hash: str = ""
    settings: str = ""


@dataclass(frozen=True, order=True)
class Column:
    """A measure, and how it was taken, which must be the same for all that stand in the column."""

    key: str
    how: str
    label: str = field(compare=False)
    better: str = field(compare=False)


@dataclass(frozen=True)
class Cell:
    """A number, when it was taken, and the file that tells it."""

    measure: Measure
    date: str
    file: str


@dataclass(frozen=True)
class Board:
    """All results over one set of prompts."""

    heading: str
    rows: Mapping[Model, Mapping[Column, Cell]]

    @property
    def columns(self) -> list[Column]:
        """Return the columns, those that most models have first."""
        counts: dict[Column, int] = defaultdict(int)
        for cells in self.rows.values():
            for column in cells:
                counts[column] += 1
        return sorted(counts, key=lambda column: (column.key in (SECONDS[0], MEMORY[0]), -counts[column], column))


@dataclass(frozen=True)
class Leaderboard:
    """The boards, each model's licence ("" where nobody says), and what was left out."""

    title: str
    boards: tuple[Board, ...]
    licences: Mapping[Model, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Result:
    """What one file says of one model."""

    board: str
    model: Model
    checkpoint: str
    measures: tuple[Measure, ...]
    facts: Mapping[str, Any]


def read(folder: Path, title: str) -> Leaderboard:
    """Return the boards of a folder of reports; ValueError where there is none that can be read."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: write reports into one with --report {folder}/NAME.json.")
    boards: dict[str, dict[Model, dict[Column, Cell]]] = defaultdict(lambda: defaultdict(dict))
    checkpoints: dict[Model, str] = {}
    notes = []
    for file in sorted(folder.rglob("*.json")):
        try:
            values = read_json(file)
        except (OSError, ValueError) as error:  # which name the file, and the line
            notes.append(f"{error} It is left out.")
            continue
        try:
            results = list(_results(values))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            notes.append(f"{file} is not a report, comparison or scorecard{_why(error)}: left out.")
            continue
        for result in results:
            checkpoints.setdefault(result.model, result.checkpoint)
            _put(boards[result.board][result.model], result, str(file.relative_to(folder)))
    if not boards:
        raise ValueError(f"{folder} holds no .json report of evaluation's: write some with --report. {' '.join(notes)}")
    licences = {model: licence_of(checkpoint) for model, checkpoint in checkpoints.items()}
    order = sorted(boards, key=lambda name: (name == UNKNOWN, -len(boards[name]), name))
    return Leaderboard(title, tuple(Board(name, boards[name]) for name in order), licences, tuple(notes))


def _why(error: Exception) -> str:
    """Return what a file lacks, or has wrong, in brackets; "" where it is something else altogether."""
    if isinstance(error, KeyError):
        return f" (it has no {error})"
    return f" ({str(error).rstrip('.')})" if isinstance(error, ValueError) else ""


def _put(cells: dict[Column, Cell], result: _Result, file: str) -> None:
    """Add the measures, of which the newest counts."""
    date = str(result.facts.get("date", ""))
    for one in result.measures:
        if one.better:  # the rest are anchors, which belong to no model
            column = Column(one.key, _taken(one, result.facts), one.label, one.better)
            if column not in cells or cells[column].date <= date:
                cells[column] = Cell(one, date, file)


def _taken(measure: Measure, facts: Mapping[str, Any]) -> str:
    """Return how a measure was taken, in short."""
    if measure.key in (SECONDS[0], MEMORY[0]):
        return str(facts.get("processor", ""))
    words = [f"{name} {measure.details[name]}" for name in TAKEN_WITH if name in measure.details]
    if "network" in measure.details:
        reference_file = facts.get("reference_file")
        hashed = reference_file.get("sha256") if isinstance(reference_file, Mapping) else facts.get("reference_sha256")
        hashed = hashed if isinstance(hashed, str) else ""
        reference = f"{Path(str(facts.get('reference', ''))).name} {hashed[:8]}".strip()
        words += [f"reference {reference}"] if reference else []
    elif "clip" in facts:
        words.append(f"clip {facts['clip']}@{str(facts.get('clip_image_sha256', ''))[:8]}")
    elif "judge" in facts:
        words.append(f"judge {facts['judge']}@{str(facts.get('judge_image_sha256', ''))[:8]}")
    return ", ".join(words)


def _results(values: Mapping[str, Any]) -> Iterator[_Result]:
    """Yield what a report or a scorecard says of one model, or a comparison of several."""
    facts = values["provenance"]
    if "contestants" in values:
        for one in values["contestants"]:
            measures = tuple(map(Measure.from_dict, one["measures"]))
            own = {**facts, **({"processor": one["cost"]["processor"]} if one.get("cost") else {})}
            # Most measures are over the pictures, and some (recall, coverage) over the references.
            ((pictures, _),) = Counter(measure.n for measure in measures).most_common(1)
            prompts = {**facts, "pictures": pictures}
            yield _Result(_board(prompts), _model(one), one["checkpoint"], measures, own)
        return
    if "scores" in values:  # a scorecard
        measures = tuple(Measure.from_dict(one["drawn"]) for one in values["scores"])
        yield _Result(
            f"scorecard of the emoji set, {facts['data']}", _model(facts), facts["checkpoint"], measures, facts
        )
        return
    measures = tuple(map(Measure.from_dict, values["measures"]))
    drawn = facts.get("generation")
    if drawn is None:
        name = Path(str(facts.get("images") or facts.get("contestant") or values["title"])).name
        yield _Result(UNKNOWN, Model(name, ""), name, measures, facts)
    else:
        yield _Result(_board(drawn), _model(drawn), drawn["checkpoint"], measures, facts)


def _board(facts: Mapping[str, Any]) -> str:
    if "prompts" not in facts:
        return UNKNOWN
    return f"{facts['prompts']}, {facts['pictures']:,} pictures ({str(facts.get('prompts_sha256', ''))[:8]})"


def _model(facts: Mapping[str, Any]) -> Model:
    settings = facts.get("settings", {})
    name, hashed = Path(facts["checkpoint"]).name, str(facts.get("checkpoint_hash", ""))
    how = [_stage(stage, values) for stage, values in settings.items() if isinstance(values, Mapping)]
    how += [facts["dtype"]] if facts.get("dtype") not in (None, "float32") else []
    exact = json.dumps([settings, facts.get("dtype")], sort_keys=True)
    return Model(f"{name}@{hashed[:6]}" if hashed else name, ", ".join(how), hashed, exact)


def _stage(name: str, values: Mapping[str, Any]) -> str:
    words = [name]
    if "num_inference_steps" in values:
        words.append(str(values["num_inference_steps"]))
    if values.get("guidance_scale", 1.0) != 1.0:
        words.append(f"×{values['guidance_scale']:g}")
    return " ".join(words)
