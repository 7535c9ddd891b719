"""What docs/families.md says that a picture takes on top of the weights, counted again where that is quick."""

from pathlib import Path

import pytest
from published_memory import STAGES, peak

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "families.md"


@pytest.mark.parametrize(
    ("family", "stage", "row"),
    [("Karlo, 256 pixels", "upsampler", "Karlo, from prompts"), ("Kandinsky 2.2, 512 pixels", "MoVQ", "Kandinsky 2.2")],
)
def test_the_table_says_what_is_counted(family: str, stage: str, row: str) -> None:
    lines = DOCUMENTATION.read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(f"| {row} |"))
    assert line.endswith(f"| {peak(STAGES[family][stage]) / 1e9:.1f} GB |")
