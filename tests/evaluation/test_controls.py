"""The control experiments: each comparison has pictures of its own, or none of them on both sides."""

from pathlib import Path

from benchmarks import controls
from benchmarks.controls import runs_of
from evaluation.pictures.manifest import Row


def rows(prompts: int, pool: int) -> list[Row]:
    return [
        Row(file=f"{index:06d}.png", id=str(index), caption=f"prompt {index // pool}", seed=index)
        for index in range(prompts * pool)
    ]


def test_where_there_are_enough_no_picture_is_taken_twice() -> None:
    runs = runs_of(rows(5, 8), 5, 8, 4)
    taken = [row.file for run in runs for row in run]
    assert len(runs) == 8 and len(set(taken)) == len(taken) == 40
    assert all([row.caption for row in run] == [f"prompt {number}" for number in range(5)] for run in runs)


def test_from_a_pool_the_two_sides_of_a_comparison_share_nothing() -> None:
    runs = runs_of(rows(5, 4), 5, 4, 30)
    assert len(runs) == 60 and runs == runs_of(rows(5, 4), 5, 4, 30)
    for a, b in zip(runs[::2], runs[1::2], strict=True):
        assert [row.caption for row in a] == [row.caption for row in b]
        assert not {row.file for row in a} & {row.file for row in b}
    assert len({tuple(row.file for row in run) for run in runs}) > 50


def row(key: str, p: float, ahead: str, verdict: str = "no difference shown") -> dict[str, object]:
    return {"key": key, "label": f"the {key}", "p": p, "ahead": ahead, "verdict": verdict}


def test_what_was_stated_beforehand_stands_beside_what_came_out() -> None:
    same = [
        [row("fd", 0.01 if index < 4 else 0.5, "a"), row("kd", 0.01 if index < 40 else 0.5, "b")]
        for index in range(100)
    ]
    found = [[row("fd", 0.001, "a", "a"), row("kd", 0.9, "a")]] * 85 + [[row("fd", 0.7, "a"), row("kd", 0.9, "b")]] * 15
    summary = controls.summarised(same, found)
    assert [(one["same"], one["holds"], one["found"], one["wrong"]) for one in summary] == [
        ([4, 100], True, [85, 100], 0),
        ([40, 100], False, [0, 100], 0),
        ([0, 100], True, [85, 100], 0),
    ]
    of_same, of_damaged = controls.concluded(summary, "fd")
    assert "α = 0.05" in of_same and of_same.endswith("It does not for the kd.")
    assert "80% or more" in of_damaged and of_damaged.endswith("It did: 85 of 100, the wrong way 0.")
    wrong = [row("fd", 0.001, "b", "b"), row("kd", 0.9, "a")]
    for short in (found[30:], [*found, wrong]):  # 55 of 70; one the wrong way
        assert "It DID NOT" in controls.concluded(controls.summarised(same, short), "fd")[1]


def test_half_a_line_that_a_kill_left_is_compared_again(tmp_path: Path) -> None:
    file = tmp_path / "same.jsonl"
    assert controls.read_kept(file) == []
    file.write_text('[{"key": "fd"}]\n[{"key": "f')
    assert controls.read_kept(file) == [[{"key": "fd"}]]
    assert file.read_text() == '[{"key": "fd"}]\n'
