"""Bisection over a run's snapshots: as few as need be are measured, and what they gave stands over the steps."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_folders import drawn

from evaluation import bisect, leaderboard
from evaluation.comparing import bisection, bisection_page
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
    printed = capsys.readouterr()
    said = " ".join(printed.out.split())
    assert "step-100 (100), " in printed.err and "--every measures all" in said
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


def order(*ways: str) -> list[str]:
    return [one.step for one in in_order(ways)[0]]


def test_snapshots_are_in_the_order_of_their_steps() -> None:
    assert order("runs/a/step-2000", "runs/a/step-500", "runs/a/step-10000") == ["500", "2000", "10000"]
    assert order("runs/v2/20/checkpoint", "runs/v2/3/checkpoint --steps 5") == ["3", "20"]
    assert order("step-1000-ema999", "step-200-ema999") == ["200", "1000"]
    assert order("step=500-val_loss=0.31", "step=1500-val_loss=0.29") == ["500", "1500"]
    assert order("epoch=1-step=500-v1", "epoch=0-step=250-v2") == ["250", "500"]
    assert order("epoch=1-step=10", "epoch=0-step=10") == ["0", "1"]
    assert order("a-iter_20-b7", "a-iter_3-b9") == ["3", "20"]


def test_an_order_that_the_names_do_not_tell_is_not_made_up() -> None:
    snapshots, (note,) = in_order(["emoji", "runs/b", "runs/a"])
    assert [one.step for one in snapshots] == ["1", "2", "3"] and "in the order given" in note
    assert [one.name for one in in_order(["b", "a", "b"])[0]] == ["b", "a", "b (2)"]
    with pytest.raises(ValueError, match="step-2000 has a step in its name, and best has none"):
        in_order(["best", "step-1000", "step-2000"])
    with pytest.raises(ValueError, match="has a step in its name, and 900 has none"):
        in_order(["step-1000", "900"])


def test_failures_before_the_last_good_one_are_told(
    run: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "named"
    root.mkdir()
    for step, source in {10: 100, 20: 1000, 30: 200, 40: 1200}.items():
        shutil.copytree(run / f"step-{source}", root / f"step-{step}")
    common = given(run, tiny_checkpoint, tmp_path / "out", "--fail-if", "clip_fid worse than 2 %")[len(STEPS) :]
    found = bisect.run(bisect.parse([*(str(root / f"step-{step}") for step in (10, 20, 30, 40)), *common, "--every"]))
    first, *_, last = found.summary
    assert "step-40 is the first from which on all measured ones are worse;" in first
    assert "step-20 is worse too, and others after it are not: " in last
    logged: list[int] = []
    monkeypatch.setattr("accelerate.Accelerator.log", lambda _, values, step: logged.append(step))
    bisection_page.log(found, "tensorboard", tmp_path / "logs")
    assert logged == [10, 20, 30, 40]
