"""Every command looks at the place that it is to write to before it works."""

import importlib
from pathlib import Path
from typing import Any

import pytest

Capture = pytest.CaptureFixture[str]

# What a command needs beside its output; FILE is a file, in which nothing can lie.
MEASURING = {
    "bisect": ["DIR", "DIR", "--prompts", "FILE", "--out", "FILE/out", "--fail-if", "fid worse than 2 %"],
    "collect": ["FILE", "--report", "FILE/r.html"],
    "compare": ["emoji", "emoji --draft", "--prompts", "FILE", "--out", "FILE/out"],
    "composition": ["--data", "DIR", "--out", "FILE/out"],
    "clip_score": ["--images", "DIR", "--report", "FILE/r.json"],
    "fid": ["--images", "DIR", "--save-stats", "FILE/s.npz"],
    "generation": ["--prompts", "FILE", "--out", "FILE/out"],
    "leaderboard": ["DIR", "--report", "FILE/board.html"],
    "merge": ["FILE", "--save-stats", "FILE/s.npz"],
    "prior": ["--prompts", "FILE", "--report", "FILE/r.json"],
    "recognition": ["--out", "FILE/lines.jsonl"],
    "scorecard": ["--data", "DIR", "--out", "FILE/out"],
    "selftest": ["--report", "FILE/r.json"],
    "ssim_psnr": ["--images", "DIR", "--reference", "DIR", "--report", "FILE/r.md"],
    "study": ["DIR", "DIR", "--out", "FILE/out"],
    "text_contribution": ["--prompts", "FILE", "--out", "FILE/out"],
    "text_diff": ["--data", "DIR", "--out", "FILE/out"],
    "votes": ["DIR", "--report", "FILE/r.csv"],
    "vqa": ["--images", "DIR", "--vqa-url", "http://localhost:1/v1", "--vqa-model", "m", "--answers", "FILE/a.jsonl"],
}
MAKING = {
    "dalle2.__main__": ["a cat", "-o", "FILE/cat.png"],
    "dalle2.convert": ["FILE", "--out", "FILE/out"],
    "dalle2.datasets.emoji": ["--out", "FILE/out", "--packages", "DIR"],
    "dalle2.datasets.lexicon": ["--out", "FILE/lexicon.parquet", "--packages", "DIR"],
    "dalle2.datasets.paraphrases": ["--out", "FILE/table.tsv", "--packages", "DIR"],
    "dalle2.export": ["emoji", "--out", "FILE/out"],
    "dalle2.finetune.__main__": ["DIR", "--name", "my style", "--out", "FILE/mine.safetensors"],
    "dalle2.publish.__main__": ["emoji", "--out", "FILE/out", "--name", "me/mine"],
    "dalle2.training.__main__": ["dalle2/training/recipes/emoji-cpu.toml", "--out", "FILE/run"],
}
# Where the work of these would begin.
WORK = {
    "dalle2.convert": "dalle2.families.dalle2_pytorch.files.read_sources",
    "dalle2.datasets.emoji": "dalle2.datasets.emoji.read_package",
    "dalle2.datasets.lexicon": "dalle2.datasets.lexicon.read_package",
    "dalle2.datasets.paraphrases": "dalle2.datasets.paraphrases.read_package",
    "dalle2.export": "dalle2.families.load",
    "dalle2.finetune.__main__": "dalle2.finetune.folder.Folder.read",
    "dalle2.publish.__main__": "dalle2.publish.prepared.prepare",
    "dalle2.training.__main__": "dalle2.training.run.Training",
    "evaluation.recognition": "evaluation.drawing.recognition.measure",
    "evaluation.generation": "evaluation.drawing.generation.generate_folder",
}


def refused(name: str, given: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> str:
    """What a command says that ends with an error, and without work."""

    def work(*_: Any, **__: Any) -> None:
        pytest.fail("it was told too late")

    (folder / "file").write_text("x")
    (folder / "dir").mkdir()
    words = [word.replace("FILE", str(folder / "file")).replace("DIR", str(folder / "dir")) for word in given]
    module = importlib.import_module(name)
    if name in WORK:
        monkeypatch.setattr(WORK[name], work)
    try:
        code = module.main(words)
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    assert code in (1, 2) and "Traceback" not in err and not out
    assert (folder / "file").read_text() == "x" and not list((folder / "dir").iterdir())
    return err


@pytest.mark.parametrize("name", MEASURING)
def test_a_command_of_the_ruler_refuses_a_place_that_takes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    said = refused(f"evaluation.{name}", MEASURING[name], tmp_path, monkeypatch, capsys)
    assert f"{tmp_path / 'file'} is " in said, said


@pytest.mark.parametrize("name", MAKING)
def test_a_command_that_makes_something_refuses_a_place_that_takes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    said = refused(name, MAKING[name], tmp_path, monkeypatch, capsys)
    assert str(tmp_path / "file") in said, said


NAMED = {
    **{f"evaluation.{name}": words for name, words in MEASURING.items() if "FILE/out" in words},
    **{name: words for name, words in MAKING.items() if {"FILE/out", "FILE/run"} & set(words)},
}


@pytest.mark.parametrize("name", NAMED)
def test_a_folder_to_make_is_not_named_as_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = [word.replace("FILE/out", "FILE.csv").replace("FILE/run", "FILE.csv") for word in NAMED[name]]
    assert "leave out .csv" in refused(name, words, tmp_path, monkeypatch, capsys)
    assert not (tmp_path / "file.csv").exists()


FILES = {
    "dalle2.reports": ["FILE", "--out", "FILE.xlsx"],
    "dalle2_runner.__main__": ["a cat", "--folder", "DIR", "-o", "FILE.xyz"],
    "demo.votes": ["FILE", "--out", "FILE.xlsx"],
    "evaluation.recognition": ["--out", "FILE.txt"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_one_kind_is_named_as_what_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    said = refused(name, FILES[name], tmp_path, monkeypatch, capsys)
    assert "name it" in said or "end in .png" in said, said


def test_no_command_of_the_ruler_that_writes_is_forgotten() -> None:
    written = {"--out", "--report", "--save-stats", "--answers"}
    for path in (Path(importlib.import_module("evaluation").__file__).parent / "cli").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.stem not in ("__init__", "command", "outputs") and any(f'"{option}"' in text for option in written):
            assert path.stem in MEASURING, path.stem
        if "add_reporting(" in text and path.stem not in ("command",):
            assert path.stem in MEASURING, path.stem
