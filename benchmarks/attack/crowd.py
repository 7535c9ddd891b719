"""A crowd: visitors of the page and programs of the API, each of which asks again as soon as it has its picture."""

import base64
import io
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
from gradio_client import Client
from PIL import Image

from benchmarks.attack import fuzzing
from benchmarks.attack.answers import Answer, judged, leaks
from benchmarks.visitors import visit

IMPATIENCE = 5.0  # seconds after which whoever is told to come back in a minute is back
PATIENCE = 300.0  # seconds: who waits for longer is not served
EXPECTED = (200, 429)  # drawn, or told when to come back
FUZZED = (200, 400, 404, 413, 429)
GREY = (90, 90, 90)

Ask = Callable[[httpx.Client, int], httpx.Response]


def visitors(address: str, many: int, seconds: float) -> list[Answer]:
    """Let in so many visitors of the page for so many seconds."""
    return _at_once(many, lambda number: _visitor(address, number, seconds))


def clients(address: str, many: int, seconds: float) -> list[Answer]:
    """Let as many programs use the API, each one task after another."""
    return _at_once(many, lambda number: _client(address, number, seconds))


def fuzzed(address: str, many: int, seed: int = 7, at_once: int = 8) -> list[Answer]:
    """Send so many requests that are broken at random; none may be a fault of the server's."""

    def send(part: int) -> list[Answer]:
        found = []
        with httpx.Client(base_url=f"{address}/v1/images/", timeout=PATIENCE) as http:
            for number in range(part, many, at_once):
                path, content, kind = fuzzing.request(random.Random(f"{seed} {number}"))
                made = _timed(partial(http.post, path, content=content, headers={"Content-Type": kind}), FUZZED)
                found.append(replace(made, fault=f"{made.fault} (request {number})") if made.fault else made)
        return found

    return _at_once(at_once, send)


def _at_once(many: int, work: Callable[[int], list[Answer]]) -> list[Answer]:
    if not many:
        return []
    with ThreadPoolExecutor(many) as pool:
        return list(itertools.chain(*pool.map(work, range(many))))


def _visitor(address: str, number: int, seconds: float) -> list[Answer]:
    found: list[Answer] = []
    with tempfile.TemporaryDirectory() as folder:
        client = Client(address, verbose=False, download_files=folder, httpx_kwargs={"timeout": PATIENCE})
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            made = visit(client, f"a cat face of visitor {number}", 1_000_000 * number + len(found))
            known = made.outcome in ("own", "busy")
            fault = "" if known else leaks(made.outcome) or f"A visitor got: {made.outcome[:200]}"
            found.append(Answer(made.outcome if known else "error", made.seconds, fault))
            if made.outcome == "busy":
                time.sleep(IMPATIENCE)
    return found


def _client(address: str, number: int, seconds: float) -> list[Answer]:
    """One program: every other request a prompt, whose picture must be its own; between them the other tasks."""
    found: list[Answer] = []
    deadline = time.monotonic() + seconds
    tasks = itertools.cycle([_generation, _form("variations"), _stream, _form("edits"), _generation, _form("captions")])
    with httpx.Client(base_url=f"{address}/v1/images/", timeout=PATIENCE) as http:
        for task in tasks:
            if time.monotonic() >= deadline:
                return found
            seed = 2_000_000_000 + 100_000 * number + len(found)
            found.append(_timed(partial(task, http, seed), EXPECTED))
            if found[-1].outcome == "429":
                time.sleep(IMPATIENCE)
    return found


def _timed(ask: Callable[[], httpx.Response], allowed: tuple[int, ...]) -> Answer:
    begun = time.monotonic()
    try:
        answer = ask()
    except (httpx.HTTPError, ForeignPicture) as error:
        return Answer(type(error).__name__, time.monotonic() - begun, f"{type(error).__name__}: {error}")
    kind = answer.headers.get("content-type", "")
    return judged(answer.status_code, answer.text, kind, time.monotonic() - begun, allowed)


class ForeignPicture(Exception):
    """A picture of somebody else's prompt or seed."""


def _generation(http: httpx.Client, seed: int) -> httpx.Response:
    asked = {"prompt": f"a cat face of program {seed}", "seed": seed, "literal": True, "response_format": "b64_json"}
    answer = http.post("generations", json=asked)
    if answer.status_code == 200:
        (drawn,) = answer.json()["data"]
        _check(drawn["b64_json"], asked)
    return answer


def _stream(http: httpx.Client, seed: int) -> httpx.Response:
    asked = {"prompt": f"a cat face of program {seed}", "seed": seed, "literal": True, "stream": True}
    answer = http.post("generations", json=asked | {"partial_images": 2})
    if answer.status_code == 200:
        *_, last = _events(answer.text)
        _check(last["b64_json"], asked)
    return answer


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _check(file: str, asked: dict[str, Any]) -> None:
    with Image.open(io.BytesIO(base64.b64decode(file))) as picture:
        picture.load()
        record = json.loads(picture.info["parameters"])
    if (record["prompt"], record["seed"]) != (asked["prompt"], asked["seed"]):
        raise ForeignPicture(f"{asked['prompt']} got {record['prompt']}")


def _form(path: str) -> Ask:
    """Return what asks for a task of a picture."""
    picture = Image.new("RGBA", (64, 64), GREY)
    picture.paste((0, 0, 0, 0), (0, 0, 64, 32))
    file = io.BytesIO()
    picture.save(file, "PNG")
    fields = {"prompt": "a cat face", "settings": "draft"} if path != "captions" else {}

    def ask(http: httpx.Client, seed: int) -> httpx.Response:
        return http.post(path, data={**fields, "seed": str(seed)}, files={"image": ("a.png", file.getvalue())})

    return ask
