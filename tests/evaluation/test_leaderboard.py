"""The leaderboard: what compares stands in one column, the newest counts, and the page sorts without a network."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from visitor import ARGUMENTS, CHROMIUM, needs_chromium

from evaluation import leaderboard
from evaluation.measuring.leaderboard import Leaderboard
from evaluation.reporting import report
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report


def told(folder: Path, name: str, value: float, date: str = "2026-11-01", **changes: object) -> None:
    """A report of evaluation.fid over pictures that generation drew."""
    drawn = {"prompts": "coco", "prompts_sha256": "ab" * 32, "pictures": 1000, "dtype": "float32"}
    drawn |= {"checkpoint": f"runs/{name}", "checkpoint_hash": name * 8}
    drawn["settings"] = {"decoder": {"num_inference_steps": 25, "guidance_scale": 4.0}}
    details = {"network": "inception@11", "resize": changes.get("resize", "clean"), "references": 5000}
    measures = (
        Measure("fid", "FID", value, 1000, "lower", (value - 1, value + 1), details),
        Measure("precision", "precision", 1 / value, 1000, "higher", None, details),
        Measure("floor", "an anchor", 0.1, 1000, ""),
    )
    facts = {"generation": drawn, "reference": "photos", "date": date}
    report.write(Report(f"Distances of {name}", measures, facts), folder / f"{name}-{value}-{date}.json")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    told(folder, "aaa", 30.0)
    told(folder, "bbb", 9.0)
    told(folder / "old", "bbb", 99.0, date="2026-10-01")
    told(folder, "ccc", 200.0)
    told(folder, "ccc", 5.0, resize="legacy-tf")
    (folder / "notes.json").write_text('["mine"]')
    found = [Measure(key, key, 0.5, 96, "lower") for key in ("seconds_a_picture", "fd")]
    measures = [one.to_dict() for one in [Measure("recall", "recall", 0.5, 736, "higher"), *found]]  # of references
    cost = {"seconds_a_picture": 0.5, "peak_megabytes": 900.0, "processor": "AMD, 2 cores"}
    emoji = {"name": "emoji", "checkpoint": "emoji", "checkpoint_hash": "dd" * 32, "settings": {}, "dtype": "float32"}
    contestants = [emoji | {"measures": measures, "cost": cost}]
    comparison = {"contestants": contestants, "provenance": {"prompts": "emoji", "prompts_sha256": "cd" * 32}}
    (folder / "comparison.json").write_text(json.dumps(comparison))
    return folder


def read(results: Path) -> Leaderboard:
    return leaderboard.run(leaderboard.Options(results, report=(results / "x.html",)))


def test_what_compares_stands_in_one_column_and_the_newest_counts(results: Path) -> None:
    found = read(results)
    coco, emoji = found.boards
    assert (coco.heading[:19], emoji.heading[:18]) == ("coco, 1,000 picture", "emoji, 96 pictures")
    models = {model.name[:3]: cells for model, cells in coco.rows.items()}
    columns = {column.how.split(",")[1].strip(): column for column in coco.columns if column.key == "fid"}
    assert set(columns) == {"resize clean", "resize legacy-tf"}
    clean = columns["resize clean"]
    assert {name: cells[clean].measure.value for name, cells in models.items()} == {"aaa": 30, "bbb": 9, "ccc": 200}
    assert models["ccc"][columns["resize legacy-tf"]].measure.value == 5
    assert "floor" not in {column.key for column in coco.columns}
    assert "reference photos" in clean.how and next(iter(coco.rows)).how == "decoder 25 ×4"
    assert [column.how for column in emoji.columns if column.key == "seconds_a_picture"] == ["AMD, 2 cores"]
    (model,) = emoji.rows
    assert "CC-BY-SA" in found.licences[model].upper().replace(" ", "-")
    assert [note.rpartition("/")[2] for note in found.notes] == [
        "notes.json is not a report, comparison or scorecard: left out."
    ]


def test_a_foreign_or_torn_file_is_left_out_and_says_what_is_wrong_with_it(results: Path, tmp_path: Path) -> None:
    whole = next(results.glob("aaa-*.json")).read_text()
    for name, old, new in (
        ("sideways", '"better": "lower"', '"better": "sideways"'),
        ("words", '"n": 1000', '"n": "many"'),
        ("half", '"interval": [', '"interval": [0, '),
        ("none", '"label": "FID",', ""),
    ):
        (results / f"x-{name}.json").write_text(whole.replace(old, new, 1))
    lines = whole.splitlines(keepends=True)
    (results / "x-torn.json").write_text("".join(lines[:8]))
    found = read(results)
    notes = {note.split(".json")[0].rpartition("/")[2]: note for note in found.notes}
    assert "(FID is better 'sideways', which is neither higher nor lower nor empty): left out." in notes["x-sideways"]
    assert "(n of a measure is 'many'): left out." in notes["x-words"]
    assert "values to unpack" in notes["x-half"] and "(it has no 'label')" in notes["x-none"]
    assert "x-torn.json is not JSON" in notes["x-torn"] and ": line " in notes["x-torn"]
    leaderboard.main([str(results), "--report", str(tmp_path / "board.html")])  # and the rest is told


def test_the_files_and_what_is_no_folder_of_results(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, text = tmp_path / "board.html", tmp_path / "board.md"
    leaderboard.main([str(results), "--report", str(page), "--report", str(text)])
    assert "notes.json" in capsys.readouterr().err
    assert not any(mark in page.read_text() for mark in ("http://", "https://", "@import", "url(", "src="))
    assert text.read_text().index("| bbb@bbbbbb") < text.read_text().index("| aaa@aaaaaa")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no \.json report"):
        read(tmp_path / "empty")
    with pytest.raises(ValueError, match="There is no folder"):
        read(tmp_path / "absent")


@needs_chromium
def test_the_page_sorts_by_numbers_and_fits_a_phone(results: Path, tmp_path: Path) -> None:
    leaderboard.main([str(results), "--report", str(tmp_path / "board.html")])
    with sync_playwright() as driver, driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((tmp_path / "board.html").as_uri())
        table = page.locator("table").first

        def order() -> list[str]:
            return [name[:3] for name in table.locator("tbody th").all_inner_texts()]

        assert order()[0] == "bbb"
        table.get_by_role("button", name="precision").first.click()
        assert order() == ["bbb", "aaa", "ccc"]
        table.get_by_role("button", name="FID").nth(1).click()
        assert order()[0] == "ccc"
        table.get_by_role("button", name="FID").first.click()
        table.get_by_role("button", name="FID").first.click()
        assert order() == ["ccc", "aaa", "bbb"]
        assert table.locator("th[aria-sort]").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
