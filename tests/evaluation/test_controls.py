"""The control experiments: each comparison has pictures of its own, or none of them on both sides."""

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
