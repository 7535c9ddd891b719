"""Ray Serve: two replicas behind one front; one is killed, all are replaced, a visitor leaves, too many come."""

import argparse
import asyncio
import base64
import io
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import openai
import psutil
import pytest
from gradio_client import Client
from PIL import Image
from starlette.testclient import TestClient
from visitor import ROOT, free_port

from dalle2 import images
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.serving.api import options as serving
from dalle2.serving.api import streams
from dalle2.serving.api.problems import MOST_RETRY_SECONDS
from dalle2.serving.batches import Visit
from dalle2.serving.catalogue import Card
from dalle2.serving.pace import Pace, Turn, job_of
from dalle2.serving.painter import CPU_PICTURES
from dalle2.serving.refusal import Busy, Fault, NoMemory
from dalle2.serving.reports import Reports
from dalle2.serving.service import Service
from dalle2.settings import MAX_PICTURES
from dalle2.tasks.text_to_image import TextToImage

ray = pytest.importorskip("ray", reason="Ray is not installed: bash .ci/ray installs it, and runs these tests")
from ray import cloudpickle, serve  # noqa: E402  (not without Ray)
from ray.serve.exceptions import BackPressureError  # noqa: E402

from dalle2.serving.ray import app as applications  # noqa: E402
from dalle2.serving.ray.front import Front  # noqa: E402
from dalle2.serving.ray.messages import Finished, Order, Started, StepDone  # noqa: E402
from dalle2.serving.ray.options import Options  # noqa: E402
from dalle2.serving.ray.painter import RayPainter  # noqa: E402
from dalle2.serving.ray.remote_model import FACTS, RemoteModel  # noqa: E402
from dalle2.serving.ray.replica import MOST  # noqa: E402
from dalle2.unclip_base import UnclipBase  # noqa: E402
from demo import on_ray  # noqa: E402

SECONDS = 120
REQUESTS, CLIENTS, WAITING = 200, 12, 40
LONG = {"decoder": {"num_inference_steps": 100, "times": 5}}


class Cluster:
    """One machine's Ray with the application."""

    def __init__(self, address: str, options: Options) -> None:
        self.address, self.options = address, options

    def run(self, build: object = applications.api) -> None:
        serve.run(build(self.options), name="dalle2", route_prefix="/")

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key="none", max_retries=0, timeout=SECONDS)

    def replicas(self) -> list[psutil.Process]:
        """The processes of the replicas that draw."""
        titles = ((one, one.cmdline()) for one in psutil.Process().children(recursive=True))
        return [one for one, words in titles if words and "ServeReplica:dalle2:draws" in words[0]]

    def waiting(self) -> int:
        return httpx.get(f"{self.address}/health", timeout=SECONDS).json()["waiting"]


@pytest.fixture(scope="module")
def cluster(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, port = tmp_path_factory.mktemp("ray"), free_port()
    environment = {
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "REPORTS_FILE": str(folder / "reports.sqlite3"),
        "VOTES_FILE": str(folder / "votes.sqlite3"),
        "PYTHONPATH": str(ROOT),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else Ray would write a token into the home folder
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100_000_000,
            log_to_driver=False,
            runtime_env={"env_vars": environment},
        )
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            options = Options(checkpoints=str(tiny_checkpoint), min_replicas=2, max_replicas=2, waiting=WAITING)
            started = Cluster(f"http://127.0.0.1:{port}", options.model_copy(update={"picture_check": "off"}))
            started.run()
            yield started
        finally:
            serve.shutdown()
            ray.shutdown()


def opened(picture: openai.types.Image) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(picture.b64_json)))


def ask(client: openai.OpenAI, seed: int) -> Image.Image:
    answer = client.images.generate(
        prompt=f"cat {seed}", n=1, response_format="b64_json", extra_body={"seed": seed, "settings": "fast"}
    )
    assert len(answer.data) == 1
    return opened(answer.data[0])


def all_own(model: UnclipModel, drawn: dict[int, Image.Image]) -> bool:
    """Whether each picture is its own seed's, as the same checkpoint draws it here: by its record and its pixels."""
    settings, seeds = Service(model).settings("fast"), sorted(drawn)
    for first in range(0, len(seeds), 16):
        part = seeds[first : first + 16]
        own = TextToImage([f"cat {seed}" for seed in part]).draw(model, part, settings)
        for seed, picture in zip(part, own, strict=True):
            record = images.read_record(drawn[seed])
            assert (record["seed"], record["prompt"]) == (seed, f"cat {seed}")
            levels = [np.asarray(one.convert("RGB"), dtype=int) for one in (drawn[seed], picture)]
            assert np.abs(levels[0] - levels[1]).max() <= 1  # a rounding may tip a level over
    return True


def test_old_code_draws_streams_and_leaves(cluster: Cluster, model: UnclipModel) -> None:
    client = cluster.client()
    assert all_own(model, {5: ask(client, 5)})
    told = list(
        client.images.generate(prompt="a cat", stream=True, partial_images=3, extra_body={"settings": LONG, "seed": 1})
    )
    kinds = [event.type for event in told]
    assert kinds[0] == "image_generation.partial_image" and kinds[-1] == "image_generation.completed"
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        client.images.generate(prompt="a cat", model="other")
    with open_stream(cluster, count=8) as stream:
        assert next(stream.iter_lines())
        wait_for(lambda: cluster.waiting() == 1)
    wait_for(lambda: cluster.waiting() == 0)
    before = busy_seconds(cluster)
    time.sleep(2)
    assert busy_seconds(cluster) - before < 0.5  # nobody draws for who has left


def open_stream(cluster: Cluster, count: int) -> object:
    asked = {"prompt": "a cat", "n": count, "stream": True, "partial_images": 3, "settings": LONG}
    return httpx.stream("POST", f"{cluster.address}/v1/images/generations", json=asked, timeout=SECONDS)


def busy_seconds(cluster: Cluster) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in cluster.replicas())


def wait_for(true: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_captioner_answers_and_a_fault_is_a_sentence(cluster: Cluster) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, "PNG")
    answer = httpx.post(
        f"{cluster.address}/v1/images/captions", files={"image": file.getvalue()}, data={"n": 2}, timeout=SECONDS
    )
    assert len(answer.json()["data"]) == 2
    bad = {"prompt": "a cat", "settings": {"decoder": {"num_inference_steps": 1000}}}
    answer = httpx.post(f"{cluster.address}/v1/images/generations", json=bad, timeout=SECONDS)
    assert answer.status_code == 400 and "at most 100 steps" in answer.json()["error"]["message"]


def test_what_comes_together_is_drawn_in_batches(cluster: Cluster, model: UnclipModel) -> None:
    draw = serve.get_deployment_handle("draws-sample", "dalle2").options(stream=True).draw
    orders = [Order(TextToImage([f"cat {seed}"]), (seed,), model.settings) for seed in range(12)]

    async def one(order: Order) -> list:
        return [told async for told in draw.remote(order)]

    async def every() -> list[list]:
        return await asyncio.gather(*map(one, orders))

    together = []
    for seed, told in enumerate(asyncio.run(every())):
        together += [one.together for one in told if isinstance(one, Started)]
        assert any(one.previews for one in told if isinstance(one, StepDone))
        assert isinstance(told[-1], Finished) and images.read_record(told[-1].result[0])["seed"] == seed
    # Twelve orders for two replicas.
    assert max(together) >= 4 and len(together) >= 2 * len(orders)


def test_too_many_are_told_when_to_come_again(cluster: Cluster) -> None:
    asked = {"prompt": "a cat", "n": 4, "response_format": "b64_json"}

    async def crowd() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            address = f"{cluster.address}/v1/images/generations"
            return await asyncio.gather(*(client.post(address, json=asked) for _ in range(2 * WAITING)))

    answers = asyncio.run(crowd())
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) >= WAITING and refused
    for answer in refused:
        assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 120
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"


def test_a_killed_replica_loses_and_doubles_nothing(cluster: Cluster, model: UnclipModel) -> None:
    client, answered = cluster.client(), threading.Semaphore(0)

    def one(seed: int) -> tuple[int, Image.Image]:
        picture = ask(client, seed)
        answered.release()
        return seed, picture

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(one, seed) for seed in range(REQUESTS)]
        for _ in range(REQUESTS // 4):
            assert answered.acquire(timeout=SECONDS)
        killed = cluster.replicas()[0]
        os.kill(killed.pid, signal.SIGKILL)
        drawn = dict(future.result(SECONDS) for future in asked)
    assert not killed.is_running() and len(drawn) == REQUESTS
    assert all_own(model, drawn)


def test_an_update_loses_nothing_and_brings_the_page(cluster: Cluster, model: UnclipModel, tmp_path: Path) -> None:
    client, updated, old = cluster.client(), threading.Event(), {one.pid for one in cluster.replicas()}
    seeds = iter(range(10_000))

    def ask_on() -> dict[int, Image.Image]:
        drawn = {}
        while not updated.is_set():
            seed = next(seeds)
            drawn[seed] = ask(client, seed)
        return drawn

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask_on) for _ in range(4)]
        try:
            cluster.run(on_ray.page)
            wait_for(lambda: not old & {one.pid for one in cluster.replicas()})
        finally:
            updated.set()
        drawn = {seed: picture for future in asking for seed, picture in future.result(SECONDS).items()}
    assert all_own(model, drawn)
    page = Client(cluster.address, verbose=False, download_files=str(tmp_path), httpx_kwargs={"timeout": SECONDS})
    pictures, seed, state = page.predict("a cat", seed=7, random_seed=False, count=1, api_name="/text_to_image")
    assert (seed, state["state"]) == (7, "done")
    assert images.read_record(pictures[0]["image"])["prompt"] == "a cat"
    assert "Open DALL·E 2" in httpx.get(cluster.address, timeout=SECONDS).text


def test_two_checkpoints_are_drawn_each_by_replicas_of_its_own(
    cluster: Cluster, model: UnclipModel, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "other")
    both = f"{tiny_checkpoint},{tmp_path / 'other'}"
    Cluster(cluster.address, Options(checkpoints=both, max_replicas=1, picture_check="off")).run()
    wait_for(lambda: len(cluster.client().models.list().data) == 2)
    drawn = {}
    for name in ("sample", "other", "dall-e-2"):
        how = {"seed": 5, "settings": "fast"}
        answer = cluster.client().images.generate(
            prompt="cat 5", model=name, response_format="b64_json", extra_body=how
        )
        drawn[name] = images.read_record(opened(answer.data[0]))["checkpoint"]
        assert all_own(model, {5: opened(answer.data[0])})
    assert drawn == {"sample": "sample", "other": "other", "dall-e-2": "sample"}
    titles = " ".join(one.cmdline()[0] for one in cluster.replicas())
    assert "draws-other" in titles and "draws-sample" in titles


class Handle:
    """A deployment's handle whose calls end as they are told to."""

    def __init__(self, *ends: object) -> None:
        self.ends, self.draw = list(ends), self

    def options(self, **_: object) -> "Handle":
        return self

    def remote(self, _: Order) -> Iterator[object]:
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return telling(end)


def telling(ends: list) -> Iterator[object]:
    for told in ends:
        if isinstance(told, Exception):
            raise told
        yield told


LOST = ray.exceptions.ActorDiedError()


class Described(Handle):
    """A deployment's handle of which a front only asks what it draws."""

    def __init__(self, model: UnclipModel) -> None:
        super().__init__()
        self.describe, self.model = self, model

    def remote(self) -> asyncio.Future:
        future = asyncio.get_running_loop().create_future()
        future.set_result((RemoteModel(self.model), Card("Its card.", "CC BY 4.0")))
        return future


def test_a_front_has_a_thread_for_each_who_waits_and_tells_what_replicas_draw(
    model: UnclipModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.ROOM, "total_tokens", streams.ROOM.total_tokens)  # put back afterwards
    options = Options(checkpoints="sample", waiting=500, picture_check="off", open_api=True)
    app = asyncio.run(Front(options, Described(model)).__serve_build_asgi_app__())
    assert streams.ROOM.total_tokens >= 1000
    (described,) = TestClient(app).get("/v1/models").json()["data"]
    assert described["id"] == model.checkpoint and described["checkpoint_hash"] == model.checkpoint_hash
    assert described["capabilities"] == sorted(model.capabilities)


def test_lost_work_is_done_again_by_another_replica(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalle2.serving.ray.painter.PAUSES", (0.0,) * 4)
    cancelled = ray.exceptions.TaskCancelledError()  # by Ray, since nobody gave it up
    lost = [
        [Started(1), LOST],
        BackPressureError(3, 3),
        [Started(1), StepDone("decoder", 1, 2)],
        [Started(1), cancelled],
    ]
    painter = RayPainter({"sample": Handle(*lost, [Started(1), Finished(["picture"])])}, 1)
    visit, heard = Visit(Turn(job_of("", (), 1), Pace())), []
    assert painter.draw(visit, TextToImage(["a cat"]), "sample", [1], model.settings, heard.append) == ["picture"]
    assert [(step.stage, step.index) for step in heard] == [("decoder", 1)]


def test_what_cannot_be_drawn_ends_with_a_sentence(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalle2.serving.ray.painter.PAUSES", (0.0,))
    ends = [BackPressureError(3, 3), [Started(1), Finished(refusal=NoMemory("Ask for fewer."))], LOST, LOST]
    service = Service(model, painter=RayPainter({model.checkpoint: Handle(*ends)}, 1))
    for kind, sentence in ((Busy, "please try again"), (NoMemory, "Ask for fewer"), (Fault, "Something went wrong")):
        with pytest.raises(kind, match=sentence):
            list(service.draw(TextToImage(["a cat"]), 1))
    assert not service.queue.tickets


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"min_replicas": 3, "max_replicas": 2}, "min_replicas is 3"),
        ({"checkpoint": "emoji"}, "checkpoint"),
        ({"checkpoints": "a/emoji,emoji"}, "same name"),
        ({"fronts": 2}, "Several fronts share"),
        ({"fronts": 2, "database": "sqlite:///shared"}, "The page has one front"),
    ],
)
def test_options_that_cannot_be_are_refused(
    fields: dict, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "emoji").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        on_ray.page(Options(**fields))


def test_what_the_commands_and_the_model_have_is_known_here_too() -> None:
    parser = argparse.ArgumentParser()
    serving.add(parser)
    beside = {"help", "host", "checkpoint", "keep"}  # Ray listens, and each checkpoint is a deployment of its own
    assert {action.dest for action in parser._actions} - beside <= set(Options.model_fields)
    assert set(FACTS) | {"phrases", "host"} == set(UnclipBase.__annotations__)
    known = cloudpickle.loads(cloudpickle.dumps(RemoteModel(load())))  # the embedded one, by whatever engine draws it
    assert known.settings and known.understand("a crown").known and known.checkpoint_hash == load().checkpoint_hash
    with pytest.raises(RuntimeError, match="on other machines"):
        known.embed_prompt(["a crown"], [1])


def test_a_replica_takes_more_than_a_batch_and_ray_refuses_as_we_do() -> None:
    application = applications.api(Options(checkpoints="emoji", gpus=0.5))
    front = application._bound_deployment
    (replicas,) = [one._bound_deployment for one in front.init_args[1:]]
    assert replicas.max_ongoing_requests == MOST >= MAX_PICTURES >= CPU_PICTURES
    assert replicas.ray_actor_options["num_gpus"] == 0.5
    assert front._deployment_config.backpressure_config.status_code == 429
    assert front._deployment_config.backpressure_config.retry_after_s <= MOST_RETRY_SECONDS


@pytest.mark.parametrize("least, most", [(1, 3), (2, 2)])
def test_each_checkpoint_scales_by_itself_by_how_many_requests_wait(least: int, most: int, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    named = f"emoji,{tmp_path / 'other'}"
    application = applications.api(Options(checkpoints=named, min_replicas=least, max_replicas=most))
    replicas = [one._bound_deployment for one in application._bound_deployment.init_args[1:]]
    assert [one.name for one in replicas] == ["draws-emoji", "draws-other"]
    assert [one.init_args[0] for one in replicas] == named.split(",")
    for one in replicas:
        scaling = one._deployment_config.autoscaling_config
        if least == most:
            assert scaling is None and one.num_replicas == least
        else:
            assert (scaling.min_replicas, scaling.max_replicas) == (least, most)
            # Another replica comes when one has a batch to draw and another one waits.
            assert scaling.target_ongoing_requests == applications.BATCH == CPU_PICTURES <= one.max_ongoing_requests / 2


def test_reports_lie_in_the_fronts_database_and_a_named_proxy_is_believed(
    model: UnclipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_FILE", str(tmp_path / "own.sqlite3"))
    monkeypatch.setattr(streams.ROOM, "total_tokens", streams.ROOM.total_tokens)
    url, named = f"sqlite:///{tmp_path / 'shared.sqlite3'}", {"picture_check": "off", "open_api": True}
    options = Options(checkpoints="sample", database=url, proxy="10.0.0.0/8", **named)
    app = asyncio.run(Front(options, Described(model)).__serve_build_asgi_app__())
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    client = TestClient(app, client=("10.0.0.1", 5000))
    for place in ("192.0.2.1", "192.0.2.2"):
        answer = client.post(
            "/v1/images/reports",
            data={"reason": "person"},
            files={"image": ("a.png", file.getvalue())},
            headers={"X-Forwarded-For": place},
        )
        assert answer.status_code == 200
    (kept,) = Reports(url).latest()
    assert (kept["times"], kept["askers"]) == (2, 2) and not (tmp_path / "own.sqlite3").exists()
    with pytest.raises(ValueError, match="--proxy takes addresses"):
        Options(proxy="nginx")
