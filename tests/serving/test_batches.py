"""Batches across visitors: what agrees is drawn at once, and nobody's picture, turn or error is another's."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.serving.batches import COMPANY_SECONDS, Batches, Call, Visit
from dalle2.serving.pace import Job, Pace, Turn
from dalle2.serving.queue import Queue
from dalle2.serving.refusal import Cancelled, Refusal
from dalle2.serving.service import LatestDrawing, Service
from dalle2.serving.shared_model import SharedModel
from dalle2.settings import OnStep, Settings, Step
from dalle2.tasks.text_to_image import TextToImage
from dalle2.unclip_base import UnclipBase

STAGES = (("prior", 3), ("decoder", 4), ("upsampler", 3))
SECONDS = 60


class Noted:
    """The tiny model, which notes how many pictures each operation draws at once and breaks at the prompt "broken"."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self.batches: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed_prompt(self, prompts: Sequence[str], *rest: object) -> torch.Tensor:
        self.batches.append(("embed_prompt", len(prompts)))
        return self.model.embed_prompt(prompts, *rest)

    def decode_pixels(self, embeddings: torch.Tensor, seeds: Sequence[object], *rest: object) -> torch.Tensor:
        self.batches.append(("decode_pixels", len(seeds)))
        pixels = self.model.decode_pixels(embeddings, seeds, *rest)
        if "broken" in (rest[0] or ()):
            raise RuntimeError("broken")
        return pixels

    def invert(self, pictures: Sequence[Image.Image], *rest: object) -> torch.Tensor:
        self.batches.append(("invert", len(pictures)))
        return self.model.invert(pictures, *rest)


class Machine:
    """One model that visitors share, each in a thread of its own. Nothing is computed before `go`."""

    def __init__(self, model: UnclipModel, visitors: int, most: int = 16) -> None:
        self.noted = Noted(model)
        self.batches = Batches(most)
        self.model = SharedModel(self.noted, self.batches)
        self._pool = ThreadPoolExecutor(visitors + 1)
        self._gate, self._came = threading.Event(), threading.Semaphore(0)
        self._expected = 0
        self._submit(visit_of(), lambda: self.batches.compute(Call(visit_of(), (), self._wait)))
        assert self._came.acquire(timeout=SECONDS)

    def ask(self, task: Callable[[], object], visit: Visit | None = None) -> Future:
        """Another visitor, after those that asked before."""
        waiting = len(self.batches._waiting)
        asked = self._submit(visit or visit_of(), task)
        wait_until(lambda: len(self.batches._waiting) > waiting)
        return asked

    def go(self) -> None:
        self._gate.set()

    def _wait(self, _: OnStep) -> None:
        self._came.release()
        assert self._gate.wait(SECONDS)

    def _submit(self, visit: Visit, task: Callable[[], object]) -> Future:
        def run() -> object:
            with self.batches.during(visit):
                return task()

        return self._pool.submit(run)


class AllDrawings(LatestDrawing):
    """Keeps all that each stream was told."""

    streams: ClassVar[list[list]] = []

    def __init__(self) -> None:
        super().__init__()
        self._kept: list = []
        self.streams.append(self._kept)

    def put(self, told: object) -> None:
        self._kept.append(told)
        super().put(told)


def visit_of(pictures: int = 1) -> Visit:
    return Visit(Turn(Job("any", STAGES, pictures), Pace()))


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited for {SECONDS} seconds"
        time.sleep(0.005)


def levels(pictures: Sequence[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(picture, dtype=int) for picture in pictures])


def test_company_changes_nothing_and_each_gets_its_own(
    model: UnclipModel, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dalle2.serving.batches.COMPANY_SECONDS", SECONDS)  # for a machine that is busy
    machine = Machine(model, 3)
    asked = [
        machine.ask(
            lambda prompt=prompt, seeds=seeds: machine.model.text_to_image(
                [prompt] * len(seeds), seeds=seeds, settings=quick
            )
        )
        for prompt, seeds in (("a cat", [7]), ("a dog", [8, 9]), ("a face", [7]))
    ]
    machine.go()
    cat, dogs, face = (future.result(SECONDS) for future in asked)
    assert machine.noted.batches[0] == ("embed_prompt", 4)
    assert ("decode_pixels", 4) in machine.noted.batches
    for drawn, prompt, seeds in ((cat, "a cat", [7]), (dogs, "a dog", [8, 9]), (face, "a face", [7])):
        records = [images.read_record(picture) for picture in drawn]
        assert [(record["prompt"], record["seed"]) for record in records] == [(prompt, seed) for seed in seeds]
        alone = model.text_to_image([prompt] * len(seeds), seeds=seeds, settings=quick)
        assert np.abs(levels(drawn) - levels(alone)).max() <= 1  # a rounding may tip a level over


def test_company_changes_no_pixel_by_more_than_a_ten_thousandth(model: UnclipModel, quick: Settings) -> None:
    machine = Machine(model, 5)
    embeddings = model.embed_prompt(["a cat", "a dog", "a face", "red", "noto"], [1, 2, 3, 4, 5], quick)
    asked = [
        machine.ask(lambda i=i: machine.model.decode_pixels(embeddings[i : i + 1], [i], ["a cat"], quick))
        for i in range(5)
    ]
    machine.go()
    for i, future in enumerate(asked):
        alone = model.decode_pixels(embeddings[i : i + 1], [i], ["a cat"], quick)
        assert torch.allclose(future.result(SECONDS), alone, atol=1e-4, rtol=0)
    assert machine.noted.batches == [("decode_pixels", 5)]


def test_all_tasks_share_a_decoder_whose_settings_agree(model: UnclipModel, quick: Settings) -> None:
    machine, picture = Machine(model, 4), Image.new("RGB", (20, 30), "teal")
    other = replace(quick, decoder=replace(quick.decoder, num_inference_steps=5))
    embedding = model.embed_image([picture])
    tasks = {
        "variations": lambda: machine.model.decode(embedding.expand(2, -1), [1, 2], None, quick),
        "of another": lambda: machine.model.decode(embedding, [5], None, quick),
        "otherwise": lambda: machine.model.decode(embedding, [3], None, other),
        "with a prompt": lambda: machine.model.decode(embedding, [4], ["a cat"], quick),
    }
    asked = {name: machine.ask(task) for name, task in tasks.items()}
    machine.go()
    drawn = {name: future.result(SECONDS) for name, future in asked.items()}
    assert machine.noted.batches == [("decode_pixels", 3), ("decode_pixels", 1), ("decode_pixels", 1)]
    alone = model.decode(embedding, [5], None, quick)
    assert np.abs(levels(drawn["of another"]) - levels(alone)).max() <= 1


def test_pictures_that_are_inverted_share_their_way_back(model: UnclipModel, quick: Settings) -> None:
    machine, settings = Machine(model, 2), quick.for_inversion(4)
    sources = [Image.new("RGB", (16, 16), colour) for colour in ("teal", "orange")]
    asked = [
        machine.ask(lambda source=source: machine.model.invert([source], model.embed_image([source]), None, settings))
        for source in sources
    ]
    machine.go()
    for source, future in zip(sources, asked, strict=True):
        alone = model.invert([source], model.embed_image([source]), None, settings)
        assert torch.allclose(future.result(SECONDS), alone, atol=1e-4, rtol=0)
    assert machine.noted.batches == [("invert", 2)]


def test_who_gives_up_in_a_batch_leaves_the_others_theirs(model: UnclipModel, quick: Settings) -> None:
    machine, leaving = Machine(model, 2), visit_of()
    steps: list[Step] = []

    def leave(step: Step) -> None:
        steps.append(step)
        machine.batches.give_up(leaving)

    gone = machine.ask(
        lambda: machine.model.text_to_image(["a dog"], seeds=[8], settings=quick, on_step=leave), leaving
    )
    stays = machine.ask(lambda: machine.model.text_to_image(["a cat"], seeds=[7], settings=quick))
    machine.go()
    with pytest.raises(Cancelled):
        gone.result(SECONDS)
    assert len(steps) == 1 and machine.noted.batches[0] == ("embed_prompt", 2)
    alone = model.text_to_image(["a cat"], seeds=[7], settings=quick)
    assert np.abs(levels(stays.result(SECONDS)) - levels(alone)).max() <= 1


def test_who_gives_up_while_waiting_is_not_computed(model: UnclipModel, quick: Settings) -> None:
    machine, leaving = Machine(model, 2), visit_of()
    gone = machine.ask(lambda: machine.model.embed_prompt(["a dog"], [8], quick), leaving)
    stays = machine.ask(lambda: machine.model.embed_prompt(["a cat"], [7], quick))
    machine.batches.give_up(leaving)
    with pytest.raises(Cancelled):
        gone.result(SECONDS)
    machine.go()
    stays.result(SECONDS)
    assert machine.noted.batches == [("embed_prompt", 1)]


def test_one_s_error_is_nobody_else_s(model: UnclipModel, quick: Settings) -> None:
    machine = Machine(model, 3)
    embedding = model.embed_prompt(["a cat"], [1], quick)
    noise = [torch.Generator().manual_seed(7) for _ in range(3)]
    asked = [
        machine.ask(lambda i=i, prompt=prompt: machine.model.decode_pixels(embedding, [noise[i]], [prompt], quick))
        for i, prompt in enumerate(("a cat", "broken", "a dog"))
    ]
    machine.go()
    with pytest.raises(RuntimeError, match="broken"):
        asked[1].result(SECONDS)
    for i, prompt in ((0, "a cat"), (2, "a dog")):
        alone = model.decode_pixels(embedding, [7], [prompt], quick)
        assert torch.equal(asked[i].result(SECONDS), alone)  # the second attempt has the first one's noise
    assert machine.noted.batches == [("decode_pixels", 3)] + [("decode_pixels", 1)] * 3


def test_who_came_first_is_drawn_first_and_a_batch_has_bounds(model: UnclipModel, quick: Settings) -> None:
    machine, order = Machine(model, 5, most=3), []
    embedding = model.embed_prompt(["a cat"], [1], quick)

    def draw(number: int, pictures: int) -> None:
        machine.model.decode_pixels(embedding.expand(pictures, -1), range(pictures), None, quick)
        order.append(number)

    visits = [visit_of() for _ in range(5)]
    late_first = [3, 0, 4, 1, 2]
    asked = [machine.ask(lambda i=i: draw(i, 2 if i == 2 else 1), visits[i]) for i in late_first]
    machine.go()
    for future in asked:
        future.result(SECONDS)
    assert [rows for _, rows in machine.noted.batches] == [3, 3]
    assert set(order[:3]) == {0, 1, 3} and set(order[3:]) == {2, 4}  # two pictures had no room beside the first two


class Waited:
    """Batches whose waits for company pass at once, on a clock of their own; `comes` adds what comes meanwhile."""

    def __init__(self) -> None:
        self.now, self.waits, self.comes = 0.0, [], lambda: None
        self.batches = Batches(clock=lambda: self.now)
        self._wait_for = self.batches._changed.wait_for
        self.batches._changed.wait_for = self._passed

    def _passed(self, predicate: Callable[[], object], timeout: float | None = None) -> object:
        if timeout is None or timeout > COMPANY_SECONDS:
            return self._wait_for(predicate, timeout)
        self.waits.append(timeout)
        self.comes()
        if not predicate():
            self.now += timeout
        return predicate()

    def wait(self, *visits: Visit) -> None:
        """Wait for company for a call of each."""
        self.batches._waiting = [Call(visit, (["a cat"],), list, "one key") for visit in visits]
        with self.batches._changed:
            self.batches._wait_for_company()


def test_a_visit_waits_for_company_no_longer_than_it_may_however_many_calls_it_has(
    model: UnclipModel, quick: Settings
) -> None:
    waited = Waited()
    shared = SharedModel(Noted(model), waited.batches)
    with waited.batches.during(visit_of()), waited.batches.during(visit_of()):  # one of the two never comes
        for _ in range(3):
            shared.embed_image([Image.new("RGB", (8, 8))])
        shared.text_to_image(["a cat"], seeds=[7], settings=quick)
    assert len(waited.waits) == 2 and waited.now == pytest.approx(COMPANY_SECONDS) == pytest.approx(0.02)


def test_who_waits_while_others_calls_wait_for_company_waits_no_longer_either() -> None:
    waited, first, second = Waited(), visit_of(), visit_of()
    waited.batches._visits = 4
    for _ in range(3):
        waited.wait(first, second)
    assert waited.now == pytest.approx(0.02)
    waited.wait(second, visit_of())  # whose patience is new, but not the second's
    assert waited.now == pytest.approx(0.02)
    late = visit_of()
    late.patience = 0.001
    waited.comes = lambda: waited.batches._waiting.append(Call(late, (["a dog"],), list, "one key"))
    waited.wait(visit_of())
    assert waited.now == pytest.approx(0.02)  # the wait ended when somebody came who could not wait so long


def test_every_operation_of_a_family_is_shared(model: UnclipModel) -> None:
    operations = {name for name, value in vars(UnclipBase).items() if callable(value) and not name.startswith("_")}
    drawn_by_networks = {name for name in operations if name in vars(type(model))}
    assert {"embed_prompt", "embed_image", "decode_pixels", "invert", "upsample"} <= drawn_by_networks
    assert drawn_by_networks <= set(vars(SharedModel))


@pytest.mark.parametrize("columns", [(["a cat", "a dog"], [7]), (["a cat"], [7, 8])])
def test_what_does_not_fit_together_is_refused_as_by_the_model(
    model: UnclipModel, quick: Settings, columns: tuple[list[str], list[int]]
) -> None:
    embeddings = model.embed_prompt(["a cat"], [7], quick)
    shared = SharedModel(model, batches := Batches())
    with batches.during(visit_of()), pytest.raises(ValueError, match="decode takes"):
        shared.decode_pixels(embeddings, columns[1], columns[0], quick)


def test_visitors_are_drawn_in_one_batch_with_their_own_previews(
    model: UnclipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stream shows the newest alone, so that a quick machine may show no preview: look at all that it was told.
    monkeypatch.setattr("dalle2.serving.service.PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr("dalle2.serving.service.EVENTS_A_SECOND", float("inf"))
    monkeypatch.setattr("dalle2.serving.service.LatestDrawing", AllDrawings)
    monkeypatch.setattr(AllDrawings, "streams", [])
    noted = Noted(model)
    service, held = Service(noted), threading.Event()

    class Hold(TextToImage):
        def draw(self, *_: object) -> list:
            service.painter.batches.compute(Call(visit_of(), (), lambda _: held.wait(SECONDS)))
            return [Image.new("RGB", (4, 4))]

    def stream(prompt: str, count: int) -> list:
        request = TextToImage([prompt])
        return list(service.draw(request, 7, count))

    with ThreadPoolExecutor(4) as pool:
        holding = pool.submit(lambda: list(service.draw(Hold(["a cat"]), 1, 1)))
        wait_until(lambda: service.painter.batches._computing is not None and not service.painter.batches._waiting)
        asked = [pool.submit(stream, prompt, count) for prompt, count in (("a cat", 1), ("a dog", 2), ("a face", 1))]
        wait_until(lambda: len(service.painter.batches._waiting) == 3)
        held.set()
        drawn = [future.result(SECONDS) for future in asked]
        holding.result(SECONDS)
    assert noted.batches[0] == ("embed_prompt", 4)
    for drawings, prompt, count in zip(drawn, ("a cat", "a dog", "a face"), (1, 2, 1), strict=True):
        assert drawings[-1].finished and all(len(drawing.pictures) in (0, count) for drawing in drawings)
        assert {images.read_record(picture)["prompt"] for picture in drawings[-1].pictures} == {prompt}
    counts = {"a cat": 1, "a dog": 2, "a face": 1}
    streams = [stream for stream in AllDrawings.streams if len(stream) > 1]  # without the one that held the others up
    assert len(streams) == 3
    for told in streams:
        prompt = images.read_record(told[-1].pictures[0])["prompt"]
        previews = [drawing for drawing in told if drawing.pictures and not drawing.finished]
        assert previews and all(len(drawing.pictures) == counts[prompt] for drawing in previews)


def test_those_who_fit_in_a_batch_have_the_turn_and_the_time_left_counts_batches() -> None:
    pace, queue = Pace(lambda: 0.0), Queue(9, together=4)
    job = Job("any", (("decoder", 1),), 1)
    for pictures, seconds in ((1, 1.0), (4, 1.2), (2, 1.1)):
        pace.learn(replace(job, pictures=pictures), "decoder", seconds)
    tickets = [queue.join(Turn(replace(job, pictures=pictures), pace)) for pictures in (1, 1, 2, 2, 1)]
    assert [ticket.admitted() for ticket in tickets] == [True, True, True, False, False]
    assert [ticket.seconds_left() for ticket in tickets[:3]] == [1.0, 1.1, 1.2]
    assert tickets[3].seconds_left() == pytest.approx(1.2 + 1.1)  # one full batch, and one of its own two
    tickets[2].leave()
    assert [ticket.admitted() for ticket in tickets[3:]] == [True, False]
    tickets[2].leave()  # once more does no harm
    assert [ticket.ahead() for ticket in tickets[3:]] == [2, 3]


def test_a_request_larger_than_a_batch_has_the_turn_when_it_is_first() -> None:
    queue = Queue(3, together=4)
    large, small = (queue.join(Turn(Job("any", (), pictures), Pace())) for pictures in (24, 1))
    assert large.admitted() and not small.admitted()
    large.leave()
    assert small.admitted()


def test_an_error_in_the_service_reaches_its_own_visitor_only(model: UnclipModel) -> None:
    service = Service(Noted(model))

    def drawn(prompt: str) -> list:
        request = TextToImage([prompt])
        return list(service.draw(request, 7, 1))

    with ThreadPoolExecutor(3) as pool:
        good, bad, fine = (pool.submit(drawn, prompt) for prompt in ("a cat", "broken", "a dog"))
        with pytest.raises(Refusal, match="Something went wrong while drawing"):
            bad.result(SECONDS)
        assert good.result(SECONDS)[-1].finished and fine.result(SECONDS)[-1].finished
