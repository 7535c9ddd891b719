"""The studio: steps as a stream, one turn at a time, cancelling within a step, limits, errors as sentences."""

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.settings import MAX_SEED, OnStep, Settings
from demo import studio as rooms
from demo.studio import Drawing, Refusal, Studio


@pytest.fixture
def studio(model: UnclipModel) -> Studio:
    return Studio(model)


@pytest.fixture
def every_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "PREVIEW_SECONDS", 0.0)


class Watched:
    """The tiny model, but each step waits until it is allowed; counts its steps and who draws at the same time."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self.settings = model.settings
        self.allowed = threading.Semaphore(0)
        self.steps = 0
        self.drawing = 0
        self.most_drawing = 0

    def text_to_image(self, prompts: list[str], seeds: list[int], settings: Settings, on_step: OnStep) -> list:
        def slowly(step: object) -> None:
            assert self.allowed.acquire(timeout=30)
            self.steps += 1
            on_step(step)

        self.drawing += 1
        self.most_drawing = max(self.most_drawing, self.drawing)
        try:
            return self.model.text_to_image(prompts, seeds, settings, slowly)
        finally:
            self.drawing -= 1


class Broken:
    """A model whose every attempt ends with an error."""

    def __init__(self, model: UnclipModel, error: Exception) -> None:
        self.settings = model.settings
        self.error = error

    def text_to_image(self, *_: object) -> list:
        raise self.error


def first(stream: Iterator[Drawing], stage: str) -> Drawing:
    """The stream's first drawing in which the stage has begun."""
    return next(drawing for drawing in stream if {name: done for name, done, _ in drawing.stages}[stage])


def wait_until(true: object) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "waited for 30 seconds"
        time.sleep(0.01)


def test_the_stream_ends_with_the_model_s_pictures(studio: Studio, model: UnclipModel, quick: Settings) -> None:
    drawings = list(studio.text_to_image("  a cat face ", 7, 2, quick))
    assert [drawing.finished for drawing in drawings] == [False] * (len(drawings) - 1) + [True]
    assert drawings[0].stages == (("prior", 0, 3), ("decoder", 0, 4), ("upsampler", 0, 3))
    assert drawings[-1].stages == (("prior", 3, 3), ("decoder", 4, 4), ("upsampler", 3, 3))
    progress = [tuple(done for _, done, _ in drawing.stages) for drawing in drawings]
    assert progress == sorted(progress)
    expected = model.text_to_image(["a cat face"] * 2, [7, 8], quick)
    for seed, ours, theirs in zip((7, 8), drawings[-1].pictures, expected, strict=True):
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        assert images.read_record(ours)["seed"] == seed
        assert images.read_record(ours)["prompt"] == "a cat face"


def test_previews_come_from_the_decoder_on_and_not_too_often(
    model: UnclipModel, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(model)
    monkeypatch.setattr(rooms, "PREVIEW_SECONDS", 1e9)
    stream = Studio(watched).text_to_image("a cat", 7, 2, quick)
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
def test_previews_show_each_later_step(model: UnclipModel, quick: Settings) -> None:
    watched = Watched(model)
    stream = Studio(watched).text_to_image("a cat", 7, 1, quick)
    watched.allowed.release(4)
    small = first(stream, "decoder").pictures
    watched.allowed.release(4)
    large = first(stream, "upsampler").pictures
    assert small[0].size == (16, 16) and large[0].size == (32, 32)
    watched.allowed.release(2)
    assert list(stream)[-1].finished


@pytest.mark.parametrize("stage, steps", [("prior", 2), ("decoder", 5), ("upsampler", 8)])
def test_closing_the_stream_stops_within_a_step(model: UnclipModel, quick: Settings, stage: str, steps: int) -> None:
    watched = Watched(model)
    stream = Studio(watched).text_to_image("a cat", 7, 1, quick)
    watched.allowed.release(steps)
    first(stream, stage)
    wait_until(lambda: watched.steps == steps)
    stream.close()
    watched.allowed.release(100)
    wait_until(lambda: watched.drawing == 0)
    assert watched.steps == steps + 1


def test_one_turn_at_a_time(model: UnclipModel, quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "TICK_SECONDS", 0.05)
    watched = Watched(model)
    studio = Studio(watched)
    early, late = (studio.text_to_image(prompt, 7, 1, quick) for prompt in ("a cat", "a dog"))
    watched.allowed.release(1)
    first(early, "prior")
    waiting = [next(late) for _ in range(5)]
    assert all(drawing.stages[0] == ("prior", 0, 3) for drawing in waiting)
    early.close()
    watched.allowed.release(100)
    result = list(late)[-1]
    assert result.finished and images.read_record(result.pictures[0])["prompt"] == "a dog"
    assert watched.most_drawing == 1


def test_who_leaves_while_waiting_is_never_drawn(model: UnclipModel, quick: Settings) -> None:
    watched = Watched(model)
    studio = Studio(watched)
    early = studio.text_to_image("a cat", 7, 1, quick)
    next(early)
    wait_until(lambda: watched.drawing == 1)
    gone = studio.text_to_image("a dog", 7, 1, quick)
    next(gone)
    gone.close()
    watched.allowed.release(100)
    assert list(early)[-1].finished
    with studio._turn:  # the last visitor's turn has come and gone
        assert watched.steps == 10


def test_a_random_seed_is_in_range_and_told(studio: Studio, quick: Settings) -> None:
    once, again = (list(studio.text_to_image("a cat", None, 2, quick))[-1] for _ in range(2))
    assert once.seeds != again.seeds
    assert 0 <= once.seeds[0] < once.seeds[1] == once.seeds[0] + 1 <= MAX_SEED
    assert [images.read_record(picture)["seed"] for picture in once.pictures] == list(once.seeds)


@pytest.mark.parametrize(
    "prompt, seed, count, sentence",
    [
        ("", 7, 1, "The prompt is empty"),
        (" \n\t", 7, 1, "The prompt is empty"),
        ("x" * 10_000, 7, 1, "at most 1,000 are allowed"),
        (None, 7, 1, "A prompt must be text"),
        ("a cat", -1, 1, "A seed must be a whole number"),
        ("a cat", MAX_SEED + 1, 1, "A seed must be a whole number"),
        ("a cat", 1.5, 1, "A seed must be a whole number"),
        ("a cat", MAX_SEED, 2, f"start at {MAX_SEED - 1} at most"),
        ("a cat", 7, 0, "Ask for 1 to 8 pictures, not 0"),
        ("a cat", 7, 9, "Ask for 1 to 8 pictures, not 9"),
        ("a cat", 7, True, "Ask for 1 to 8 pictures"),
    ],
)
def test_requests_out_of_range_are_refused(
    studio: Studio, quick: Settings, prompt: str, seed: int, count: int, sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        next(studio.text_to_image(prompt, seed, count, quick))


def test_the_last_seeds_are_accepted(studio: Studio, quick: Settings) -> None:
    assert next(studio.text_to_image("a cat", MAX_SEED - 1, 2, quick)).seeds == (MAX_SEED - 1, MAX_SEED)


def test_settings_keep_the_checkpoint_s_own_schedulers(studio: Studio, quick: Settings) -> None:
    chosen = studio.settings((5, 6, 7), 1.5, 2.5)
    assert chosen == Settings(
        prior=dataclasses.replace(quick.prior, num_inference_steps=5, guidance_scale=1.5),
        decoder=dataclasses.replace(quick.decoder, num_inference_steps=6, guidance_scale=2.5),
        upsampler=dataclasses.replace(quick.upsampler, num_inference_steps=7),
    )


@pytest.mark.parametrize(
    "steps, prior_guidance, decoder_guidance, sentence",
    [
        ((0, 5, 5), 1.0, 1.0, "The prior's num_inference_steps must be"),
        ((5, 101, 5), 1.0, 1.0, "The decoder takes at most 100 steps"),
        ((5, 5, None), 1.0, 1.0, "The upsampler's num_inference_steps must be"),
        ((5, 5, 5), 21.0, 1.0, "The prior takes at most a guidance of 20"),
        ((5, 5, 5), 1.0, float("nan"), "The decoder's guidance_scale must be"),
        ((5, 5, 5), 1.0, "4", "The decoder's guidance_scale must be"),
    ],
)
def test_settings_out_of_range_are_refused(
    studio: Studio, steps: tuple, prior_guidance: float, decoder_guidance: float, sentence: str
) -> None:
    with pytest.raises(Refusal, match=sentence):
        studio.settings(steps, prior_guidance, decoder_guidance)


@pytest.mark.parametrize(
    "error, sentence",
    [
        (ValueError("This checkpoint cannot do that."), "This checkpoint cannot do that."),
        (MemoryError(), "not enough memory for so many pictures"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory for so many pictures"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "Something went wrong while drawing"),
    ],
)
def test_errors_while_drawing_become_sentences_and_free_the_turn(
    model: UnclipModel,
    quick: Settings,
    error: Exception,
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    studio = Studio(Broken(model, error))
    with caplog.at_level(logging.ERROR), pytest.raises(Refusal, match=sentence):
        list(studio.text_to_image("a cat", 7, 1, quick))
    assert ("shapes" in caplog.text) == isinstance(error, RuntimeError) or "memory" in str(error)
    studio.model = model
    assert list(studio.text_to_image("a cat", 7, 1, quick))[-1].finished


def test_a_missing_checkpoint_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Studio.open("/nowhere/at/all")
