"""Answers of people: agreement as published, win rates and ranking, who is left out, and what predicts the answers."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_folders import drawn

from dalle2.judgements.study import ANSWERS, as_rows, read_answers, read_study
from demo.study.answers import Answers
from evaluation import study as making
from evaluation import votes
from evaluation.comparing.answers import read
from evaluation.metrics.agreement import krippendorff_alpha
from evaluation.metrics.human_answers import Answers as Answered
from evaluation.reporting.measure import Measure
from evaluation.reporting.report import Report

# Four observers and twelve units (Krippendorff 2011, part C).
PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def test_alpha_is_that_of_the_published_example() -> None:
    columns = zip(*(line.split() for line in PUBLISHED.split("\n") if line), strict=True)
    units = [[int(value) for value in column if value != "."] for column in columns]
    found = {level: krippendorff_alpha(units, level) for level in ("nominal", "ordinal", "interval")}
    assert found == pytest.approx({"nominal": 0.743, "ordinal": 0.815, "interval": 0.849}, abs=5e-4)
    assert krippendorff_alpha([[1, 1], [2, 2], [1, 1]]) == 1
    assert krippendorff_alpha([[1], [2]]) is None and krippendorff_alpha([[1, 1], [1, 1]]) is None


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve raters: ten mostly prefer the near pictures but for every fourth prompt, one does not look, one leaves."""
    root = tmp_path_factory.mktemp("votes")
    folders = [str(drawn(root / name, noise)) for name, noise in (("near", 20), ("far", 200))]
    making.main([*folders, "--checks", "4", "--out", str(root / "study")])
    answers = Answers(root / "study", read_study(root / "study"))
    draw = np.random.default_rng(0)
    for number in range(12):
        name = f"rater{number}"
        answers.agree(name)
        for place, one in enumerate(answers.rater(name).shown):
            wanted = one.pair.right or ("b" if int(one.pair.id[:6]) % 4 == 3 else "a")  # a is near
            if (number == 10 and one.pair.right) or (one.pair.right is None and draw.random() < 0.1):
                wanted = "b" if wanted == "a" else "a"
            side = "left" if wanted == one.left else "right"
            assert answers.add(name, place, {"caption match": side}, 2.0)
        if number == 11:
            answers.withdraw(name)
    return root / "study"


def told(study: Path, *more: object) -> Report:
    return votes.run(votes.parse([str(word) for word in [study, *more, "--device", "cpu", "--workers", 0]]))


def test_win_rates_ranking_and_agreement(study: Path, tiny_checkpoint: Path) -> None:
    report = told(study, "--clip", tiny_checkpoint)
    found = {one.key: one for one in report.measures}
    near, far = (
        next(key for key in found if key.startswith("rating@") and key.endswith(name)) for name in ("near", "far")
    )
    assert found[near].value - 1000 == pytest.approx(1000 - found[far].value) and found[near].value > 1000
    (rate,) = (one for key, one in found.items() if key.startswith("win_rate@"))
    share = rate.value if rate.key.endswith("far") else 1 - rate.value
    assert rate.n == 120 and 0.6 < share < 0.8
    low, high = rate.interval
    assert low < rate.value < high and high - low > 0.2  # of twelve pairs
    assert 0.3 < found["alpha@caption match"].value < 0.9
    assert found["alpha@caption match"].details["pairs of two answers or more"] == 12
    assert 0.8 < found["ceiling@caption match"].value <= 1
    assert 0.3 < found["left@caption match"].value < 0.7
    assert found["seconds@caption match"].value == 2.0
    assert 0 <= found[f"predicted@caption match@clip:{tiny_checkpoint}"].value <= 1
    assert "1 of 11 raters had fewer than 75% of checks right" in " ".join(report.warnings)
    assert "1 raters took their answers back" in " ".join(report.warnings)


def test_a_measure_that_knows_predicts_and_its_opposite_does_not(study: Path) -> None:
    asked = Answered(read(study, least_checks=0.75).judgements)
    knows = np.array([1.0 if one.a.endswith("near") else -1.0 for one in asked.given])
    right, wrong, nothing = (asked.predicted(ahead) for ahead in (knows, -knows, 0 * knows))
    assert right.value + wrong.value == pytest.approx(1) and right.value > 0.6
    assert (nothing.value, nothing.interval) == (0.5, (0.5, 0.5))
    assert right.interval[1] == pytest.approx(1 - wrong.interval[0])


def test_the_comparison_s_measures_are_held_against_the_ranking(study: Path, tmp_path: Path) -> None:
    sides = {Path(one.name).name: one.name for pair in read_study(study).pairs for one in (pair.a, pair.b)}

    def measures(fid: float, score: float) -> list[dict]:
        rows = (("fid", fid, "lower"), ("clip_score", score, "higher"))
        return [Measure(key, key, value, 12, better).to_dict() for key, value, better in rows]

    contestants = [
        {"name": sides["near"], "measures": measures(1, 10)},
        {"name": sides["far"], "measures": measures(9, 20)},
    ]
    file = tmp_path / "comparison.json"
    file.write_text(json.dumps({"contestants": contestants}))
    found = {one.key: one.value for one in told(study, "--comparison", file).measures}
    assert found["ordered@caption match@fid"] == 1 and found["ordered@caption match@clip_score"] == 0
    file.write_text(json.dumps({"contestants": contestants[:1]}))
    with pytest.raises(ValueError, match="fewer than two are the same"):
        told(study, "--comparison", file)
    del contestants[0]["measures"][0]["better"]
    file.write_text(json.dumps({"contestants": contestants}))
    with pytest.raises(ValueError, match=r"comparison\.json is not a comparison\.json of evaluation\.compare"):
        told(study, "--comparison", file)


def test_the_page_s_votes_are_counted_alike(tmp_path: Path) -> None:
    file = tmp_path / "votes.csv"
    file.write_text("question,a,b,winner\n" + "photorealism,x,y,a\n" * 30 + "photorealism,y,x,a\n" * 10)
    report = told(file)
    (rate,) = (one for one in report.measures if one.key.startswith("win_rate@"))
    assert (rate.value, rate.n) == (0.75, 40) and rate.interval[0] > 0.5
    assert "have no raters" in report.warnings[0]
    with pytest.raises(ValueError, match="which the page's votes do not hold"):
        told(file, "--clip", "judge")


def test_what_cannot_be_counted_is_told(study: Path, tmp_path: Path) -> None:
    unasked = tmp_path / "study"
    shutil.copytree(study, unasked)
    (unasked / ANSWERS).unlink()
    with pytest.raises(ValueError, match=r"No answers to .*study\.json count yet\.$"):
        told(unasked)
    with pytest.raises(ValueError, match="There is nothing at"):
        told(tmp_path / "absent")
    (unasked / ANSWERS).write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="holds no answers of a study: its columns must be time, study, rater"):
        told(unasked)


def test_names_and_questions_may_hold_what_breaks_lines(study: Path, tmp_path: Path) -> None:
    """A quoted line break belongs to its value, and only "\\n" ends a row; half a row that a power cut left is none."""
    odd = tmp_path / "study"
    shutil.copytree(study, odd)
    rows = [dataclasses.replace(row, rater=f"a\n\u2028\x85,{row.rater}") for row in read_answers(odd)]
    whole = as_rows(rows, header=True)
    for torn in ("", '2026,"half\na', "2026,half", "2026-11-28,x,r\r"):
        (odd / ANSWERS).write_text(whole + torn, encoding="utf-8", newline="")
        assert read_answers(odd) == rows
    Answers(odd, read_study(odd)).agree("another")
    assert [row.rater for row in read_answers(odd)] == [*(row.rater for row in rows), "another"]


@pytest.mark.parametrize(
    ("column", "value"), [("seconds", "soon"), ("winner", "c"), ("left", "up"), ("right", "tie"), ("seconds", "nan")]
)
def test_an_answer_that_is_none_is_told_with_its_line(study: Path, tmp_path: Path, column: str, value: str) -> None:
    odd = tmp_path / "study"
    shutil.copytree(study, odd)
    rows = read_answers(odd)
    rows[2] = dataclasses.replace(rows[2], **{column: value})
    (odd / ANSWERS).write_text(as_rows(rows, header=True))
    with pytest.raises(ValueError, match=rf"answers\.csv, line 4: {column} is '{value}'"):
        told(odd)
