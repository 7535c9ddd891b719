"""The service: steps as a stream, a fair queue, cancelling within a step, limits, uploads, errors as sentences."""

import base64
import dataclasses
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.requests import ANY_PICTURE
from dalle2.serving import service as rooms
from dalle2.serving import uploads
from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import words
from dalle2.serving.pace import Job, Pace, Turn
from dalle2.serving.queue import Queue
from dalle2.serving.refusal import Busy, Refusal
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_own, open_picture, read_record
from dalle2.settings import MAX_SEED, OnStep, Settings, Step
from dalle2.tasks.text_diff import TextDiff
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.variations import Variations


@pytest.fixture
def service(model: UnclipModel) -> Service:
    return Service(model)


@pytest.fixture
def every_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "PREVIEW_SECONDS", 0.0)


class Watched:
    """The tiny model, but each step waits until it is allowed; counts its steps and who draws at the same time."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self.checkpoint = "watched"
        self.allowed = threading.Semaphore(0)
        self.steps = 0
        self.prompts: list[str] = []
        self.drawing = 0
        self.most_drawing = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed_prompt(self, prompts: list[str], seeds: list, settings: Settings, on_step: OnStep) -> torch.Tensor:
        self.prompts += prompts
        return self._watched(lambda slowly: self.model.embed_prompt(prompts, seeds, settings, slowly), on_step)

    def decode_pixels(self, embeddings: torch.Tensor, *asked: object) -> torch.Tensor:
        *before, on_step, noise = asked
        return self._watched(lambda slowly: self.model.decode_pixels(embeddings, *before, slowly, noise), on_step)

    def _watched(self, operation: Callable[[OnStep], torch.Tensor], on_step: OnStep) -> torch.Tensor:
        def slowly(step: object) -> None:
            assert self.allowed.acquire(timeout=30)
            self.steps += 1
            on_step(step)

        self.drawing += 1
        self.most_drawing = max(self.most_drawing, self.drawing)
        try:
            return operation(slowly)
        finally:
            self.drawing -= 1


class Broken:
    """A model whose every attempt ends with an error."""

    def __init__(self, model: UnclipModel, error: Exception) -> None:
        self.model = model
        self.checkpoint = "broken"
        self.error = error

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed_prompt(self, *_: object) -> torch.Tensor:
        raise self.error


def text_to_image(service: Service, prompt: str, seed: int | None, count: int) -> Iterator[Drawing]:
    """As the page's first tab draws."""
    return service.draw(TextToImage([prompt.strip()]), seed, count)


def first(stream: Iterator[Drawing], stage: str) -> Drawing:
    """The stream's first drawing in which the stage has begun."""
    return next(drawing for drawing in stream if {name: done for name, done, _ in drawing.stages}[stage])


def wait_until(true: object) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "waited for 30 seconds"
        time.sleep(0.01)


def test_the_stream_ends_with_the_model_s_pictures(service: Service, model: UnclipModel, quick: Settings) -> None:
    drawings = list(text_to_image(service, "  a cat face ", 7, 2))
    assert [drawing.finished for drawing in drawings] == [False] * (len(drawings) - 1) + [True]
    assert drawings[0].stages == (("prior", 0, 3), ("decoder", 0, 4), ("upsampler", 0, 3))
    assert drawings[-1].stages == (("prior", 3, 3), ("decoder", 4, 4), ("upsampler", 3, 3))
    progress = [tuple(done for _, done, _ in drawing.stages) for drawing in drawings]
    assert progress == sorted(progress)
    expected = model.text_to_image(["a cat face"] * 2, seeds=[7, 8], settings=quick)
    for seed, ours, theirs in zip((7, 8), drawings[-1].pictures, expected, strict=True):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        assert images.read_record(ours)["seed"] == seed
        assert images.read_record(ours)["prompt"] == "a cat face"


def test_previews_come_from_the_decoder_on_and_not_too_often(
    model: UnclipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(model)
    monkeypatch.setattr(rooms, "PREVIEW_SECONDS", 1e9)
    stream = text_to_image(Service(watched), "a cat", 7, 2)
    watched.allowed.release(3)
    assert first(stream, "prior").pictures == ()
    watched.allowed.release(1)
    preview = first(stream, "decoder").pictures
    assert [picture.size for picture in preview] == [(16, 16)] * 2
    watched.allowed.release(6)
    *between, last = stream
    assert all(drawing.pictures is preview for drawing in between)
    assert [picture.size for picture in last.pictures] == [(32, 32)] * 2


@pytest.mark.usefixtures("every_preview")
def test_previews_show_each_later_step(model: UnclipModel) -> None:
    watched = Watched(model)
    stream = text_to_image(Service(watched), "a cat", 7, 1)
    watched.allowed.release(4)
    small = first(stream, "decoder").pictures
    watched.allowed.release(4)
    large = first(stream, "upsampler").pictures
    assert small[0].size == (16, 16) and large[0].size == (32, 32)
    watched.allowed.release(2)
    assert list(stream)[-1].finished


@pytest.mark.parametrize("stage, steps", [("prior", 2), ("decoder", 5), ("upsampler", 8)])
def test_closing_the_stream_stops_within_a_step(model: UnclipModel, stage: str, steps: int) -> None:
    watched = Watched(model)
    stream = text_to_image(Service(watched), "a cat", 7, 1)
    watched.allowed.release(steps)
    first(stream, stage)
    wait_until(lambda: watched.steps == steps)
    stream.close()
    watched.allowed.release(100)
    wait_until(lambda: watched.drawing == 0)
    assert watched.steps == steps + 1


def test_one_turn_at_a_time(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "TICK_SECONDS", 0.05)
    watched = Watched(model)
    service = Service(watched)
    early, late = (text_to_image(service, prompt, 7, 1) for prompt in ("a cat", "a dog"))
    watched.allowed.release(1)
    first(early, "prior")
    waiting = [next(late) for _ in range(5)]
    assert all(drawing.ahead == 1 and drawing.stages[0] == ("prior", 0, 3) for drawing in waiting)
    early.close()
    watched.allowed.release(100)
    *_, result = late
    assert result.finished and images.read_record(result.pictures[0])["prompt"] == "a dog"
    assert watched.most_drawing == 1


def test_who_leaves_while_waiting_is_never_drawn(model: UnclipModel) -> None:
    watched = Watched(model)
    service = Service(watched)
    early, gone, late = (text_to_image(service, prompt, 7, 1) for prompt in ("a cat", "a dog", "a face"))
    next(early)
    wait_until(lambda: watched.drawing == 1)
    assert [next(gone).ahead, next(late).ahead] == [1, 2]
    gone.close()
    watched.allowed.release(100)
    assert list(early)[-1].finished
    assert images.read_record(list(late)[-1].pictures[0])["prompt"] == "a face"
    assert watched.prompts == ["a cat", "a face"]


def test_the_line_is_bounded_and_says_so(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "WAITING_VISITORS", 1)
    watched = Watched(model)
    service = Service(watched)
    early, second, third = (text_to_image(service, "a cat", 7, 1) for _ in range(3))
    next(early)
    wait_until(lambda: watched.drawing == 1)
    assert next(second).ahead == 1
    with pytest.raises(Refusal, match="Many visitors are waiting already"):
        next(third)
    second.close()
    assert next(text_to_image(service, "a cat", 7, 1)).ahead == 1
    early.close()
    watched.allowed.release(100)


def test_who_is_turned_away_costs_no_understanding(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(model)
    service = Service(watched, waiting=0)
    drawn = text_to_image(service, "a cat", 7, 1)
    next(drawn)
    monkeypatch.setattr(TextToImage, "understood", lambda *_: pytest.fail("A prompt was looked at."))
    with pytest.raises(Busy, match="Many visitors are waiting already"):
        service.understood(TextToImage(["a cat"]))
    drawn.close()
    watched.allowed.release(100)


def test_a_first_time_is_forgotten_at_the_second() -> None:
    pace, job = Pace(), Job("any", (("decoder", 2),), 1)
    told = []
    for seconds in (5.0, 1.0, 2.0):
        pace.learn(job, "decoder", seconds)
        told.append(pace.seconds(job, {}))
    assert told == [10.0, 2.0, 3.0]  # the first alone, the second alone, then both halves


def test_the_time_left_comes_from_experience(model: UnclipModel) -> None:
    service = Service(model)
    *_, told = text_to_image(service, "a cat", 7, 1)
    assert told.seconds_left == 0
    estimates = [drawing.seconds_left for drawing in text_to_image(service, "a cat", 7, 1)]
    assert estimates[-1] == 0 and all(estimate is None or estimate >= 0 for estimate in estimates)


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(turn: Turn, clock: Clock, pictures: int, slow: float = 1.0, until: int | None = None) -> None:
    """Do a job's steps: each takes 0.3 s and 0.2 s more for each picture, and a second is lost at the end."""
    turn.begin()
    steps = [(stage, index + 1) for stage, total in turn.job.stages for index in range(total)]
    for stage, index in steps[:until]:
        clock.now += slow * (0.3 + 0.2 * pictures)
        turn.step(stage, index)
    if until is None:
        clock.now += slow
        turn.end()


def seconds(pictures: int, steps: int = 9) -> float:
    return steps * (0.3 + 0.2 * pictures) + 1


def test_the_time_left_is_right_within_a_third_and_includes_one_s_own_drawing() -> None:
    clock, queue = Clock(), Queue(5)
    pace = Pace(clock)
    stages = (("prior", 4), ("decoder", 5))

    def turn(pictures: int, kind: str = "free") -> Turn:
        return Turn(Job(kind, stages, pictures), pace)

    assert turn(4).left() is None  # nobody knows yet
    run(turn(1), clock, 1)
    run(turn(8), clock, 8)
    for pictures in (1, 2, 4, 8):
        assert turn(pictures).left() == pytest.approx(seconds(pictures), rel=0.3)
    early, late = turn(8), turn(8)
    queue.join(early)
    place = queue.join(late)
    assert place.ahead() == 1
    assert place.seconds_left() == pytest.approx(2 * seconds(8), rel=0.1)
    run(early, clock, 8, until=5)
    before = place.seconds_left()
    assert before == pytest.approx(seconds(8, 4) + seconds(8), rel=0.15)
    clock.now += 1.0  # it moves between the steps as well
    assert place.seconds_left() == pytest.approx(before - 1.0)


def test_a_slow_turn_is_told_to_be_slow_and_kinds_are_told_apart() -> None:
    clock = Clock()
    pace, stages = Pace(clock), (("prior", 4), ("decoder", 5))
    run(Turn(Job("free", stages, 4), pace), clock, 4)
    slow = Turn(Job("free", stages, 4), pace)
    run(slow, clock, 4, slow=3, until=6)
    assert slow.left() == pytest.approx(3 * seconds(4, 3), rel=0.3)
    run(Turn(Job("restyled", stages, 4), pace), clock, 4, slow=6)
    assert Turn(Job("restyled", stages, 4), pace).left() == pytest.approx(6 * seconds(4), rel=0.1)
    assert Turn(Job("free", stages, 4), pace).left() == pytest.approx(seconds(4), rel=0.1)
    without = Turn(Job("captions", (), 1), pace)
    assert without.left() is None
    without.begin()
    clock.now += 8
    without.end()
    assert Turn(Job("captions", (), 1), pace).left() == pytest.approx(8)


def restyle(turn: Turn, clock: Clock, pictures: int) -> list[tuple[float, float]]:
    """Run a text diff's steps in the order in which it reports them -> (seconds passed, seconds left) after each."""
    begun, told = clock.now, []
    steps = [("inversion", 50, 0.1), ("prior", 20 * pictures, 0.02)]  # at half the strength, back and forth again
    steps += [("decoder", 50, 0.05), ("upsampler", 3, 0.4)] * pictures
    done: dict[str, int] = {}
    for stage, count, seconds in steps:
        turn.begin()  # as before each call of a network
        for _ in range(count):
            clock.now += seconds
            done[stage] = done.get(stage, 0) + 1
            turn.step(stage, done[stage])
            told.append((clock.now - begun, turn.left()))
    turn.end()
    return told


def test_the_time_left_of_a_restyling_is_right_within_a_third(quick: Settings) -> None:
    settings = quick.for_text_diff()
    clock = Clock()
    pace = Pace(clock)
    for stage, seconds in (("prior", 0.02), ("decoder", 0.06), ("upsampler", 0.4)):  # as of one picture from a prompt
        pace.learn(Job("free", (), 1), stage, seconds)

    def turn(pictures: int) -> Turn:
        restyling = TextDiff(ANY_PICTURE, "a dog", strengths=[0.5] * pictures)
        return Turn(Job("restyling", tuple(restyling.steps(settings).items()), 1), pace)

    first = turn(6).left()  # known by the other tasks' stages before there was any
    told = restyle(turn(6), clock, 6)
    assert first == pytest.approx(told[-1][0], rel=0.3)
    for pictures in (6, 2, 12):
        asked = turn(pictures)
        before = asked.left()
        told = restyle(asked, clock, pictures)
        whole = told[-1][0]
        assert before == pytest.approx(whole, rel=0.3)
        assert all(left == pytest.approx(whole - passed, rel=0.3, abs=1.5) for passed, left in told)


@pytest.mark.parametrize("way", ["prior", "slerp"])
def test_a_restyling_takes_the_steps_that_its_estimate_counts(model: UnclipModel, quick: Settings, way: str) -> None:
    settings, totals, last = quick.for_text_diff(4).changed({"prior": {"num_inference_steps": 5}}), {}, {}
    picture = Image.new("RGB", (16, 16), "teal")

    def on_step(step: Step) -> None:
        totals[step.stage], last[step.stage] = step.total, step.index

    request = TextDiff(picture, "a dog", strengths=[0.0, 0.5, 1.0], way=way)
    request.draw(model, [1], settings, on_step)
    assert request.steps(settings) == totals == last


def test_a_visitor_in_the_queue_is_told_when_the_own_pictures_come(model: UnclipModel) -> None:
    watched = Watched(model)
    service = Service(watched)
    watched.allowed.release(10)
    list(text_to_image(service, "a cat", 7, 1))
    service._pace.clock = lambda: 0.0  # it stands still, however long the first one is held
    early, late = (text_to_image(service, "a cat", 7, 1) for _ in range(2))
    next(early)
    wait_until(lambda: watched.drawing == 1)
    (begun := next(early)), (told := next(late))
    assert told.ahead == 1 and told.seconds_left > begun.seconds_left * 1.5 > 0
    early.close()
    late.close()
    watched.allowed.release(100)


def test_a_random_seed_is_in_range_and_told(service: Service) -> None:
    once, again = (list(text_to_image(service, "a cat", None, 2))[-1] for _ in range(2))
    assert once.seeds != again.seeds
    assert 0 <= once.seeds[0] < once.seeds[1] == once.seeds[0] + 1 <= MAX_SEED
    assert [images.read_record(picture)["seed"] for picture in once.pictures] == list(once.seeds)


@pytest.mark.parametrize(
    "prompt, sentence",
    [
        ("", "The prompt is empty"),
        (" \n\t", "The prompt is empty"),
        ("x" * 10_000, "at most 1,000 are allowed"),
        (None, "A prompt must be text"),
    ],
)
def test_prompts_that_cannot_be_drawn_are_refused(prompt: str, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        words(prompt)


def test_a_prompt_may_be_left_out_where_it_is_not_needed() -> None:
    assert words(" a cat ") == "a cat"
    assert words("  ", needed=False) == words(None, needed=False) == ""
    with pytest.raises(Refusal, match="at most"):
        words("x" * 10_000, needed=False)


@pytest.mark.parametrize(
    "seed, count, sentence",
    [
        (-1, 1, "A seed must be a whole number"),
        (MAX_SEED + 1, 1, "A seed must be a whole number"),
        (1.5, 1, "A seed must be a whole number"),
        (MAX_SEED, 2, f"start at {MAX_SEED - 1} at most"),
        (7, 0, "Ask for 1 to 8 pictures, not 0"),
        (7, 9, "Ask for 1 to 8 pictures, not 9"),
        (7, True, "Ask for 1 to 8 pictures"),
    ],
)
def test_requests_out_of_range_are_refused(service: Service, seed: int, count: int, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        next(text_to_image(service, "a cat", seed, count))


def test_the_last_seeds_are_accepted(service: Service) -> None:
    assert next(text_to_image(service, "a cat", MAX_SEED - 1, 2)).seeds == (MAX_SEED - 1, MAX_SEED)


def test_settings_change_only_what_is_named(service: Service, quick: Settings) -> None:
    chosen = service.settings({"decoder": {"num_inference_steps": 6, "scheduler": "ddim"}})
    decoder = dataclasses.replace(quick.decoder, num_inference_steps=6, scheduler="ddim")
    assert chosen == dataclasses.replace(quick, decoder=decoder)
    assert service.settings() == service.settings({}) == service.settings(quick.to_dict()) == quick


def test_presets_change_only_the_steps(service: Service, quick: Settings) -> None:
    for preset, steps in (("fast", [2, 2, 2]), ("default", [3, 4, 3]), ("best", [8, 10, 8])):
        chosen = service.settings(preset).to_dict()
        assert [chosen[stage].pop("num_inference_steps") for stage in chosen] == steps
        own = quick.to_dict()
        assert chosen == {stage: {k: v for k, v in own[stage].items() if k != "num_inference_steps"} for stage in own}


def test_a_draft_takes_four_steps_where_the_task_can_do_with_them(service: Service, quick: Settings) -> None:
    assert service.settings("draft") == quick.for_draft()
    inverting = service.settings("draft", like=Variations(ANY_PICTURE, eta=0.5))
    assert inverting.decoder.invertible and inverting.decoder.num_inference_steps > 4


@pytest.mark.parametrize(
    "chosen, sentence",
    [
        ("better", "choose one of draft, fast, default, best"),
        (3, "must be a table"),
        ({"prior": 3}, "must be a table"),
        ({"painter": {}}, "has no 'painter'"),
        ({"prior": {"steps": 3}}, "has no 'steps'"),
        ({"prior": {"num_inference_steps": 0}}, "num_inference_steps must be"),
        ({"prior": {"num_inference_steps": None}}, "num_inference_steps must be"),
        ({"decoder": {"num_inference_steps": 101}}, "The decoder takes at most 100 steps"),
        ({"prior": {"guidance_scale": 21.0}}, "The prior takes at most a guidance of 20"),
        ({"decoder": {"guidance_scale": float("nan")}}, "guidance_scale must be"),
        ({"decoder": {"guidance_scale": "4"}}, "guidance_scale must be"),
        ({"upsampler": {"guidance_scale": 2.0}}, "never guided"),
        ({"decoder": {"scheduler": "euler"}}, "scheduler must be one of"),
        ({"decoder": {"guidance_interval": "01"}}, "guidance_interval must be"),
    ],
)
def test_settings_out_of_range_are_refused(service: Service, chosen: object, sentence: str) -> None:
    with pytest.raises(Refusal, match=sentence):
        service.settings(chosen)


def test_several_checkpoints_share_the_turn(model: UnclipModel) -> None:
    watched = Watched(model)
    service = Service(model, watched)
    assert service.checkpoints == (model.checkpoint, "watched")
    assert service.model() is model and service.model("watched") is watched

    request = TextToImage(["a cat"])
    slow = service.draw(request, 7, 1, checkpoint="watched")
    next(slow)
    wait_until(lambda: watched.drawing == 1)
    assert next(service.draw(request, 7, 1)).ahead == 1
    slow.close()
    watched.allowed.release(100)
    with pytest.raises(Refusal, match="no checkpoint 'karlo' here"):
        next(service.draw(request, 7, 1, checkpoint="karlo"))


def test_an_opened_checkpoint_is_known_by_its_folder_s_name(tiny_checkpoint: Path) -> None:
    service = Service.open(str(tiny_checkpoint))
    assert service.checkpoints == (tiny_checkpoint.name,)
    *_, drawing = text_to_image(service, "a cat", 7, 1)
    assert images.read_record(drawing.pictures[0])["checkpoint"] == tiny_checkpoint.name
    assert str(tiny_checkpoint.parent) not in drawing.pictures[0].info["parameters"]
    with pytest.raises(ValueError, match="same name"):
        Service.open(str(tiny_checkpoint), f"{tiny_checkpoint}/../{tiny_checkpoint.name}")


def test_a_card_is_read_without_its_front_matter(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "carded"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# My model\n", encoding="utf-8")
    (folder / "LICENCES.md").write_text("Theirs.\n", encoding="utf-8")
    assert Service.open(str(folder)).card("carded").split() == ["#", "My", "model", "Theirs."]
    assert Service.open(str(tiny_checkpoint)).card(tiny_checkpoint.name) == ""


def test_own_pictures_lose_their_metadata_and_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera"
    Image.new("RGB", (8, 4), "red").save(tmp_path / "photo.jpg", exif=exif)
    picture = open_picture(str(tmp_path / "photo.jpg"))
    assert (picture.size, picture.mode, picture.info) == ((4, 8), "RGB", {})
    assert not picture.getexif()


def test_pictures_that_cannot_be_used_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words_file = tmp_path / "words.png"
    words_file.write_text("not a picture")
    large = tmp_path / "large.png"
    Image.new("1", (7000, 7000)).save(large)
    for path, sentence in [
        (None, "There is no picture yet"),
        (str(words_file), "This is not a picture"),
        (str(large), "at most 40,000,000 are allowed"),
        (str(tmp_path / "gone.png"), "choose it again"),
    ]:
        with pytest.raises(Refusal, match=sentence) as refusal:
            open_picture(path)
        assert str(tmp_path) not in str(refusal.value)
        if path and Path(path).exists():
            with pytest.raises(Refusal, match=sentence):
                open_picture(Path(path).read_bytes())
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 5)
    for upload in (str(words_file), words_file.read_bytes()):
        with pytest.raises(Refusal, match="larger than"):
            open_picture(upload)


def test_a_record_is_read_or_its_lack_told(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4))
    images.write_record(picture, {"prompt": "a cat"})
    cat = images.save(picture, tmp_path / "cat.png")
    for upload in (str(cat), cat.read_bytes()):
        assert read_record(upload) == images.read_record(open_own(upload)) == {"prompt": "a cat"}
    plain = images.save(Image.new("RGB", (4, 4)), tmp_path / "plain.png")
    (tmp_path / "words.png").write_text("not a picture")
    for file in (plain, tmp_path / "words.png", tmp_path / "gone.png"):
        with pytest.raises(Refusal) as refusal:
            read_record(str(file))
        assert str(tmp_path) not in str(refusal.value)
    with pytest.raises(Refusal, match="This file is not a PNG or SVG picture"):
        read_record(b"not a picture")


@pytest.mark.parametrize(
    "error, sentence",
    [
        (ValueError("a library's, of /secret/folder"), "^Something went wrong while drawing, and the server's log"),
        (Refusal("Ask for less."), "Ask for less."),
        (MemoryError(), "not enough memory for so many pictures"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory for so many pictures"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "Something went wrong while drawing"),
    ],
)
def test_errors_while_drawing_become_sentences_and_free_the_turn(
    model: UnclipModel, error: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(Broken(model, error), model)
    with caplog.at_level(logging.ERROR), pytest.raises(Refusal, match=sentence):
        list(text_to_image(service, "a cat", 7, 1))
    assert ("shapes" in caplog.text) == isinstance(error, RuntimeError) or "memory" in str(error)
    well = service.draw(TextToImage(["a cat"]), 7, 1, checkpoint=model.checkpoint)
    assert list(well)[-1].finished


def test_a_missing_checkpoint_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Service.open("/nowhere/at/all")


WITHOUT_A_PAGE = """
import base64, pkgutil, sys
from importlib import import_module

for name in ("gradio", "gradio_client", "starlette", "fastapi"):
    sys.modules[name] = None  # as where it is not installed
from dalle2 import serving

for room in pkgutil.iter_modules(serving.__path__, "dalle2.serving."):  # below `api` is what needs FastAPI
    import_module(room.name)
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_picture
from dalle2.tasks.variations import Variations

picture = open_picture(base64.b64decode(sys.argv[2]))
service = Service.open(sys.argv[1])
*_, drawing = service.draw(Variations(picture), 7, 2, "fast")
print(len(drawing.pictures), drawing.finished)
"""


def test_it_draws_where_gradio_is_not_installed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    content = images.save(Image.new("RGB", (40, 30), "teal"), tmp_path / "own.png").read_bytes()
    command = [sys.executable, "-c", WITHOUT_A_PAGE, str(tiny_checkpoint), base64.b64encode(content).decode()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "True"]


def test_a_stream_tells_the_newest_after_a_rest_and_the_end_at_once() -> None:
    told, begun = Drawing((7,), (("decoder", 0, 4),)), time.monotonic()
    one, two, end = (dataclasses.replace(told, stages=(("decoder", done, 4),)) for done in (1, 2, 4))
    news = rooms.LatestDrawing()
    assert news.newest(told, rest=0.0, tick=0.05) is told and time.monotonic() >= begun + 0.05
    news.put(one)
    news.put(two)
    assert news.newest(told, rest=0.0, tick=60.0) is two
    news.put(one)
    threading.Timer(0.05, news.put, [two]).start()
    assert news.newest(told, rest=1.0, tick=60.0) is two
    news.put(one)
    news.put(dataclasses.replace(end, finished=True))
    news.put(Refusal("Too late."))
    begun = time.monotonic()
    assert news.newest(told, rest=60.0, tick=60.0).finished and time.monotonic() < begun + 30
    with pytest.raises(Refusal, match="Too late"):
        news.newest(told, rest=60.0, tick=60.0)


def test_a_crowd_is_told_less_often_each_and_no_more_in_all(service: Service) -> None:
    turn = Turn(Job("any", (), 1), Pace())
    assert service._rest() == 0 and service._tick() == rooms.TICK_SECONDS
    for _ in range(20):
        service.queue.join(turn)
    assert 20 / service._tick() <= rooms.EVENTS_A_SECOND * 20 / 19 and service._rest() < 10
