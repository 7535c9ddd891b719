"""Reports keep every number, in four formats, and let no text become markup."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evaluation.cli import command
from evaluation.reporting import report, trackers
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

EVIL = '<script>alert("x")</script> | [bold]'


@pytest.fixture
def result() -> Report:
    measures = (
        Measure(
            "fid", "FID", np.float32(12.5), np.int64(300), "lower", (11.0, 14.0), {"resize": "clean", "k": np.int64(3)}
        ),
        Measure("evil", EVIL, 0.25, 300, ""),
    )
    facts = report.provenance(settings={"decoder": {"num_inference_steps": 4}}, device="cpu")
    return Report(f"pictures {EVIL}", measures, facts, (f"few pictures {EVIL}",))


def test_json_has_all_of_it(result: Report) -> None:
    read = json.loads(result.to_json())
    assert read["measures"][0] == {
        "key": "fid",
        "label": "FID",
        "value": 12.5,
        "interval": [11.0, 14.0],
        "n": 300,
        "better": "lower",
        "details": {"resize": "clean", "k": 3},
    }
    assert read["warnings"] == [f"few pictures {EVIL}"]
    assert read["provenance"]["settings"] == {"decoder": {"num_inference_steps": 4}}
    assert {"command", "date", "processor", "versions", "device"} <= set(read["provenance"])
    assert read["provenance"]["versions"]["torch"]


def test_csv_has_a_row_a_measure(result: Report) -> None:
    first, second = csv.DictReader(io.StringIO(result.to_csv()))
    assert (first["label"], float(first["value"]), float(first["low"]), first["n"]) == ("FID", 12.5, 11.0, "300")
    assert first["settings.decoder.num_inference_steps"] == "4"
    assert (second["label"], second["low"]) == (EVIL, "")


def test_markdown_escapes_what_would_break_the_table(result: Report) -> None:
    lines = result.to_markdown().splitlines()
    (row,) = [line for line in lines if line.startswith("| &lt;script>")]
    assert row.replace("\\|", "").count("|") == 6
    assert any("few pictures" in line for line in lines)
    assert "| FID ↓ | 12.5 | 11 … 14 | 300 | resize clean, k 3 |" in lines


def test_html_is_escaped_and_fetches_nothing(result: Report) -> None:
    page = result.to_html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not any(mark in page for mark in ("http://", "https://", "src=", "@import", "url("))
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize("suffix", [".json", ".csv", ".md", ".html"])
def test_write_follows_the_suffix(result: Report, tmp_path: Path, suffix: str) -> None:
    path = report.write(result, tmp_path / "deep" / f"report{suffix}")
    texts = {".json": result.to_json, ".csv": result.to_csv, ".md": result.to_markdown, ".html": result.to_html}
    assert path.read_text(encoding="utf-8") == texts[suffix]()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_write_refuses_another_format(result: Report, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.json, \.csv, \.md, \.html"):
        report.write(result, tmp_path / "report.pdf")


@pytest.mark.parametrize(("value", "interval"), [(float("nan"), None), (1.0, (0.0, float("inf")))])
def test_a_measure_is_finite(value: float, interval: tuple[float, float] | None) -> None:
    with pytest.raises(ValueError, match="FID came out as"):
        Measure("fid", "FID", value, 10, "lower", interval)


def test_show_prints_the_numbers_and_then_the_warnings(result: Report) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    report.show(result, console)
    text = console.export_text()
    assert "11 … 14" in text
    assert text.index("12.5") < text.index("few pictures <script>")
    assert "[bold]" in text


@pytest.mark.parametrize(
    ("value", "text"), [(12.345678, "12.346"), (0.00012345678, "0.00012346"), (65639.2, "65,639.2")]
)
def test_digits(value: float, text: str) -> None:
    assert report.digits(value) == text


def test_reports_of_older_versions_are_read(result: Report) -> None:
    """They have a name in place of key and label."""
    values = json.loads(result.to_json())
    for measure in values["measures"]:
        measure["name"] = measure.pop("label")
        del measure["key"]
    read = Report.from_dict(values)
    assert [(one.key, one.label, one.value) for one in read.measures] == [("FID", "FID", 12.5), (EVIL, EVIL, 0.25)]
    assert Report.from_dict(json.loads(result.to_json())) == Report.from_dict(json.loads(result.to_json()))


def test_measures_and_facts_go_to_a_tracker_after_the_files(
    result: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    report.deliver(result, [tmp_path / "r.json"], log_with="tensorboard", project="fid")
    files = [file for file in (tmp_path / "runs" / "fid").rglob("events.out.tfevents.*") if file.parent.name == "fid"]
    (log,) = [EventAccumulator(str(file)).Reload() for file in files]
    assert {key: log.Scalars(key)[0].value for key in ("fid", "evil")} == {"fid": 12.5, "evil": 0.25}
    monkeypatch.setattr("accelerate.Accelerator.log", lambda *_, **__: 1 / 0)
    with pytest.raises(ValueError, match="tensorboard did not take the measures: ZeroDivisionError"):
        report.deliver(result, [tmp_path / "again.json"], log_with="tensorboard")
    assert (tmp_path / "again.json").is_file() and "12.5" in capsys.readouterr().out


def test_an_unknown_tracker_and_one_that_is_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="mlflow is not installed: pip install mlflow, or leave out --log-with"):
        command.tracker("mlflow")
    with pytest.raises(ValueError, match="a tracker is one of tensorboard, wandb, trackio, mlflow, not 'excel'"):
        command.tracker("excel")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--vqa-url", "https://ann:s3cret@host:8000/v1", "--num", "3"],
            "--vqa-url 'https://***@host:8000/v1' --num 3",
        ),
        (["--vqa-url", "https://host/v1?api_key=s3cret&api-version=2"], "'https://host/v1?api_key=***&api-version=2'"),
        (["--api-key", "s3cret", "--tokenizer", "gpt2"], "--api-key '***' --tokenizer gpt2"),
        (["--token=s3cret", "HF_TOKEN=s3cret"], "'--token=***' 'HF_TOKEN=***'"),
        (["--api-key=ab;s3cret&s3cret #s3cret", "KEY=a\ns3cret"], "'--api-key=***' 'KEY=***'"),
        (["runs/b --token=ab;s3cret --steps 4"], "'runs/b --token=*** --steps 4'"),
        (["--header", "Authorization: Basic s3cret=="], "--header 'Authorization: ***'"),
        (["runs/b --steps 4 --token s3cret"], "'runs/b --steps 4 --token ***'"),
        (["--vqa-model", "sk-s3cret-abcdefgh", "hf_s3cretabcdefgh"], "--vqa-model '***' '***'"),
        (
            ["--by", "style", "--words", "a key: to maps, a token of love"],
            "--by style --words 'a key: to maps, a token",
        ),
    ],
)
def test_secrets_of_the_command_line_are_told_nowhere(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "evaluation.vqa", *words])
    made = Report("t", (Measure("fid", "FID", 1.0, 2, "lower"),), report.provenance())
    assert told in made.provenance["command"]
    for suffix in (".json", ".csv", ".md", ".html"):
        text = report.write(made, tmp_path / f"r{suffix}").read_text()
        assert "s3cret" not in text
