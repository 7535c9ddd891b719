"""A report as the Hugging Face hub takes results: `model-index` for a model's card, and `.eval_results`.

The card's form has all measures in one file; the newer one has a file a measure, in a folder that a model's repository
holds, each of a dataset that is registered as a benchmark there.
"""

import re
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report, write_text

FOLDER = ".eval_results"
TASK = "text-to-image"


def write(report: Report, file: Path, dataset: str, model: str) -> list[Path]:
    """Write the card's YAML to `file`, and beside it a file a measure into `.eval_results`; what was written.

    `dataset` is the hub's id, with a task after a colon where it has several.
    """
    place, _, task = dataset.partition(":")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise ValueError(f"A dataset on the hub is named OWNER/NAME, not {place!r}.")
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=place,
            dataset_name=place.partition("/")[2],
            dataset_config=task or None,
            metric_type=one.key,
            metric_name=one.label,
            metric_value=float(one.value),
        )
        for one in report.measures
    ]
    card = {"model-index": eval_results_to_model_index(model, results)}
    written = [write_text(file, _dumped(card))]
    date = str(report.provenance.get("date", ""))[:10] or None
    for one in report.measures:
        entry = EvalResultEntry(place, task or "default", float(one.value), date=date, notes=_notes(one, report))
        name = f"{file.stem}-{re.sub(r'[^A-Za-z0-9._-]+', '-', one.key)}.yaml"
        path = file.parent / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written.append(write_text(path, _dumped(eval_result_entries_to_yaml([entry]))))
    return written


def _notes(one: Measure, report: Report) -> str:
    """Return what tells one number of a dataset from another, and how it came about."""
    words = [one.label, f"n = {one.n:,}"]
    if one.interval is not None:
        words.append("95% interval {:.5g} to {:.5g}".format(*one.interval))
    words += [f"{name} {value}" for name, value in one.details.items() if name in ("network", "resize", "references")]
    return f"{', '.join(words)}. {report.provenance.get('command', '')}".strip()


def _dumped(values: object) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
