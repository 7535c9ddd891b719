"""What a JSON report holds, for programs that read it: the schema of `report.schema.json`, which is made of this.

    python -m evaluation.reporting.schema

A field may be added without a new version; one that goes, or means something else, needs one.
"""

import json
from pathlib import Path
from typing import Any, Literal

import pydantic

from evaluation.reporting.report import SCHEMA_VERSION, write_text

FILE = Path(__file__).with_name("report.schema.json")


class MeasureFields(pydantic.BaseModel):
    """A number over `n` pictures or pairs, its 95% interval where one is known, and which way is better."""

    key: str
    label: str
    value: float
    interval: tuple[float, float] | None
    n: int
    better: Literal["higher", "lower", ""]
    details: dict[str, Any]


class ReportFields(pydantic.BaseModel):
    """Measures that were taken together, what a reader must know of them, and where they come from."""

    schema_version: Literal[1]
    title: str
    measures: list[MeasureFields]
    warnings: list[str]
    provenance: dict[str, Any]


def text() -> str:
    """Return the JSON Schema (2020-12) as the file has it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ReportFields.model_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def require(values: object) -> None:
    """Raise ValueError, which says where, for anything that is no report of this version."""
    if isinstance(values, dict) and values.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise ValueError(f"this report is of schema {values['schema_version']}, this version reads {SCHEMA_VERSION}.")
    ReportFields.model_validate(values)


if __name__ == "__main__":
    write_text(FILE, text())
