"""What drawing costs: first uses are left out, contestants take turns, and chance is called no winner."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluation.comparing import comparison_page
from evaluation.comparing.comparison import Comparison, Measured, contests_of, speed_notes
from evaluation.comparing.contestants import Contestant, open_contestants
from evaluation.drawing import cost, turns
from evaluation.drawing.cost import SECONDS, Cost, Stopwatch, read_cost
from evaluation.metrics.bootstrap import FEWEST, median_interval, paired_medians
from evaluation.pictures.manifest import as_path, as_text, read_manifest
from evaluation.prompts.pairing import read_pairs
from evaluation.prompts.prompt_sets import read_prompts


class Clock:
    """A clock that stands until somebody works; `load` is how much slower the machine is at that time."""

    def __init__(self) -> None:
        self.now, self.load = 0.0, 1.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds * self.load


class Fake:
    """Who draws batches of 8 at a known cost, after a first one that takes ten times as long."""

    def __init__(self, name: str, clock: Clock, seconds: float, left: int, order: list[str]) -> None:
        self.name, self.left, self.order = name, left, order
        self.watch = Stopwatch(8, clock)
        self._clock, self._seconds, self._turns = clock, seconds, 0

    def draw(self) -> None:
        start = self.watch.start()
        self._clock.work(8 * self._seconds * (10 if self._turns == 0 else 1))
        self.watch.stop(start, 8)
        self.left -= self._turns > 0 and self.left > 0
        self._turns += 1
        self.order.append(self.name)
        self._clock.load *= 1.05  # the machine grows slower all the time


def race(left: int, draft: float = 0.4, whole: float = 0.8, extra: float = 1e9) -> tuple[Fake, Fake, list[str]]:
    clock, order = Clock(), []
    pair = Fake("draft", clock, draft, left, order), Fake("whole", clock, whole, left, order)
    turns.take_turns(pair, extra, clock)
    return *pair, order


def test_first_uses_and_odd_batches_are_not_timed() -> None:
    clock = Clock()
    watch = Stopwatch(4, clock)
    for pictures, seconds in ((4, 100.0), (4, 2.0), (3, 50.0), (4, 4.0)):
        start = watch.start()
        clock.work(seconds)
        watch.stop(start, pictures)
    assert watch.seconds == [0.5, 1.0]


def test_contestants_take_turns_and_warm_up() -> None:
    draft, whole, order = race(left=8)
    assert order[:4] == ["draft", "whole", "whole", "draft"]
    assert all(set(order[i : i + 2]) == {"draft", "whole"} for i in range(0, len(order), 2))
    assert len(draft.watch.seconds) == len(whole.watch.seconds) == 8
    # A machine that grows slower has not turned the order round, and the warming up is in neither median.
    assert np.median(draft.watch.seconds) == pytest.approx(0.5 * np.median(whole.watch.seconds), rel=0.1)


def test_few_batches_are_drawn_again_for_their_times() -> None:
    draft, whole, _ = race(left=2)
    assert len(draft.watch.seconds) == len(whole.watch.seconds) == FEWEST
    assert len(race(left=2, extra=0.0)[0].watch.seconds) < FEWEST
    assert race(left=0)[2] == []


def test_medians_have_intervals_where_there_are_enough() -> None:
    values = np.random.default_rng(0).normal(1.0, 0.1, 40)
    low, high = median_interval(values)
    assert low < np.median(values) < high and high - low < 0.15
    assert median_interval(values[: FEWEST - 1]) is None
    outlier = [*values, 100.0]
    assert median_interval(outlier)[1] < 2


def test_half_the_time_is_a_winner_and_noise_is_none() -> None:
    rng = np.random.default_rng(1)
    slow = rng.normal(0.8, 0.1, 12)
    found = paired_medians(slow / 2, slow)
    assert found.interval[1] < 0 and found.p < 0.01 and (found.wins, found.losses) == (0, 12)
    noise = paired_medians(rng.normal(0.8, 0.1, 12), rng.normal(0.8, 0.1, 12))
    assert noise.interval[0] < 0 < noise.interval[1] and noise.p > 0.05
    assert paired_medians([1.0] * 5, [2.0] * 5) is None
    assert paired_medians([1.0] * 6, [1.0] * 6).p == 1.0


def measured(folder: Path, name: str, batches: list[float], run: str) -> Measured:
    spent = Cost(seconds_a_picture=float(np.median(batches)), peak_megabytes=500.0, batches=batches, turns=run)
    contestant = Contestant(name, folder, read_manifest(folder), spent)
    return Measured(contestant, tuple(cost.measures(spent, 12, 4)))


def page(contestants: list[Measured]) -> Comparison:
    return Comparison("t", tuple(contestants), contests_of(contestants, 0), (), (), {})


def coloured(comparison: Comparison) -> list[str]:
    rows = list(comparison.measure_rows())
    names = [one.contestant.name for one in comparison.contestants]
    return [f"{rows[row][0].label}: {names[column - 1]}" for row, column in comparison_page._best(comparison)]


def test_only_a_shown_difference_is_coloured(tmp_path: Path) -> None:
    from test_compare import drawn

    folder = drawn(tmp_path / "any", 0)
    draft, whole, _ = race(left=9)
    pair = [measured(folder, one.name, one.watch.seconds, "run") for one in (draft, whole)]
    assert coloured(page(pair)) == ["seconds a picture: draft"]  # and no winner in memory, which is one number
    assert page(pair).summary == ["draft beats whole in seconds a picture."]
    equal = [measured(folder, name, [0.4, 0.6, 0.5, 0.45, 0.55, 0.5], "run") for name in ("a", "b")]
    assert coloured(page(equal)) == []
    # Not of one run: the second was drawn while the machine was busy.
    apart = [measured(folder, "a", [1.1] * 8, "one"), measured(folder, "b", [0.4] * 8, "two")]
    assert coloured(page(apart)) == [] and "took turns" in speed_notes(apart)[0]
    few = [measured(folder, "a", [1.1] * 3, "run"), measured(folder, "b", [0.4] * 3, "run")]
    assert coloured(page(few)) == [] and "Fewer than 6 batches" in speed_notes(few)[0]


def test_an_old_cost_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "cost.json").write_text('{"seconds_a_picture":0.25,"peak_megabytes":512.0,"processor":"x"}')
    seconds, memory = cost.measures(read_cost(tmp_path), 12, 4)
    assert ((seconds.key, seconds.label), seconds.value, seconds.n, seconds.interval) == (SECONDS, 0.25, 12, None)
    assert memory.value == 512.0
    (tmp_path / "cost.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged: remove it"):
        read_cost(tmp_path)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.csv"
    file.write_text("id,caption\n" + "".join(f"{index},a cat {index}\n" for index in range(4)))
    return file


@pytest.mark.usefixtures("forking")
def test_processes_take_turns_and_go_on(tiny_checkpoint: Path, prompts: Path, tmp_path: Path) -> None:
    given = ["--prompts", str(prompts), "--batch-size", "2", "--device", "cpu"]
    ways = {"one": f"{tiny_checkpoint} --steps 1", "two": f"{tiny_checkpoint} --steps 2"}
    found = open_contestants(ways, tmp_path / "out", given, True)
    costs = [one.cost for one in found]
    assert [len(one.batches) for one in costs] == [FEWEST, FEWEST] and costs[0].turns == costs[1].turns != ""
    assert all(one.seconds_a_picture > 0 and one.peak_megabytes > 50 for one in costs)
    before = {file: file.read_bytes() for one in found for file in one.files}
    found[0].files[3].write_bytes(b"")  # a full disk
    again = open_contestants(ways, tmp_path / "out", given, True)
    assert [one.cost for one in again] == costs
    assert {file: file.read_bytes() for one in again for file in one.files} == before


@pytest.mark.usefixtures("forking")
def test_all_are_looked_at_before_one_is_drawn(tiny_checkpoint: Path, prompts: Path, tmp_path: Path) -> None:
    given = ["--prompts", str(prompts), "--batch-size", "2", "--device", "cpu"]
    ways = {"one": str(tiny_checkpoint), "two": str(tmp_path / "nowhere")}
    with pytest.raises(ValueError, match="nowhere was not drawn; why stands above"):
        open_contestants(ways, tmp_path / "out", given, True)
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.usefixtures("forking")
def test_who_gives_no_more_turns_ends_the_drawing(tiny_checkpoint: Path, prompts: Path, tmp_path: Path) -> None:
    given = ["--prompts", prompts, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out", "--device", "cpu"]
    command = [sys.executable, "-m", "evaluation.generation", *map(str, given), "--turns", "run"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.png"))


def test_who_goes_on_elsewhere_is_known_by_the_hash(tmp_path: Path) -> None:
    from test_compare import drawn

    folder = drawn(tmp_path / "any", 0)
    here = read_manifest(folder)
    assert here.difference(here.model_copy(update={"checkpoint": "/b/copy/", "prompts": "other.csv"})) == ""
    other = here.difference(here.model_copy(update={"checkpoint_hash": "2" * 64}))
    assert other.startswith("checkpoint is nobody/nothing (111111111111…) there")
    rows = (here.rows[0], here.rows[1].model_copy(update={"caption": "a dog"}), *here.rows[2:])
    changed = here.difference(here.model_copy(update={"rows": rows, "prompts_sha256": "3" * 64}))
    assert changed == "the caption of prompt 2 is 'a dog face 1' there, but 'a dog' here"


def test_real_pictures_that_stayed_behind_block_nothing(tmp_path: Path) -> None:
    from test_compare import drawn

    folder = drawn(tmp_path / "any", 0)
    file = folder / "prompts.jsonl"
    rows = [json.loads(line) | {"reference": f"/nowhere/{index}.png"} for index, line in enumerate(file.open())]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = read_manifest(folder)
    assert {row.reference_path for row in manifest.rows} == {None}
    assert manifest.left_behind.startswith("12 of the 12 real pictures that the manifest names are not on this machine")
    pairs = read_pairs(folder, None, None, 0, "captions")
    assert {pair.reference for pair in pairs.pairs} == {None} and manifest.left_behind in pairs.notes
    assert {prompt.reference for prompt in read_prompts(str(folder)).prompts} == {None}


def test_paths_of_any_bytes_are_kept_in_json() -> None:
    for path in (Path("/a/café.png"), Path("/a/caf\udce9 #1.png")):
        text = as_text(path)
        assert json.loads(json.dumps(text).encode()) == text and text.encode() and as_path(text) == path
    assert as_path("") is None
