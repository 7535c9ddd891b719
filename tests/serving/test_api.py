"""The API beside the page: OpenAI's client draws, edits and varies; what goes wrong is a sentence in OpenAI's shape."""

import asyncio
import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import openai
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from starlette.exceptions import HTTPException
from visitor import launched
from watched import Watched

from dalle2 import images, settings
from dalle2.model import UnclipModel
from dalle2.serving import service as rooms
from dalle2.serving.api import gate
from dalle2.serving.api.gate import MAX_BODY_BYTES
from dalle2.serving.api.routes import api
from dalle2.serving.limits import MAX_CONTENTS
from dalle2.serving.service import Service
from dalle2.settings import OnStep, Settings

SECONDS = 60
WAITING = 2


class Held:
    """The tiny model, which can be held at any step, and which some prompts break."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self.checkpoint = "sample"
        self.go = threading.Event()
        self.go.set()
        self.steps = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def embed_prompt(self, prompts: list[str], seeds: list, settings: Settings, on_step: OnStep) -> torch.Tensor:
        if "fault" in prompts[0]:
            raise RuntimeError("/secret/folder/model.bin is broken")
        if "library" in prompts[0]:
            raise ValueError("/secret/folder/config.json: invalid literal for int()")
        if "memory" in prompts[0]:
            raise MemoryError
        return self.model.embed_prompt(prompts, seeds, settings, self._held(on_step))

    def decode_pixels(self, embeddings: torch.Tensor, *asked: object) -> torch.Tensor:
        seeds, prompts, chosen, on_step, *rest = asked
        return self.model.decode_pixels(embeddings, seeds, prompts, chosen, self._held(on_step), *rest)

    def _held(self, on_step: OnStep) -> OnStep:
        def slowly(step: object) -> None:
            assert self.go.wait(SECONDS)
            self.steps += 1
            on_step(step)

        return slowly


@pytest.fixture(scope="module")
def held(model: UnclipModel) -> Held:
    return Held(model)


@pytest.fixture(scope="module")
def service(held: Held) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "WAITING_VISITORS", WAITING)
        patch.setattr(rooms, "PREVIEW_SECONDS", 0.0)
        patch.setattr(settings, "INPAINTING_STEPS", 2)
        patch.setattr(settings, "INVERSION_STEPS", 2)
        patch.setattr(settings, "TEXT_DIFF_STEPS", 2)
        yield Watched(held)


@pytest.fixture(scope="module")
def address(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched(service, tmp_path_factory.mktemp("page"), api=api(service)) as address:
        yield f"{address}/v1"


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0, timeout=SECONDS)


@pytest.fixture(scope="module")
def plain(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=SECONDS) as client:
        yield client


def png(side: int = 32, hole: tuple[int, int, int, int] | None = None) -> bytes:
    """A grey square; with a hole RGBA, which is transparent there."""
    picture = Image.new("RGBA" if hole else "RGB", (side, side), (90, 90, 90))
    if hole:
        picture.paste((0, 0, 0, 0), hole)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def opened(content: str | bytes) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(content) if isinstance(content, str) else content))


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def problem(answer: httpx.Response, status: int) -> dict:
    """The error of an answer, which has OpenAI's shape and tells nothing of the server."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    assert error["message"].endswith(".") and "Traceback" not in answer.text and "/secret" not in answer.text
    assert "/home" not in answer.text and "site-packages" not in answer.text
    return error


def test_a_generation_says_what_was_drawn_and_how(client: openai.OpenAI) -> None:
    drawn = client.images.generate(
        model="dall-e-2", prompt="a cat", n=2, size="1024x1024", user="somebody", extra_body={"seed": 7, "what": "ever"}
    )
    assert (len(drawn.data), drawn.size, drawn.model) == (2, "32x32", "sample")
    assert [one.seed for one in drawn.data] == [7, 8] and drawn.data[0].record["prompt"] == "a cat"
    assert drawn.settings == drawn.data[0].record["settings"] and drawn.understanding["asked"] == "a cat"
    answer = httpx.get(drawn.data[0].url)
    assert answer.headers["content-type"] == "image/png"
    assert images.read_record(answer.content) == drawn.data[0].record
    alone = client.images.generate(prompt="a cat", response_format="b64_json", extra_body={"seed": 8})
    assert alone.data[0].record == drawn.data[1].record  # a seed belongs to a picture


def test_the_checkpoint_is_called_by_its_own_name_or_by_openai_s(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.size) == ("sample", "32x32")
    assert client.models.retrieve("dall-e-2").id == client.models.retrieve("sample").id == "sample"
    for name, where in {"dall-e-3": "url", "gpt-image-2.5-flare": "b64_json", "sample": "url"}.items():
        (drawn,) = client.images.generate(model=name, prompt="a cat", extra_body={"settings": "draft"}).data
        assert getattr(drawn, where) and not getattr(drawn, "url" if where == "b64_json" else "b64_json")
    with pytest.raises(openai.NotFoundError) as refused:
        client.images.generate(model="stable-diffusion", prompt="a cat")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_quality_settings_and_a_negative_prompt_are_kept_and_told(client: openai.OpenAI) -> None:
    high = client.images.generate(prompt="a cat", quality="high")
    assert high.settings["decoder"]["num_inference_steps"] == 10
    table = {"decoder": {"num_inference_steps": 2}}
    steered = client.images.generate(prompt="a cat", extra_body={"settings": table, "negative_prompt": "red"})
    assert steered.settings["negative_prompt"] == "red" and steered.settings["decoder"]["num_inference_steps"] == 2
    nothing = {"settings": "draft", "negative_prompt": ""}  # another thing than none where a decoder reads no text
    assert client.images.generate(prompt="a cat", extra_body=nothing).settings["negative_prompt"] == ""


def test_pictures_are_enlarged_and_encoded_as_asked(client: openai.OpenAI) -> None:
    large = client.images.generate(
        prompt="a cat",
        size="64x64",
        output_format="webp",
        response_format="b64_json",
        extra_body={"enlarge": True, "settings": "draft"},
    )
    picture = opened(large.data[0].b64_json)
    assert (large.size, picture.size, picture.format, large.output_format) == ("64x64", (64, 64), "WEBP", "webp")
    clear = client.images.generate(prompt="a cat", background="transparent", extra_body={"settings": "draft"})
    mode = opened(httpx.get(clear.data[0].url).content).mode
    assert {"RGBA": "transparent", "RGB": "opaque"}[mode] == clear.background


def test_what_is_enlarged_keeps_its_turn_and_is_checked_before_it(
    client: openai.OpenAI, plain: httpx.Client, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    join, places = service.queue.join, iter([1])
    # A queue that has room for one alone, and never again.
    monkeypatch.setattr(service.queue, "join", lambda turn: join(turn) if next(places, None) else None)
    large = {"enlarge": True, "settings": "draft", "seed": 3}
    drawn = client.images.generate(prompt="a cat", n=2, size="64x64", response_format="b64_json", extra_body=large)
    assert {opened(one.b64_json).size for one in drawn.data} == {(64, 64)}
    assert [one.record["enlarging_seed"] for one in drawn.data] == [3, 4]
    monkeypatch.setattr(service.queue, "coming", lambda: nullcontext(False))  # as where it is full
    for wrong in ({}, {"size": "auto"}, {"size": "2048x2048"}, {"size": "64x64", "n": 0}):
        problem(plain.post("/images/generations", json={"prompt": "a cat", "enlarge": True} | wrong), 400)
    right = {"prompt": "a cat", "enlarge": True, "size": "64x64"}
    assert problem(plain.post("/images/generations", json=right), 429)["code"] == "rate_limit_exceeded"


def test_previews_come_before_the_pictures(client: openai.OpenAI) -> None:
    events = list(client.images.generate(prompt="a cat", n=2, stream=True, partial_images=2, model="gpt-image-1"))
    kinds = [event.type.removeprefix("image_generation.") for event in events]
    assert kinds[-2:] == ["completed"] * 2 and set(kinds[:-2]) == {"partial_image"}
    assert {event.partial_image_index for event in events[:-2]} <= {0, 1}
    assert [event.picture_index for event in events[-2:]] == [0, 1] and events[-1].usage.total_tokens == 0
    assert images.read_record(base64.b64decode(events[-1].b64_json))["prompt"] == "a cat"
    assert events[-1].size == "32x32" and "parameters" not in opened(events[0].b64_json).info


def test_a_stream_is_kept_open_by_comments_and_ends_with_a_blank_line(plain: httpx.Client) -> None:
    asked = {"prompt": "a cat", "stream": True}
    with plain.stream("POST", "/images/generations", json=asked) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    assert text.startswith(": ") and text.endswith("\n\n") and "[DONE]" not in text
    assert text.count("data: ") == text.count("event: image_generation.completed\n") == 1


def test_what_goes_wrong_in_a_stream_is_an_error_for_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="server's log says what") as failed:
        list(client.images.generate(prompt="a fault", stream=True))
    assert failed.value.body["type"] == "server_error"


def test_the_asynchronous_client_draws_side_by_side(address: str) -> None:
    async def draw() -> list:
        async with openai.AsyncOpenAI(base_url=address, api_key="none") as client:
            asked = [client.images.generate(prompt="a cat", extra_body={"seed": seed}) for seed in (1, 2)]
            stream = await client.images.generate(prompt="a cat", stream=True)
            return [await asyncio.gather(*asked), [event.type async for event in stream]]

    answers, kinds = asyncio.run(draw())
    assert [answer.data[0].seed for answer in answers] == [1, 2] and kinds[-1] == "image_generation.completed"


@pytest.mark.filterwarnings("ignore:.*create_variation:DeprecationWarning")
def test_edits_and_variations_take_pictures_as_clients_send_them(client: openai.OpenAI, address: str) -> None:
    picture, marked = png(), png(hole=(0, 0, 32, 16))
    for image, mask in (
        (picture, marked),
        ([picture], marked),
        (("x.txt", picture, "text/plain"), png(64, (0, 0, 64, 32))),
    ):
        answer = client.images.edit(image=image, mask=mask, prompt="a dog", response_format="b64_json")
        edited = opened(answer.data[0].b64_json).convert("RGB")
        assert edited.getpixel((16, 31)) == (90, 90, 90) != edited.getpixel((16, 0))
    own = client.images.edit(image=marked, prompt="a dog", response_format="b64_json")
    assert own.data[0].record["task"] == "inpaint"
    varied = client.images.create_variation(image=picture, n=2, response_format="b64_json")
    assert [one.record["task"] for one in varied.data] == ["variations"] * 2
    events = list(client.images.edit(image=picture, mask=marked, prompt="a dog", stream=True, partial_images=1))
    assert events[-1].type == "image_edit.completed"


def test_the_other_tasks_have_endpoints_beside_openai_s(plain: httpx.Client) -> None:
    image = {"image": ("a", png())}
    data = {"prompt[]": ["a cat"], "n": 3, "seed": 5}
    way = plain.post("/images/interpolations", data=data, files=image).json()
    assert [one["record"]["position"] for one in way["data"]] == [0.0, 0.5, 1.0]
    mixed = plain.post("/images/mixes", data={"prompt": ["a cat", "a dog"], "weight": [1, -0.5]}).json()
    assert mixed["data"][0]["record"]["parts"] == [["a cat", 1.0], ["a dog", -0.5]]
    moved = plain.post("/images/text-diffs", data={"prompt": "a dog", "n": 2, "strength": 0.5}, files=image).json()
    assert [one["record"]["strength"] for one in moved["data"]] == [0.0, 0.5]
    told = plain.post("/images/captions", data={"n": 2}, files={"image[]": ("a", png())}).json()
    assert len(told["data"]) == 2 and set(told["data"][0]) == {"caption", "score"}


@pytest.mark.parametrize(
    "asked, param, sentence",
    [
        ({"prompt": "a" * 32_000}, "prompt", "The prompt has 32,000 characters, but at most 1,000 are allowed"),
        ({"prompt": " "}, "prompt", "The prompt is empty"),
        ({"prompt": None}, "prompt", "prompt cannot be used"),
        ({}, "prompt", "The field prompt is missing."),
        ({"prompt": "a", "n": 0}, "n", "Ask for 1 to 10 pictures, not 0."),
        ({"prompt": "a", "n": 1000}, "n", "Ask for 1 to 10 pictures, not 1000."),
        ({"prompt": "a", "n": "many"}, "n", "n cannot be used"),
        ({"prompt": "a", "size": "huge"}, "size", "A size is WIDTHxHEIGHT"),
        ({"prompt": "a", "size": "0x512"}, "size", "A size is WIDTHxHEIGHT"),
        ({"prompt": "a", "size": "2048x2048", "enlarge": True}, "size", "up to 1024"),
        ({"prompt": "a", "quality": "sublime"}, "quality", "There is no quality 'sublime'"),
        ({"prompt": "a", "seed": -1}, "seed", "A seed must be a whole number"),
        ({"prompt": "a", "settings": "sublime"}, "settings", "There are no settings 'sublime'"),
        ({"prompt": "a", "settings": {"decoder": {"num_inference_steps": 101}}}, "settings", "at most 100 steps"),
        ({"prompt": "a", "settings": {"decoder": 5}}, "settings", "must be a table"),
        ({"prompt": "a", "settings": [1]}, "settings", "The settings are a preset's name or a table"),
        ({"prompt": "a", "settings": 5}, "settings", "The settings are a preset's name or a table"),
        ({"prompt": "a", "n": True}, "n", "A number is needed here, not true."),
        ({"prompt": "a", "seed": False}, "seed", "A number is needed here, not false."),
        ({"prompt": "a", "enlarge": True}, "size", "To be enlarged a picture needs a size"),
        ({"prompt": "a", "enlarge": True, "size": "auto"}, "size", "To be enlarged a picture needs a size"),
        ({"prompt": "a", "negative_prompt": "a" * 1_001}, "negative_prompt", "at most 1,000 are allowed"),
        ({"prompt": "a", "response_format": "gif"}, "response_format", "response_format cannot be used"),
        ({"prompt": "a", "partial_images": 4, "stream": True}, "partial_images", "partial_images cannot be used"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_field(
    asked: dict, param: str, sentence: str, plain: httpx.Client
) -> None:
    error = problem(plain.post("/images/generations", json=asked), 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error") and sentence in error["message"]


@pytest.mark.parametrize(
    "path, files, data, param, sentence",
    [
        ("variations", {}, {}, "image", "There is no picture: send its file"),
        ("variations", {}, {"image": "text"}, "image", "image must be a picture's file, not text."),
        ("variations", {"image": b"nonsense"}, {}, "image", "This is not a picture"),
        ("variations", {"image": b"%PDF-1.7"}, {}, "image", "a file of the kind PDF"),
        ("variations", {"image": png(), "image[]": png()}, {}, "image", "There are 2 pictures: send one."),
        ("edits", {"image": png()}, {"prompt": "a"}, "mask", "Nothing is marked: send a mask"),
        ("edits", {"image": png(), "mask": b"x"}, {"prompt": "a"}, "mask", "This is not a picture"),
        ("edits", {"image": png(32), "mask": png(9)[:60]}, {"prompt": "a"}, "mask", "is damaged"),
        ("captions", {"image": b""}, {}, "image", "There is no picture: send its file"),
        ("interpolations", {"image": png()}, {}, "image", "at least two ends"),
        ("interpolations", {}, {"prompt": ["a", "b"], "n": 1}, "n", "at least two frames"),
        ("mixes", {}, {"prompt": ["a", "b"], "weight": [1]}, "weight", "Weights given: 1,"),
        ("mixes", {}, {"prompt": ["a", "b"], "weight": [1, -1]}, "weight", "must sum to more than zero"),
        ("mixes", {}, {"prompt": ["a", "b"], "weight": ["inf", 1]}, "weight", "must be numbers"),
        ("mixes", {}, {}, "image", "at least one picture or prompt"),
        ("text-diffs", {"image": png()}, {"prompt": ""}, "prompt", "The field prompt is missing"),
        ("captions", {"image": png()}, {"n": 51}, "n", "Ask for 1 to 50 captions"),
    ],
)
def test_forms_are_refused_with_their_field(
    path: str, files: dict, data: dict, param: str, sentence: str, plain: httpx.Client
) -> None:
    answer = plain.post(f"/images/{path}", data={"unknown": "1", **data}, files={k: ("a", v) for k, v in files.items()})
    error = problem(answer, 400)
    assert error["param"] == param and sentence in error["message"]


def test_a_mask_of_another_shape_is_refused(plain: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("L", (32, 16), 255).save(file, "PNG")
    files = {"image": ("a", png()), "mask": ("b", file.getvalue())}
    error = problem(plain.post("/images/edits", data={"prompt": "a"}, files=files), 400)
    assert error["param"] == "mask" and "make them the same size" in error["message"]


@pytest.mark.parametrize(
    "content, kind, sentence",
    [
        (b"{", "application/json", "The body is not JSON"),
        (b"[]", "application/json", "must be a JSON table"),
        (b"\xff\xfe", "application/json", ""),
        (b'{"prompt": "a"}', "text/plain", "Content-Type: application/json"),
        (b"", "application/json", "The body is empty"),
    ],
)
def test_bodies_that_are_none_are_refused(content: bytes, kind: str, sentence: str, plain: httpx.Client) -> None:
    answer = plain.post("/images/generations", content=content, headers={"content-type": kind})
    assert sentence in problem(answer, 400)["message"]


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "application/json"])
def test_forms_that_are_none_are_refused(kind: str, plain: httpx.Client) -> None:
    problem(plain.post("/images/edits", content=b"--y\r\nnonsense", headers={"content-type": kind}), 400)


def test_addresses_that_are_none_say_where_the_api_is(plain: httpx.Client, address: str) -> None:
    assert "/v1/images/generations" in problem(plain.post("/images/paintings"), 404)["message"]
    answer = plain.get("/images/generations")
    assert problem(answer, 405) and answer.headers["allow"] == "POST"
    assert "any more" in problem(plain.get("/images/files/guessed.png"), 404)["message"]
    problem(plain.get("/models/nothing"), 404)
    misplaced = f"{address.removesuffix('/v1')}/images/generations"  # by a base URL without its end
    assert "/v1/images/generations" in problem(httpx.post(misplaced, json={"prompt": "a cat"}), 404)["message"]


def test_faults_of_ours_tell_nothing_of_the_server(plain: httpx.Client) -> None:
    for prompt in ("a fault", "a library's ValueError"):
        error = problem(plain.post("/images/generations", json={"prompt": prompt}), 500)
        assert error["type"] == "server_error" and "server's log" in error["message"]
    answer = plain.post("/images/generations", json={"prompt": "memory"})
    assert problem(answer, 503)["code"] == "out_of_memory" and answer.headers["x-should-retry"] == "false"


def test_large_bodies_are_refused_before_they_are_read(address: str) -> None:
    host, _, port = address.removeprefix("http://").removesuffix("/v1").partition(":")
    head = "POST /v1/images/edits HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    sent = (f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n", "Content-Length: many\r\n\r\n")
    for length, status in zip(sent, (b"413", b"400"), strict=True):
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            connection.sendall((head + length).encode())
            assert status in connection.recv(4096).split(b"\r\n")[0]
    chunks = (b"0" * 1_000_000 for _ in range(MAX_BODY_BYTES // 1_000_000 + 2))
    form = {"content-type": "multipart/form-data; boundary=x"}
    body = b"--x\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n"
    answer = httpx.post(f"{address}/images/edits", content=(c for c in (body, *chunks)), headers=form, timeout=SECONDS)
    assert problem(answer, 413)["code"] == "request_too_large"


def test_text_is_bounded_more_tightly_than_pictures(plain: httpx.Client) -> None:
    nested = '{"a":' * 5000
    answer = plain.post("/images/variations", data={"settings": nested}, files={"image": ("a", png())})
    assert "The settings are no JSON" in problem(answer, 400)["message"]
    answer = plain.post("/images/generations", json={"prompt": "a cat", "more": ["a"] * 500_000})
    assert problem(answer, 413)["message"] == "The request is larger than 1 MB: send less text."
    file, text = io.BytesIO(), PngInfo()
    text.add_text("parameters", "[" * 5000)
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=text)
    answer = plain.post("/images/reports", data={"reason": "other"}, files={"image": ("a", file.getvalue())})
    assert answer.status_code in (200, 400)


def test_so_many_pictures_and_prompts_make_one(plain: httpx.Client) -> None:
    answer = plain.post("/images/mixes", data={"prompt": ["a cat"] * (MAX_CONTENTS + 1)})
    assert problem(answer, 400)["message"].startswith(f"Send at most {MAX_CONTENTS} pictures and prompts")
    files = [("image[]", ("a", png()))] * (MAX_CONTENTS + 1)
    assert problem(plain.post("/images/interpolations", files=files), 400)["param"] == "image"


def test_a_body_that_stops_half_way_is_given_up(address: str, service: Service, plain: httpx.Client) -> None:
    host, _, port = address.removeprefix("http://").removesuffix("/v1").partition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        head = "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99"
        connection.sendall(f'{head}\r\n\r\n{{"prompt": "a'.encode())
    assert plain.get("/models").status_code == 200 and not service.queue.tickets


def test_a_body_that_comes_too_slowly_is_given_up(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SILENT_SECONDS", 0.2)
    host, _, port = address.removeprefix("http://").removesuffix("/v1").partition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        head = "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99"
        connection.sendall(f'{head}\r\nConnection: close\r\n\r\n{{"prompt": "a'.encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 408") and "The body took too long to arrive" in answer


def test_a_large_body_may_come_over_a_slow_line_and_a_dripping_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SENDING_SECONDS", 0.2)

    async def came(size: int) -> int:
        async def receive() -> dict:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"x" * size, "more_body": True}

        within = gate.bounded({"type": "http", "headers": []}, receive)
        return sum([len((await within())["body"]) for _ in range(12)])

    assert asyncio.run(came(gate.SLOWEST)) == 12 * gate.SLOWEST  # three times as long as without a byte
    with pytest.raises(HTTPException, match="The body took too long to arrive"):
        asyncio.run(came(1))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_gives_its_pictures_up(stream: bool, address: str, held: Held, service: Watched) -> None:
    held.go.clear()
    service.left.clear()
    try:
        with pytest.raises(httpx.ReadTimeout):
            asked = {"prompt": "a cat", "n": 4, "stream": stream}
            with httpx.stream("POST", f"{address}/images/generations", json=asked, timeout=1) as answer:
                answer.read()
        assert service.left.wait(SECONDS)
        before = held.steps
    finally:
        held.go.set()
    wait_until(lambda: not service.queue.tickets)
    assert held.steps <= before + 1


def test_a_full_queue_says_when_to_come_back(address: str, held: Held, service: Service, plain: httpx.Client) -> None:
    asked = {"prompt": "a cat"}
    plain.post("/images/generations", json=asked)
    held.go.clear()
    drawn: list[httpx.Response] = []

    def draw() -> None:
        drawn.append(httpx.post(f"{address}/images/generations", json=asked, timeout=SECONDS))

    threads = [threading.Thread(target=draw) for _ in range(WAITING + 1)]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: len(service.queue.tickets) == WAITING + 1)
        for stream in (False, True):
            answer = plain.post("/images/generations", json=asked | {"stream": stream})
            error = problem(answer, 429)
            assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
            assert 1 <= int(answer.headers["retry-after"]) <= 120
    finally:
        held.go.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in drawn] == [200] * (WAITING + 1)


def test_the_page_is_there_too_and_crawlers_are_told_to_stay_out(address: str, plain: httpx.Client) -> None:
    page = address.removesuffix("/v1")
    assert "<gradio-app" in httpx.get(page).text or "gradio" in httpx.get(page).text
    assert "Disallow: /" in httpx.get(f"{page}/robots.txt").text
    document = plain.get("/openapi.json").json()
    assert {"/images/generations", "/images/edits", "/images/variations", "/models"} <= set(document["paths"])
    assert document["servers"] == [{"url": "/v1"}]
    assert json.dumps(document).count(str(Path.home())) == 0
