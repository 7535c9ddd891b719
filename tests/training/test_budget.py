"""Training by the clock: how time is shared out, what a stage makes of it, and that a kill leaves everything whole."""

import re
import signal
import subprocess
import time
from pathlib import Path

import forked
import psutil
import pytest
import torch
from test_training import RECIPE, ROOT, command, completed, environment, source  # noqa: F401 (a fixture)

from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.sources import load_pictures
from dalle2.training.batches import drawn_ahead
from dalle2.training.pace import TimePace, scheduled
from dalle2.training.parallel import Parallel
from dalle2.training.recipe import AutoregressivePriorRecipe, Fit, LinearPriorRecipe, Recipe, TextRecipe, read_recipe
from dalle2.training.schedule import Schedule, check_minutes, needs

RECIPES = ROOT / "dalle2" / "training" / "recipes"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(text=TextRecipe(), prior_linear=LinearPriorRecipe(), prior_autoregressive=AutoregressivePriorRecipe())


def test_stages_need_the_towers_and_upsamplers_need_nothing(recipe: Recipe) -> None:
    found = needs(recipe)
    assert found["clip"] == found["upsampler"] == ()
    assert found["text"] == ("clip",)
    assert {found[name] for name in ("prior", "prior_linear", "prior_autoregressive", "decoder")} == {("text",)}


def test_the_longest_chain_has_all_the_time(recipe: Recipe, tmp_path: Path) -> None:
    schedule = Schedule.of(recipe, tmp_path, 100.0, 500.0)
    now = 100.0
    for stage in ("clip", "text", "decoder"):
        now = schedule.until(stage, now=now)
    assert now == pytest.approx(500.0)
    assert schedule.until("upsampler", now=100.0) <= 500.0
    assert 100.0 < schedule.until("upsampler", "super_res_first", now=100.0) < schedule.until("upsampler", now=100.0)


def test_a_late_stage_takes_its_part_of_what_is_left(recipe: Recipe, tmp_path: Path) -> None:
    schedule = Schedule.of(recipe, tmp_path, 0.0, 100.0)
    late = schedule.until("clip", now=40.0)
    assert late - 40 == pytest.approx(60 * recipe.clip.share / (recipe.clip.share + 0.15 + recipe.decoder.share))
    assert schedule.until("decoder", now=99.0) == pytest.approx(100.0)
    assert schedule.until("decoder", now=101.0) == 101.0


def test_what_is_finished_or_begun_leaves_its_time_to_the_others(recipe: Recipe, tmp_path: Path) -> None:
    decoder = recipe.decoder.model_copy(update={"share": 2.0})
    recipe = recipe.model_copy(update={"decoder": decoder})
    (tmp_path / "clip").mkdir()
    (tmp_path / "snapshots").mkdir()
    torch.save({"step": 3, "progress": 0.5}, tmp_path / "snapshots" / "decoder.pt")
    schedule = Schedule.of(recipe, tmp_path, 0.0, 100.0)
    text = schedule.until("text", now=0.0)
    assert text == pytest.approx(100 * recipe.text.share / (recipe.text.share + 2.0 / 2))
    assert schedule.until("decoder", now=text) == pytest.approx(100.0)


@pytest.mark.parametrize("minutes", [0, -3, 3.9, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_refused_with_the_least_that_works(minutes: float) -> None:
    recipe = read_recipe(RECIPES / "emoji.toml")
    with pytest.raises(ValueError, match=r"needs at least 4 "):
        check_minutes(minutes, recipe)
    check_minutes(4, recipe)


def test_the_learning_rate_runs_over_the_time_that_there_is() -> None:
    clock, plan, rates = Clock(), Fit(steps=10, learning_rate=1.0, warmup=0.1), []
    pace = TimePace(plan, 100.0, clock=clock)
    clock.now = 30.0  # the first step compiles
    pace.passed("step", 30.0)
    done = 1
    while not pace.over(done):
        rates.append(pace.learning_rate(done))
        clock.now += 0.5
        pace.passed("step", 0.5)
        done += 1
    assert done > 100, "more steps than the plan has"
    assert 97 < clock.now < 100
    assert rates[0] == 0
    assert max(rates) > 0.99
    assert rates[-1] < 0.01
    assert rates.index(max(rates)) == pytest.approx(0.1 * len(rates), abs=3)


def test_a_resumed_stage_goes_on_in_its_schedule() -> None:
    clock, plan = Clock(), Fit(learning_rate=1.0, warmup=0.1)
    pace = TimePace(plan, 100.0, progress=0.6, clock=clock)
    pace.passed("step", 1.0)
    assert pace.learning_rate(0) == pytest.approx(scheduled(plan, 0.6))
    clock.now = 50.0
    assert 0.79 < pace.progress(1) < 0.82
    assert TimePace(plan, 100.0, progress=1.0, clock=clock).over(0), "it was only not written"


def test_the_end_leaves_time_for_what_comes_after_the_last_step() -> None:
    clock = Clock()
    pace = TimePace(Fit(), 100.0, clock=clock)
    for what, seconds in (("step", 1.0), ("evaluation", 8.0), ("snapshot", 2.0), ("step", 1.0)):
        pace.passed(what, seconds)
    clock.now = 80.0
    assert not pace.over(1)
    clock.now = 90.0
    assert pace.over(1)


def test_other_processes_draw_the_same_batches(source: Path) -> None:  # noqa: F811
    pictures = load_pictures(str(source), "train", 16)
    steps = [Randomness(3, "clip", step, 4) for step in range(5)]
    for (randomness, batch), step in zip(drawn_ahead(pictures, steps, 1, 1), steps, strict=True):
        own = pictures.batch(step)
        assert randomness is step
        assert batch.captions == own.captions
        assert torch.equal(batch.pictures, own.pictures)
        assert torch.equal(batch.facts, own.facts)


def test_pictures_are_shared_as_they_are(source: Path, tmp_path: Path) -> None:  # noqa: F811
    pictures = load_pictures(str(source), "train", 32)
    pictures.write(tmp_path / "train")
    again = PicturesInMemory.read(tmp_path / "train")
    step = Randomness(0, "clip", 0, 8)
    assert torch.equal(again.batch(step).pictures, pictures.batch(step).pictures)
    assert again.batch(step).captions == pictures.batch(step).captions
    again.resize(16)
    small = load_pictures(str(source), "train", 16)
    assert (again.rgba.int() - small.rgba.int()).abs().max() <= 1


def test_a_continued_recipe_keeps_the_towers(recipe: Recipe) -> None:
    further = recipe.continued("old")
    assert further.clip.steps == further.text.steps == 0
    assert {plan.start_from for plan in (further.clip, further.text, further.prior, further.decoder)} == {"old"}
    assert further.decoder.steps == recipe.decoder.steps
    assert sum(Schedule.of(further, Path("none"), 0.0, 60.0).left["clip"].values()) == 0


def test_a_finished_stage_is_done_although_its_process_lingers(recipe: Recipe, tmp_path: Path) -> None:
    class Lingering:
        """A process that has written its stage, and takes its time to end."""

        def listen(self) -> None:
            return None

        def stop(self) -> None:
            pass

    run = Parallel(recipe, tmp_path, 0.001, time.monotonic() - 60)
    run._attempts["prior"] = [Lingering()]
    (tmp_path / "prior").mkdir()
    run._wait(["prior"])
    assert run._failed == {}


def test_a_killed_run_by_the_clock_leaves_no_process_and_goes_on(source: Path, tmp_path: Path) -> None:  # noqa: F811
    file, out = tmp_path / "tiny.toml", tmp_path / "run"
    file.write_text(RECIPE.format(source=source).replace("seed = 3", "seed = 3\nleast_minutes = 0.1"))
    arguments = (file, "--out", out, "--stages", "clip,upsampler", "--minutes")
    process = forked.Popen(
        command(*arguments, 60), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    snapshots = [out / "snapshots" / f"{name}.pt" for name in ("clip", "super_res_first")]
    deadline = time.monotonic() + 400
    while not all(file.exists() for file in snapshots) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children, "the stages are processes of their own"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(children, timeout=30)[1] == [], "nobody trains on without the run"
    for snapshot in snapshots:
        assert torch.load(snapshot, weights_only=True)["step"] > 0
    minutes, result = 0.3, None
    while result is None or "the least that works here" in result.stderr:  # a busy machine says what it needs
        result = completed(command(*arguments, minutes, "--resume"))
        if found := re.search(r"about --minutes (\d+(?:\.\d+)?)", result.stderr):
            minutes = 1.5 * float(found.group(1))
            if minutes > 3:
                pytest.skip("so busy a machine that loading the libraries takes minutes")
    assert result.returncode == 0, result.stderr[-2000:]
    assert (out / "clip" / "text_encoder").exists()
    assert (out / "upsampler" / "super_res_last").exists()
    assert not list(out.rglob("*.partial")) and not (out / "pictures").exists()
    seconds, budget = map(int, re.search(r"(\d+) of (\d+) seconds", result.stdout).groups())
    assert seconds <= budget
