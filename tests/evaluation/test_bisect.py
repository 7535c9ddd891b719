"""Bisection over a run's snapshots: as few as need be are measured, and what they gave stands over the steps."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_folders import drawn

from evaluation import bisect, leaderboard
from evaluation.comparing import bisection
from evaluation.comparing.bisection import first_failing, in_order

STEPS = (100, 200, 400, 600, 800, 1000, 1200, 1400)
WORSE = 1000  # from which on the pictures are bad


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Snapshots as drawn folders, and the real pictures."""
    root = tmp_path_factory.mktemp("run")
    for step in STEPS:
        drawn(root / f"step-{step}", 200 if step >= WORSE else 20)
    drawn(root / "real", 0)
    return root


def given(run: Path, clip: Path, out: Path, *more: object) -> list[str]:
    snapshots = [run / f"step-{step}" for step in random.Random(0).sample(STEPS, len(STEPS))]
    common = ["--out", out, "--reference", run / "real", "--clip", clip, "--network", f"clip:{clip}", "--workers", 0]
    return [str(word) for word in [*snapshots, *common, "--device", "cpu", *more]]


def test_the_first_that_is_worse_is_found_by_measuring_few(
    run: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = given(run, tiny_checkpoint, tmp_path, "--fail-if", "clip_fid worse than 2 % at p < 0.05")
    with pytest.raises(SystemExit) as ended:
        bisect.main(arguments)
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "step-1000 is the first that is worse;" in said and "5 of 8 snapshots were measured" in said
    found = json.loads((tmp_path / "bisection.json").read_text())
    assert [Path(one["name"]).name for one in found["contestants"]] == [
        f"step-{step}" for step in (100, 600, 800, 1000, 1400)
    ]
    assert [one["step"] for one in found["bisection"]["snapshots"]] == [str(step) for step in STEPS]
    assert {Path(one["a"]).name for one in found["contests"]} == {"step-100"}
    assert "in CLIP-FID by" in found["summary"][1]
    page = (tmp_path / "bisection.html").read_text()
    assert page.count('<g class="curve') == page.count(" over step") > 4 and ">1400</text>" in page
    assert not any(mark in page for mark in ("http://", "https://", "<script", "@import", "url("))
    text = (tmp_path / "bisection.md").read_text()
    assert text.startswith("> ") and "Paired differences" in text and "step-200" not in text.split("## Provenance")[0]
    (board,) = leaderboard.run(leaderboard.Options(tmp_path)).boards
    assert len(board.rows) == 2  # by their settings: those folders say of two kinds how they were drawn


def test_nothing_worse_is_told_too_and_every_one_may_be_measured(
    run: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    measure = bisection.measure
    monkeypatch.setattr(bisection, "measure", lambda one, ruler: looked.append(one.name) or measure(one, ruler))
    good = [str(run / f"step-{step}") for step in STEPS[:4]]
    common = given(run, tiny_checkpoint, tmp_path, "--fail-if", "clip_fid worse")[len(STEPS) :]
    found = bisect.run(bisect.parse([*good, *common]))
    assert found.worse is None and len(looked) == 2
    assert "step-600, the last, is not worse than" in found.summary[0]
    found = bisect.run(bisect.parse([*good, str(run / "step-1400"), *common, "--every"]))
    assert Path(str(found.worse)).name == "step-1400" and len(found.comparison.contestants) == 5
    with pytest.raises(ValueError, match="nothing is compared in 'fid', but in"):
        bisect.run(bisect.parse([*good, *common, "--fail-if", "fid worse"]))
    with pytest.raises(ValueError, match="two snapshots at least"):
        bisect.run(bisect.parse([good[0], *common]))


@pytest.mark.parametrize("count", [2, 3, 9, 64])
def test_bisection_asks_for_as_few_as_it_can(count: int) -> None:
    for worse in range(1, count):
        asked: list[int] = []

        def fails(index: int, worse: int = worse, asked: list[int] = asked) -> bool:
            asked.append(index)
            return index >= worse

        assert first_failing(count, fails) == worse
        assert len(asked) == len(set(asked)) <= 1 + (count - 1).bit_length() and 0 not in asked
        assert first_failing(count, fails, every=True) == worse
    never: Callable[[int], bool] = lambda _: False  # noqa: E731
    assert first_failing(count, never) is None and first_failing(count, never, every=True) is None
    assert first_failing(9, lambda index: index in (2, 7, 8), every=True) == 7  # a bad one in between is no end


def test_snapshots_are_in_the_order_of_their_steps() -> None:
    def order(*ways: str) -> list[str]:
        return [one.step for one in in_order(ways)]

    assert order("runs/a/step-2000", "runs/a/step-500", "runs/a/step-10000") == ["500", "2000", "10000"]
    assert order("runs/v2/20/checkpoint", "runs/v2/3/checkpoint --steps 5") == ["3", "20"]
    assert order("emoji", "runs/b", "runs/a") == ["1", "2", "3"]
    assert [one.name for one in in_order(["b1", "a", "b1"])] == ["b1", "a", "b1 (2)"]
