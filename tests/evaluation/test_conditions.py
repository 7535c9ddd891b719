"""--fail-if: a comparison that fails where a contestant is worse than the first, and the forest plot beside it."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation import bisect, compare
from evaluation.comparing.comparison import Contest
from evaluation.comparing.conditions import Condition, failures
from evaluation.comparing.forest import forest
from evaluation.metrics.bootstrap import Difference
from evaluation.metrics.distances import compared
from evaluation.networks.network import open_network
from evaluation.reporting.measure import Measure

FID = Contest("fid", "FID <b>", "old", "new", "lower", Difference(-0.5, (-0.8, -0.2), 0.001, 50), 0.004)
SCORE = Contest("clip_score", "CLIP score", "old", "new", "higher", Difference(-0.1, (-0.3, 0.1), 0.3, 50), 0.3)


def comparison(*contests: Contest) -> Any:
    values = {
        "fid": Measure("fid", "FID", 20.0, 50, "lower"),
        "clip_score": Measure("clip_score", "", 30.0, 50, "higher"),
    }
    first = SimpleNamespace(contestant=SimpleNamespace(name="old"), require=values.get)
    return SimpleNamespace(contestants=(first,), contests=contests)


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("fid worse", True),
        ("fid worse than 2 %", True),  # by 2.5 %
        ("fid worse than 2% at p < 0.01", True),
        ("fid worse than 3 %", False),
        ("fid worse than 0.4", True),
        ("fid worse than 0.6", False),
        ("fid worse than 2 % at p < 0.001", False),
        ("clip_score worse", False),  # the new one is better, if anything
    ],
)
def test_a_contestant_fails_where_it_is_worse_by_more_than_chance(text: str, fails: bool) -> None:
    told = failures([Condition.read(text)], comparison(FID, SCORE))
    assert bool(told) == fails
    if fails:
        assert told[0].startswith("new is worse than old in FID <b> by 0.5 (p = 0.004)") and told[0].endswith(
            f"{text}."
        )


def test_the_other_way_round_and_higher_is_better() -> None:
    better = dataclasses.replace(FID, found=Difference(0.5, (0.2, 0.8), 0.001, 50))
    worse = dataclasses.replace(SCORE, found=Difference(2.0, (1.5, 2.5), 0.001, 50), p_holm=0.001)
    conditions = [Condition.read("fid worse"), Condition.read("clip_score worse than 5 %")]
    assert [sentence.split(" by ")[0] for sentence in failures(conditions, comparison(better, worse))] == [
        "new is worse than old in CLIP score"
    ]


def test_what_is_no_condition_is_refused() -> None:
    for text in ("fid", "fid worse than much", "fid better than 2 %", "fid worse at p < 3", ""):
        with pytest.raises(ValueError, match="A condition is written"):
            Condition.read(text)
    with pytest.raises(ValueError, match="nothing is compared in 'kid', but in fid, clip_score"):
        failures([Condition.read("kid worse")], comparison(FID, SCORE))


def test_a_condition_in_which_nothing_will_be_compared_is_refused_before_any_drawing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["emoji", "emoji --draft", "--prompts", "emoji", "--num", "4", "--network", "judge", "--device", "cpu"]
    distance = compared(open_network("judge"))[0]
    for text, said in (
        (
            "fid worse than 2 %",
            f"nothing is compared in 'fid', but in clip_score, r_precision, recall_at_5, recall_at_10, "
            f"seconds_a_picture, {distance}",
        ),
        (f"{distance} worse", "a distance needs real pictures, and emoji comes without: name some with --reference"),
    ):
        for main in (compare.main, bisect.main):
            with pytest.raises(SystemExit) as stopped:
                main([*given, "--out", str(tmp_path / "out"), "--fail-if", text])
            assert stopped.value.code == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "out" / "pictures").exists()


def test_the_plot_has_what_is_better_to_the_right() -> None:
    plot = forest([FID, SCORE])
    assert plot.count("<rect") == 2 and "FID &lt;b&gt;" in plot and "<b>" not in plot
    middle = float(plot.split('class="axis" d="M')[1].split(" ")[0])
    places = [float(part.split('x="')[1].split('"')[0]) for part in plot.split("<rect ")[1:]]
    assert places[0] > middle > places[1]  # old has the lower FID, which is better, and the lower score, which is worse
    assert plot.count('class="c1"') == 1 and plot.count('class="c0"') == 1  # one is more than chance
    assert forest([]) == ""
