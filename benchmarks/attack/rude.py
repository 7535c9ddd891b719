"""Clients without manners: bodies that drip or stop, streams that are dropped, and all at once."""

import asyncio
import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from benchmarks.attack.answers import Answer, judged
from benchmarks.attack.crowd import PATIENCE
from dalle2.serving.api import connections
from dalle2.serving.api.replies import Models, Pictures

HEAD = "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BEGINNING = '{"prompt": "a cat'
DRIP_SECONDS = 0.2
ENDING_SECONDS = 60.0  # in which what was given up must be gone from the queue
LATE_SECONDS = 10.0  # by which a server may be late in hanging up, on a busy machine


def slow_senders(address: str, many: int, seconds: float) -> list[Answer]:
    """Drip so many bodies for so many seconds; meanwhile others must be answered at once."""
    dripping = [_connection(address) for _ in range(many)]
    begun, found = time.monotonic(), []
    with httpx.Client(base_url=address, timeout=PATIENCE) as http:
        while time.monotonic() - begun < seconds:
            for connection in dripping:
                connection.sendall(b"x")
            found.append(_asked_beside(http))
            time.sleep(DRIP_SECONDS)
    for connection in dripping:
        connection.close()
    return found + [Answer("dripped and left", 0.0) for _ in dripping]


def slow_heads(address: str, many: int) -> list[Answer]:
    """Send half of the heads of so many requests; others must be answered, and these be hung up on in time."""
    place, begun, found = urlsplit(address), time.monotonic(), []
    waiting = [socket.create_connection((place.hostname, place.port), timeout=PATIENCE) for _ in range(many)]
    for connection in waiting:
        connection.sendall(HEAD.encode())
    with httpx.Client(base_url=address, timeout=PATIENCE) as http:
        found.append(_asked_beside(http))
    for connection in waiting:
        connection.settimeout(max(begun + connections.HEAD_SECONDS + LATE_SECONDS - time.monotonic(), 0.1))
        try:
            with contextlib.suppress(ConnectionError):
                connection.recv(4096)
            found.append(Answer("hung up", time.monotonic() - begun))
        except TimeoutError:
            found.append(Answer("held open", time.monotonic() - begun, "Half a head holds a connection for long."))
        connection.close()
    return found


def half_sent(address: str, many: int) -> list[Answer]:
    """Send half of so many bodies, and leave."""
    begun = time.monotonic()
    for _ in range(many):
        _connection(address).close()
    return [Answer("left", time.monotonic() - begun) for _ in range(many)] + _emptied(address)


def dropped_streams(address: str, many: int) -> list[Answer]:
    """Begin so many streams of pictures at once and leave after the first word; nothing more may be drawn for them."""

    def drop(number: int) -> Answer:
        begun = time.monotonic()
        asked = {"prompt": f"a cat face {number}", "n": 4, "stream": True}
        with httpx.stream("POST", f"{address}/v1/images/generations", json=asked, timeout=PATIENCE) as answer:
            if answer.status_code == 200:
                first = next(answer.iter_text(), "")
                return Answer("dropped", time.monotonic() - begun, "" if first else "A stream without a word.")
            answer.read()
            return judged(answer, time.monotonic() - begun, (429,))

    with ThreadPoolExecutor(min(many, 16)) as pool:
        found = list(pool.map(drop, range(many)))
    return found + _emptied(address)


def all_at_once(address: str, many: int) -> list[Answer]:
    """Ask for so many pictures in one moment: some are drawn, and the rest is told when to come back."""

    async def send() -> list[Answer]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as http:
            return list(await asyncio.gather(*(ask(http, number) for number in range(many))))

    async def ask(http: httpx.AsyncClient, number: int) -> Answer:
        begun = time.monotonic()
        asked = {"prompt": "a cat face", "seed": number, "settings": "draft"}
        try:
            answer = await http.post("/v1/images/generations", json=asked)
        except httpx.HTTPError as error:
            return Answer(type(error).__name__, time.monotonic() - begun, f"{type(error).__name__}: {error}")
        return judged(answer, time.monotonic() - begun, (200, 429), Pictures)

    return asyncio.run(send())


def _asked_beside(http: httpx.Client) -> Answer:
    begun = time.monotonic()
    return judged(http.get("/v1/models"), time.monotonic() - begun, (200,), Models)


def _connection(address: str) -> socket.socket:
    """Return a connection on which half of a request was sent."""
    place = urlsplit(address)
    connection = socket.create_connection((place.hostname, place.port), timeout=PATIENCE)
    connection.sendall(f"{HEAD}Content-Length: 4000\r\n\r\n{BEGINNING}".encode())
    return connection


def _emptied(address: str) -> list[Answer]:
    """Wait until the queue is empty, which must not take long once everybody has left."""
    begun = time.monotonic()
    with httpx.Client(base_url=address, timeout=PATIENCE) as http:
        while waiting := http.get("/v1/counts").json()["waiting"]:
            if time.monotonic() - begun > ENDING_SECONDS:
                return [Answer("still drawing", ENDING_SECONDS, f"{waiting} requests are drawn for nobody.")]
            time.sleep(0.1)
    return [Answer("queue empty", time.monotonic() - begun)]
