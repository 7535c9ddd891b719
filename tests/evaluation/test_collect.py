"""Reports and drawn folders as one page: all numbers, all commands, drawn pictures only, shared facts once."""

import json
import re
from pathlib import Path

import pytest
from drawn_folders import drawn

from evaluation import collect
from evaluation.drawing.cost import Cost, write_cost
from evaluation.measuring import collection
from evaluation.measuring.collection import Collection, read_part
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

REPORTS = Path(__file__).parents[2] / "docs" / "reports"


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A drawn folder of 30 pictures and two reports."""
    folder = drawn(tmp_path / "drawn", 20, count=30)
    write_cost(Cost(seconds_a_picture=0.25, peak_megabytes=512.0, processor="Abacus, 2 cores"), folder)
    files = []
    for index, name in enumerate(("FID", "CLIP score")):
        measure = Measure(name.lower(), name, 12.5 + index, 30, "lower", (11.0, 14.0), {"resize": "clean"})
        facts = {"device": "cpu", "processor": "Abacus, 2 cores", "command": f"python -m evaluation.m{index}"}
        made = Report(f"Report <{index}>", (measure,), {**facts, "network": {"name": name}}, (f"few & {index}",))
        files.append(report.write(made, tmp_path / f"{index}.json"))
    return folder, *files


def collected(parts: tuple[Path, ...]) -> Collection:
    return Collection("A <title>", "Words & more.", tuple(map(read_part, parts)))


def test_a_report_comes_back_as_it_was(parts: tuple[Path, Path, Path]) -> None:
    _, first, _ = parts
    assert read_part(first).report.to_json() == first.read_text()


def test_the_page(parts: tuple[Path, Path, Path]) -> None:
    page = collected(parts).to_html()
    assert page.count("<img ") == collection.SHOWN == page.count("data:image/webp;base64,")
    for text in ("A &lt;title&gt;", "Words &amp; more.", "Report &lt;1&gt;", "few &amp; 0", "0.25", "11 … 14", "12.5"):
        assert text in page
    for command in ("by hand", "python -m evaluation.m0", "python -m evaluation.m1"):
        assert f"<code>{command}</code>" in page
    assert not any(mark in page for mark in ("http://", "https://", "<script", "@import", "url(", "<1>"))
    assert page.count("Abacus") == 1  # what all share stands once


def test_shown_pictures_are_at_even_steps(parts: tuple[Path, Path, Path]) -> None:
    whole, first, _ = parts
    assert [file.name for file, _ in read_part(whole).pictures[:5]] == [f"{i:06d}.png" for i in (0, 1, 2, 3, 5)]
    few = drawn(first.parent / "few", 20, count=3)
    part = read_part(few)
    assert [file.name for file, _ in part.pictures] == ["000000.png", "000001.png", "000002.png"]
    assert "not drawn in one go" in part.report.warnings[0]
    assert "<table>" not in Collection("t", "", (part,)).to_html()


def test_json_and_markdown_hold_every_number(parts: tuple[Path, Path, Path], tmp_path: Path) -> None:
    arguments = [*map(str, parts), "--title", "T", "--words", "W"]
    collect.main([*arguments, "--report", str(tmp_path / "all.json"), "--report", str(tmp_path / "all.md")])
    read = json.loads((tmp_path / "all.json").read_text())
    assert [part["title"] for part in read["parts"]] == ["Drawn: 30 pictures of made up", "Report <0>", "Report <1>"]
    assert [one["value"] for part in read["parts"] for one in part["measures"]] == [0.25, 512.0, 12.5, 13.5]
    assert read["parts"][1]["provenance"]["network"] == {"name": "FID"}
    text = (tmp_path / "all.md").read_text()
    assert "| FID ↓ | 12.5 | 11 … 14 | 30 | resize clean |" in text and "python -m evaluation.m1" in text


def test_what_cannot_be_collected_gets_a_sentence(
    parts: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "words.json").write_text("words")
    (tmp_path / "empty").mkdir()
    cases = {
        "list.json": "not a report",
        "words.json": "cannot be collected",
        "empty": "not drawn",
        "absent.json": "absent",
    }
    for name, said in cases.items():
        with pytest.raises(SystemExit) as stopped:
            collect.main([str(tmp_path / name), "--title", "T", "--report", str(tmp_path / "all.html")])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        collect.main([str(parts[1]), "--title", "T", "--report", str(tmp_path / "all.pdf")])
    assert ".html, .md, .json" in capsys.readouterr().err
    assert not list(tmp_path.glob("all.*"))


@pytest.mark.parametrize("file", sorted(REPORTS.glob("*.*")), ids=lambda file: file.name)
def test_what_is_committed_is_small_and_tells_nothing_of_a_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.search(r"(?<![\w.~/-])/(home|root|tmp|Users|mnt|srv|var|work)/", text)
    if file.suffix == ".html":
        assert not any(mark in text for mark in ('src="http', "<script", "<link", "@import", "url("))
