"""Visitors at a running page: who disconnects frees the turn within a step, and the load benchmark's judgement."""

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Browser
from visitor import button, launched, needs_chromium, visiting
from watched import Watched

from benchmarks import visitors
from benchmarks.visitors import Run, Visit, owns, visit
from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.settings import OnStep, Settings

SECONDS = 120  # the most that anything may take, also on a busy machine


class Gated:
    """The tiny model, but each step waits until it is allowed; counts its steps."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self.allowed = threading.Semaphore(0)
        self.steps = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed_prompt(self, prompts: list, seeds: list, settings: Settings, on_step: OnStep) -> torch.Tensor:
        return self.model.embed_prompt(prompts, seeds, settings, self._gate(on_step))

    def decode_pixels(self, embeddings: torch.Tensor, *asked: object) -> torch.Tensor:
        *before, on_step, noise = asked
        return self.model.decode_pixels(embeddings, *before, self._gate(on_step), noise)

    def _gate(self, on_step: OnStep) -> OnStep:
        def slowly(step: object) -> None:
            assert self.allowed.acquire(timeout=SECONDS)
            self.steps += 1
            on_step(step)

        return slowly


@pytest.fixture(scope="module")
def gated(model: UnclipModel) -> Gated:
    return Gated(model)


@pytest.fixture(scope="module")
def service(gated: Gated) -> Watched:
    return Watched(gated)


@pytest.fixture(scope="module")
def address(service: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, served by a thread, so that the test can hold the model's steps."""
    with launched(service, tmp_path_factory.mktemp("visitors")) as address:
        yield address


def wait_until(true: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited for {SECONDS} seconds"
        time.sleep(0.02)


def join(address: str, prompt: str) -> str:
    """Ask for a picture as a program without gradio_client would; answers with where its news are to be had."""
    asked = {"prompt": prompt, "seed": 7, "random_seed": False, "count": 1}
    answer = httpx.post(f"{address}/gradio_api/call/v2/text_to_image", json=asked, timeout=SECONDS)
    return f"{address}/gradio_api/call/text_to_image/{answer.raise_for_status().json()['event_id']}"


def test_who_disconnects_frees_the_turn_within_a_step(address: str, service: Watched, gated: Gated) -> None:
    gated.allowed.release(2)
    with httpx.stream("GET", join(address, "a cat"), timeout=SECONDS) as news:
        lines = news.iter_lines()
        next(line for line in lines if line.startswith("data:"))
        wait_until(lambda: gated.steps == 2)
    assert service.left.wait(SECONDS), "the server has not noticed"
    gated.allowed.release(1)
    wait_until(lambda: not service.queue.tickets)
    assert gated.steps == 3
    # The turn is free: the next one draws to the end.
    gated.allowed.release(10)
    seen = visit(Client(address, verbose=False), "a dog", 5)
    assert (seen.outcome, seen.waited, gated.steps) == ("own", False, 13)


def test_who_waits_is_told_the_place_and_who_leaves_the_line_is_never_drawn(
    address: str, service: Watched, gated: Gated
) -> None:
    steps = gated.steps
    service.left.clear()
    early = Client(address, verbose=False).submit(prompt="a cat", count=1, api_name="/text_to_image")
    wait_until(lambda: service.queue.tickets)
    with httpx.stream("GET", join(address, "a dog"), timeout=SECONDS) as news:
        told = next(line for line in news.iter_lines() if "waiting" in line)
    assert "1 ahead of you in the queue" in told
    assert service.left.wait(SECONDS)
    wait_until(lambda: len(service.queue.tickets) == 1)
    gated.allowed.release(10)
    assert early.result(SECONDS)[-1]["state"] == "done"
    wait_until(lambda: not service.queue.tickets)
    assert gated.steps == steps + 10


@needs_chromium
def test_who_closes_the_page_frees_the_turn_within_a_step(
    browser: Browser, address: str, service: Watched, gated: Gated
) -> None:
    service.left.clear()
    steps = gated.steps
    with visiting(browser, address, locale="en-US") as page:
        page.get_by_label("Prompt", exact=True).fill("a cat")
        button(page, "draw").click()
        gated.allowed.release(2)
        wait_until(lambda: gated.steps == steps + 2)
        # A browser asks first, and listens then: who is gone before that has left nothing to be noticed by.
        page.wait_for_function("[...document.querySelectorAll('.stage progress')].some(bar => bar.value > 0)")
    assert service.left.wait(SECONDS), "the server has not noticed"
    gated.allowed.release(1)
    wait_until(lambda: not service.queue.tickets)
    assert gated.steps == steps + 3


def test_the_benchmark_reports_a_short_run(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # So short a run tells nothing of memory, so its verdict on that is not asked for.
    with visitors.served(str(tiny_checkpoint)) as (address, server):
        run = visitors.let_in(address, 2, 2, server)
    assert {seen.outcome for seen in run.visits} == {"own"}
    assert all(seen.told for seen in run.visits if seen.waited)
    assert all(0 < seen.first_word <= seen.silence <= seen.seconds for seen in run.visits)
    assert run.memory and min(rss for _, rss in run.memory) > 50
    visitors._report(run, 2, 2)
    printed = capsys.readouterr().out
    assert "seconds until the picture" in printed and f"{len(run.visits)} own pictures" in printed


GOOD = Visit("own", 2.0, 0.1, 0.6, True, True)
STEADY = [(float(second), 500.0 + second % 3) for second in range(40)]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"outcome": "foreign"}, "1 of 2 pictures belonged to another visitor."),
        ({"silence": 11.0}, "1 of 2 requests waited without knowing how long."),
        ({"told": False}, "1 of 2 requests waited without knowing how long."),
        ({"outcome": "Something went wrong."}, "Error: Something went wrong."),
    ],
)
def test_each_fault_is_found(changes: dict[str, object], sentence: str) -> None:
    assert Run([GOOD, GOOD], STEADY).failures() == []
    assert Run([GOOD, dataclasses.replace(GOOD, **changes)], STEADY).failures() == [sentence]


def test_growing_memory_is_found_and_a_warm_up_is_not_growth() -> None:
    growing = [(float(second), 500.0 + 2 * second) for second in range(40)]
    warming = [(float(second), 500.0 if second >= 8 else 200.0) for second in range(40)]
    assert Run([GOOD], growing).failures() == [f"The server's memory grew by {Run([GOOD], growing).growth():.1%}."]
    assert Run([GOOD], warming).failures() == []
    assert Run([GOOD], []).growth() is None


def test_nothing_drawn_is_a_failure_and_a_full_line_alone_is_not() -> None:
    busy = dataclasses.replace(GOOD, outcome="busy")
    assert Run([GOOD, busy], STEADY).failures() == []
    assert Run([busy], STEADY).failures() == ["No picture was drawn."]


@pytest.mark.parametrize("prompt, seed, own", [("a cat", 7, True), ("a dog", 7, False), ("a cat", 8, False)])
def test_a_picture_s_owner_is_told_by_its_record(tmp_path: Path, prompt: str, seed: int, own: bool) -> None:
    picture = Image.new("RGB", (8, 8))
    images.write_record(picture, json.loads('{"prompt": "a cat", "seed": 7}'))
    assert owns(images.save(picture, tmp_path / "cat.png"), prompt, seed) is own
