"""The notebooks of the documentation run from their first cell to their last, each in a fresh kernel."""

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
# What they show is what they teach: each must end with these in its outputs.
SHOWN = {
    "first-picture": ("image/png", "I draw: red heart", "nearest: superhero"),
    "manipulations": ("image/png", "cat face"),
    "evaluate-and-compare": ("CLIP", "one-step"),
    "train-your-own": ("image/png", "Checkpoint: "),
}


def test_there_are_four_and_they_are_kept_without_outputs() -> None:
    assert {file.stem for file in NOTEBOOKS} == set(SHOWN)
    for file in NOTEBOOKS:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        assert (
            "colab.research.google.com/github/" in "".join(cells[0]["source"]) and "# Installs" in cells[1]["source"][0]
        )
        assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")], file.name


@pytest.mark.notebook
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip(
        "nbclient", reason="notebooks are run by nbclient: pip install -r requirements-docs.txt"
    )
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="notebooks need a kernel: pip install -r requirements-docs.txt")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(file, as_version=4)
    run = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": file.parent}}
    )
    run.execute()
    shown = json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)
    assert not [said for said in SHOWN[file.stem] if said not in shown], shown[-3000:]
