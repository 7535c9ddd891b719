"""A crowd: visitors of the page and programs of the API, each of which asks again as soon as it has its picture.

A program's picture must be its own: by the prompt or source and the seed in its record, and of some by its pixels,
which must be those that the server draws of the same seed when it is asked again.
"""

import base64
import io
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import numpy as np
from gradio_client import Client
from PIL import Image
from pydantic import BaseModel

from benchmarks.attack import fuzzing
from benchmarks.attack.answers import Answer, events, judged, leaks
from benchmarks.visitors import visit
from dalle2.requests import name_of
from dalle2.serving.api.replies import Captions, Pictures, Reported

IMPATIENCE = 5.0  # seconds after which whoever is told to come back in a minute is back
PATIENCE = 300.0  # seconds: who waits for longer is not served
EXPECTED = (200, 429)  # drawn, or told when to come back
FUZZED = (200, 400, 404)
PROVED = 3  # pictures of each program that are drawn again at its end
CLOSE = 2  # levels by which a picture may differ that was drawn in another batch: a rounding may tip one over

Ask = Callable[[httpx.Client, int], tuple[httpx.Response, list[Image.Image]]]


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
                ask = partial(http.post, path, content=content, headers={"Content-Type": kind})
                made = timed(ask, FUZZED, {"captions": Captions, "reports": Reported}.get(path, Pictures))
                found.append(replace(made, fault=f"{made.fault} (request {number})") if made.fault else made)
        return found

    return _at_once(at_once, send)


def timed(ask: Callable[[], httpx.Response], allowed: tuple[int, ...], reply: type[BaseModel] | None = None) -> Answer:
    """Return what is answered, and how soon; who is not answered, or gets a foreign picture, has a fault."""
    begun = time.monotonic()
    try:
        answer = ask()
    except (httpx.HTTPError, ForeignPicture) as error:
        return Answer(type(error).__name__, time.monotonic() - begun, f"{type(error).__name__}: {error}")
    return judged(answer, time.monotonic() - begun, allowed, reply)


class ForeignPicture(Exception):
    """A picture of somebody else's prompt, source or seed."""


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
    kept: dict[int, tuple[Ask, list[Image.Image]]] = {}
    forms = [_form(path, number) for path in ("variations", "edits", "captions")]
    tasks = itertools.cycle([_generation, forms[0], _stream, forms[1], _generation, forms[2]])
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=f"{address}/v1/images/", timeout=PATIENCE) as http:
        for task in tasks:
            if time.monotonic() >= deadline:
                break
            seed = 2_000_000_000 + 100_000 * number + len(found)
            pictures: list[Image.Image] = []
            reply = Captions if task is forms[2] else Pictures
            found.append(timed(partial(_drawn, task, http, seed, pictures), EXPECTED, reply))
            if found[-1].outcome == "429":
                time.sleep(IMPATIENCE)
            elif pictures and len(kept) < PROVED:
                kept[seed] = task, pictures
        return found + [_proved(http, seed, *one) for seed, one in kept.items()]


def _drawn(task: Ask, http: httpx.Client, seed: int, pictures: list[Image.Image]) -> httpx.Response:
    """Ask, and keep the pictures that came."""
    answer, found = task(http, seed)
    pictures += found
    return answer


def _proved(http: httpx.Client, seed: int, task: Ask, pictures: list[Image.Image]) -> Answer:
    """Draw pictures again by their seed: what came in the crowd must have been these, and nobody else's."""
    begun, again = time.monotonic(), []
    while not again and time.monotonic() - begun < PATIENCE:
        made = timed(partial(_drawn, task, http, seed, again), EXPECTED)
        if made.fault:
            return made
        time.sleep(0 if again else 1)
    pairs = zip(pictures, again, strict=False)
    same = len(pictures) == len(again) and all(_difference(one, other) <= CLOSE for one, other in pairs)
    fault = "" if same else f"The picture of seed {seed} is another one than the server draws of that seed."
    return Answer("drawn again", time.monotonic() - begun, fault)


def _difference(one: Image.Image, other: Image.Image) -> int:
    if one.size != other.size:
        return 255
    levels = [np.asarray(picture.convert("RGB"), dtype=int) for picture in (one, other)]
    return int(np.abs(levels[0] - levels[1]).max())


def _generation(http: httpx.Client, seed: int) -> tuple[httpx.Response, list[Image.Image]]:
    asked = {"prompt": f"a cat face of program {seed}", "seed": seed, "literal": True, "response_format": "b64_json"}
    answer = http.post("generations", json=asked)
    if answer.status_code != 200:
        return answer, []
    (drawn,) = answer.json()["data"]
    return answer, [_own(drawn["b64_json"], asked)]


def _stream(http: httpx.Client, seed: int) -> tuple[httpx.Response, list[Image.Image]]:
    asked = {"prompt": f"a cat face of program {seed}", "seed": seed, "literal": True, "stream": True}
    answer = http.post("generations", json=asked | {"partial_images": 2})
    last = list(events(answer.text))[-1:] if answer.status_code == 200 else []
    return answer, [_own(event["b64_json"], asked) for event in last if "b64_json" in event]


def _form(path: str, number: int) -> Ask:
    """Return what asks for a task of a picture, which no other program has."""
    picture = Image.new("RGBA", (64, 64), (number % 256, number // 256 % 256, 90))
    picture.paste((0, 0, 0, 0), (0, 0, 64, 32))
    file = io.BytesIO()
    picture.save(file, "PNG")
    fields = {"settings": "draft", "response_format": "b64_json"} if path != "captions" else {}
    named = name_of(picture)

    def ask(http: httpx.Client, seed: int) -> tuple[httpx.Response, list[Image.Image]]:
        data = {**fields, "seed": str(seed)} | ({"prompt": "a cat face"} if path == "edits" else {})
        answer = http.post(path, data=data, files={"image": ("a.png", file.getvalue())})
        if answer.status_code != 200 or path == "captions":
            return answer, []
        (drawn,) = answer.json()["data"]
        return answer, [_own(drawn["b64_json"], {"seed": seed, "picture": named})]

    return ask


def _own(file: str, asked: dict[str, Any]) -> Image.Image:
    """Return the picture; ForeignPicture where its record has another prompt, source or seed."""
    with Image.open(io.BytesIO(base64.b64decode(file))) as picture:
        picture.load()
        record = json.loads(picture.info["parameters"])
    wanted = {name: asked[name] for name in ("prompt", "picture", "seed") if name in asked}
    got = {name: record.get(name) for name in wanted}
    if got != wanted:
        raise ForeignPicture(f"{wanted} got {got}")
    return picture
