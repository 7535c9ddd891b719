"""Connections of our servers: silent ones end, long answers do not, nobody holds all, and only named proxies count."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState
from visitor import SECONDS, free_port

from dalle2.serving.api import connections
from dalle2.serving.api.connections import uvicorn_options

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


async def app(scope: dict, receive: object, send: object) -> None:
    """Tells who asks, slowly."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"you are ", scope["client"][0].encode()):
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(3 * connections.HEAD_SECONDS if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving(*proxies: str) -> Iterator[int]:
    """The port of a server with these proxies."""
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="error", timeout_keep_alive=1, **uvicorn_options(proxies))
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEAD_SECONDS", 0.3)
        with serving() as port:
            yield port


def connected(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n" + HEAD])
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes, port: int) -> None:
    with connected(port, sent) as connection:
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.count(b"you are ") == sent.count(b"\r\n\r\n")


def test_a_head_that_drips_is_not_waited_for_either(port: int) -> None:
    with connected(port, HEAD) as connection, pytest.raises(OSError):
        for _ in range(SECONDS * 10):
            connection.sendall(b"x")
            time.sleep(0.1)


def test_an_answer_may_take_longer_than_a_head(port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/slow", timeout=SECONDS)
    assert answer.text == "you are 127.0.0.1"


def test_an_answer_that_is_not_read_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    aborted = threading.Event()

    class Transport:
        def abort(self) -> None:
            aborted.set()

    async def unread() -> None:
        config = uvicorn.Config(app, log_level="error", **uvicorn_options())
        config.load()
        connection = connections.Connection(config, ServerState(), {})
        connection.transport, connection.flow = Transport(), FlowControl(Transport())
        connection.pause_writing()
        connection.resume_writing()  # read in time
        await asyncio.sleep(0.4)
        assert not aborted.is_set()
        connection.pause_writing()
        await asyncio.sleep(0.4)

    asyncio.run(unread())
    assert aborted.is_set()


@pytest.mark.parametrize("language, said", [("en", "Too many connections are open"), ("zh-CN", "打开的连接太多")])
def test_when_there_is_no_room_it_is_said_and_this_machine_may_hold_more_than_one_address(
    language: str, said: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SHARE_OF_ONE", connections.MOST)
    address, headers = f"http://127.0.0.1:{port}", {"accept-language": language}
    held = [connected(port) for _ in range(3)]
    assert httpx.get(address, timeout=SECONDS).status_code == 200
    monkeypatch.setattr(connections, "most", lambda: 0)
    answer = httpx.get(address, headers=headers, timeout=SECONDS)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
    assert said in answer.json()["error"]["message"] and answer.headers["connection"] == "close"
    monkeypatch.undo()
    for connection in held:
        connection.close()


def test_one_address_does_not_hold_all_connections(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most", lambda: 8)
    monkeypatch.setattr(connections, "is_loopback", lambda _: False)
    held = [connected(port) for _ in range(2)]
    answer = httpx.get(f"http://127.0.0.1:{port}", timeout=SECONDS)
    for connection in held:
        connection.close()
    assert answer.status_code == 503


class Silent:
    """The transport of a client that connects and sends nothing."""

    aborted = False

    def __init__(self, host: str) -> None:
        self.host = host

    def get_extra_info(self, name: str) -> object:
        return (self.host, 5) if name == "peername" else None

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


def test_who_is_refused_and_stays_silent_takes_nobody_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most", lambda: 8)
    monkeypatch.setattr(connections, "REFUSED", 3)
    config = uvicorn.Config(app, log_level="error", **uvicorn_options())
    config.load()
    state = ServerState()

    def connect(host: str) -> connections.Connection:
        connection = connections.Connection(config, state, {})
        connection.connection_made(Silent(host))
        return connection

    async def crowd() -> None:
        school = [connect("192.0.2.1") for _ in range(12)]  # a quarter of eight has room, three are told that not
        assert [one.refused for one in school] == [False] * 2 + [True] * 10
        assert [one.transport.aborted for one in school] == [False] * 5 + [True] * 7
        waits = [one._head.when() - one.loop.time() for one in (school[0], school[2])]
        assert waits[0] > connections.REFUSED_SECONDS >= waits[1]
        assert not connect("192.0.2.2").refused
        for one in school:
            one._head = connections._stopped(one._head)

    monkeypatch.setattr(connections, "HEAD_SECONDS", 20.0)
    asyncio.run(crowd())


def test_where_the_system_does_not_tell_its_bounds_there_may_be_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    spec = spec_from_file_location("connections_elsewhere", connections.__file__)
    fresh = module_from_spec(spec)
    spec.loader.exec_module(fresh)
    assert fresh.most() == fresh.MOST


def test_only_a_named_proxy_is_believed(port: int) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
    assert httpx.get(f"http://127.0.0.1:{port}", headers=forged, timeout=SECONDS).text == "you are 127.0.0.1"
    with serving("127.0.0.0/8") as proxied:
        told = httpx.get(f"http://127.0.0.1:{proxied}", headers=forged, timeout=SECONDS).text
    assert told == "you are 192.0.2.7"  # the last one is the proxy's own word; what stands before anybody may write


def test_as_many_files_may_be_open_as_connections() -> None:
    import resource

    connections.most.cache_clear()
    assert 1 <= connections.most() <= connections.MOST
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= connections.most() + min(connections.FILES, 1)
