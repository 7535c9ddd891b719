"""Keys, limits, addresses that expire and the log: who may draw, how much, and what is written down of it."""

import asyncio
import hashlib
import logging
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dalle2 import serve
from dalle2.model import UnclipModel
from dalle2.serving.api import options as serving
from dalle2.serving.api.address import _tell_of_proxy, asker
from dalle2.serving.api.alone import alone, beside
from dalle2.serving.api.gate import FREE_PER_MINUTE
from dalle2.serving.api.keys import Key, Keys, make
from dalle2.serving.api.links import Links
from dalle2.serving.api.meter import Meter
from dalle2.serving.api.problems import Problem
from dalle2.serving.api.routes import api
from dalle2.serving.api.shared import SharedLinks, SharedMeter
from dalle2.serving.log import Lines
from dalle2.serving.service import Service

DRAFT = {"prompt": "a cat", "settings": "draft"}


@pytest.fixture(scope="module")
def service(model: UnclipModel) -> Service:
    return Service(model)


@pytest.fixture
def made(tmp_path: Path) -> tuple[str, Path]:
    path = tmp_path / "keys"
    return make(path, "alice", 60, 2), path


@pytest.fixture
def client(service: Service, made: tuple[str, Path]) -> Iterator[TestClient]:
    with TestClient(alone(service, Keys.read(made[1]))) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_the_file_keeps_only_hashes_and_only_its_owner_reads_it(made: tuple[str, Path]) -> None:
    key, path = made
    assert make(path, "bob") != key and key not in path.read_text() and "sk-" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = Keys.read(path)
    assert keys.keys[0] == Key("alice", hashlib.sha256(key.encode()).hexdigest(), 60, 2)
    found = [asyncio.run(keys.find(given)) for given in (key, key[:-1], "")]
    assert [one and one.name for one in found] == ["alice", None, None]
    with pytest.raises(ValueError, match="has a key called alice already"):
        make(path, "alice")
    for name in ("a b", "", "x" * 65, "a#b"):
        with pytest.raises(ValueError, match="A key's name has 1 to 64"):
            make(path, name)
    assert len(Keys.read(path).keys) == 2


@pytest.mark.parametrize(
    "line", ["alice", "alice 12ab", f"alice {'0' * 64} many", f"alice {'0' * 64} 0 1", "a b c d e"]
)
def test_a_line_that_is_no_key_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# who may draw\n\n{line}\n")
    with pytest.raises(ValueError, match=f"Line 3 of {path} is not NAME SHA256"):
        Keys.read(path)


def test_behind_a_proxy_of_its_own_the_api_is_open_to_that_machine_alone(service: Service) -> None:
    app = beside(service, api(service, Keys(), near=True))
    for host, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 401), ("testclient", 401)):
        assert TestClient(app, client=(host, 5000)).get("/v1/models").status_code == status


def test_only_a_key_opens_the_api(client: TestClient, made: tuple[str, Path]) -> None:
    for headers in ({}, bearer("sk-wrong"), bearer(""), {"Authorization": f"Basic {made[0]}"}, bearer("é" * 9000)):
        headers = {name: value.encode("utf-8") for name, value in headers.items()}
        answer = client.post("/v1/images/generations", json=DRAFT, headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    drawn = client.post("/v1/images/generations", json=DRAFT, headers=bearer(made[0]))
    assert drawn.status_code == 200
    # What a client shows to others, or to programs that look around, needs no key.
    assert client.get(drawn.json()["data"][0]["url"]).content.startswith(b"\x89PNG")
    assert client.get("/v1/openapi.json").status_code == client.get("/health").status_code == 200
    assert "Disallow: /" in client.get("/robots.txt").text
    assert client.get("/v1/models").status_code == 401


def test_a_key_draws_so_many_pictures_at_a_time(client: TestClient, made: tuple[str, Path]) -> None:
    answer = client.post("/v1/images/generations", json=DRAFT | {"n": 3}, headers=bearer(made[0]))
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "n"
    for _ in range(2):  # what was refused or is done does not count
        assert client.post("/v1/images/generations", json=DRAFT | {"n": 2}, headers=bearer(made[0])).status_code == 200


def test_a_caller_is_told_when_there_is_room_again() -> None:
    now = [100.0]
    asyncio.run(metered(Meter(lambda: now[0]), now))


async def metered(meter: Meter | SharedMeter, now: list[float]) -> None:
    """Alice may ask twice a minute, and have three pictures drawn at a time."""
    caller = await meter.count("alice", 2, 3)
    with pytest.raises(Problem) as busy:
        async with caller.drawing(2, lambda: 7.0), caller.drawing(2, lambda: 7.0):
            pass
    assert (busy.value.status, busy.value.response().headers["retry-after"]) == (429, "7")
    with pytest.raises(Problem, match="at a time: ask for fewer"):
        async with caller.drawing(4, lambda: 7.0):
            pass
    async with caller.drawing(3, lambda: 7.0):
        pass
    now[0] += 10.0
    await meter.count("alice", 2, 3)
    with pytest.raises(Problem) as often:
        await meter.count("alice", 2, 3)
    assert (often.value.status, often.value.response().headers["retry-after"]) == (429, "50")
    await meter.count("bob", 2, 3)
    now[0] += 50.5
    await meter.count("alice", 2, 3)


@pytest.mark.parametrize("seconds, header", [(0.0, "1"), (1.2, "2"), (4000.0, "120")])
def test_nobody_is_told_to_wait_for_longer_than_clients_do(seconds: float, header: str) -> None:
    assert Problem(429, "Later.", retry_after=seconds).response().headers["retry-after"] == header


def test_addresses_end_and_the_oldest_first() -> None:
    now = [0.0]
    asyncio.run(linked(Links(seconds=10, most_bytes=10, clock=lambda: now[0]), now))


async def linked(links: Links | SharedLinks, now: list[float]) -> None:
    """What lies there lies there for ten seconds, and ten bytes of all of it."""
    first = await links.put(b"12345", "image/png")
    assert first.endswith(".png") and len(first) > 30
    now[0] += 1.0
    assert await links.put(b"12345", "image/png") != first
    now[0] += 8.0
    assert (await links.get(first)).content == b"12345"
    late = await links.put(b"6789", "image/webp")  # too much of all: the oldest goes
    assert await links.get(first) is None and (await links.get(late)).kind == "image/webp"
    now[0] += 11.0
    assert await links.get(late) is None and await links.get("") is None


def test_beyond_this_machine_the_api_is_closed_without_keys(service: Service, tmp_path: Path) -> None:
    def keys(*arguments: str, host: str) -> Keys | None:
        return serving.keys(serve.parser().parse_args(arguments), host)

    assert keys(host="127.0.0.1") is keys(host="localhost") is keys(host="::1") is None
    assert keys("--open-api", host="0.0.0.0") is None
    closed = keys(host="0.0.0.0")
    assert closed.keys == ()
    with TestClient(alone(service, closed)) as client:
        assert client.post("/v1/images/generations", json=DRAFT, headers=bearer("sk-any")).status_code == 401


def test_web_pages_of_other_sites_cannot_draw_on_this_machine(service: Service) -> None:
    with TestClient(alone(service)) as client:
        for origin, status in (
            ("https://example.com", 403),
            ("null", 403),
            ("http://[::1", 403),
            ("http://localhost:5173", 200),
        ):
            answer = client.post("/v1/images/generations", json=DRAFT, headers={"Origin": origin})
            assert answer.status_code == status, origin
    with TestClient(alone(service, public=True)) as client:
        headers = {"Origin": "https://example.com"}
        assert client.post("/v1/images/generations", json=DRAFT, headers=headers).status_code == 200
        for _ in range(59):
            client.get("/v1/models")
        late = client.get("/v1/models")
        assert late.status_code == 429 and 1 <= int(late.headers["retry-after"]) <= 60


def test_the_log_has_no_prompts_unless_asked(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dalle2.api"), TestClient(alone(service)) as client:
        url = client.post("/v1/images/generations", json=DRAFT).json()["data"][0]["url"]
        client.get(url)
    assert "POST /images/generations 200" in caplog.text and "GET /images/files/… 200" in caplog.text
    assert "a cat" not in caplog.text and url.rpartition("/")[2] not in caplog.text
    with caplog.at_level(logging.INFO, "dalle2.api"), TestClient(alone(service, log_prompts=True)) as client:
        client.post("/v1/images/generations", json=DRAFT)
    assert "prompts: ['a cat']" in caplog.text


def test_addresses_are_those_by_which_the_client_came(service: Service) -> None:
    with TestClient(alone(service), root_path="/sub") as client:
        proxied = {"X-Forwarded-Host": "draw.example.org", "X-Forwarded-Proto": "https"}
        answer = client.post("/sub/v1/images/generations", json=DRAFT, headers=proxied).json()
        odd = {"X-Forwarded-Host": "a<b", "X-Forwarded-Proto": "javascript", "Host": "[::1"}
        other = client.post("/sub/v1/images/generations", json=DRAFT, headers=odd).json()
    assert answer["data"][0]["url"].startswith("https://draw.example.org/sub/v1/images/files/")
    assert other["data"][0]["url"].startswith("http://localhost/sub/v1/images/files/")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--host", "0.0.0.0"], "Beyond this machine (0.0.0.0) the API needs keys"),
        (["--api-keys", "missing"], "missing is not a file of API keys"),
        (["--api-keys", "missing", "--open-api"], "choose one"),
        (["--port", "0"], "A port is a number from 1 to 65535, not 0."),
        (["--checkpoint", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("dalle2 serve: ") and sentence in told and "Traceback" not in told


def test_a_key_is_made_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    assert serve.new_key(["carol", "--api-keys", str(path), "--pictures", "4"]) == 0
    key = capsys.readouterr().out.strip()
    assert asyncio.run(Keys.read(path).find(key)).pictures == 4
    assert serve.new_key(["carol", "--api-keys", str(path)]) == 1
    assert "has a key called carol already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "client, counted",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("", ""),
        ("x" * 99, "x" * 64),
    ],
)
def test_limits_are_counted_by_address_or_the_network_of_an_ipv6_address(client: str, counted: str) -> None:
    assert asker(client) == counted


def test_who_changes_addresses_within_a_network_has_one_limit(service: Service) -> None:
    app = alone(service, public=True)
    answers = [
        TestClient(app, client=(f"2001:db8::{place:x}", 5000)).get("/v1/models").status_code
        for place in range(FREE_PER_MINUTE + 1)
    ]
    assert answers == [200] * FREE_PER_MINUTE + [429]
    assert TestClient(app, client=("2001:db8:0:1::1", 5000)).get("/v1/models").status_code == 200


def test_a_proxy_s_own_machine_is_not_taken_for_its_visitors_nor_they_for_operators(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(beside(service, api(service, Keys(), near=True)), client=("127.0.0.1", 5000))
    assert client.get("/v1/models").status_code == 200
    _tell_of_proxy.cache_clear()
    for _ in range(2):
        assert client.get("/v1/models", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401
    assert caplog.text.count("--proxy 127.0.0.1") == 1


@pytest.mark.parametrize(
    "client, told",
    [("172.17.0.1", 1), ("fd00::1", 1), ("10.1.2.3", 0), ("93.184.215.14", 0), ("testclient", 0)],
)
def test_the_log_tells_of_an_unnamed_proxy_in_the_network_too(
    client: str, told: int, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    _tell_of_proxy.cache_clear()
    asking = TestClient(alone(service, public=True), client=(client, 5000))
    for _ in range(2):  # 10.1.2.3: a visitor for whom a named proxy asks, as uvicorn hands it on
        assert asking.get("/v1/models", headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 200
    assert caplog.text.count("as by --proxy") == told


@pytest.mark.parametrize("path", ["a%0A2026 alice POST /images 200", "%1b[2Ka", "a%E2%80%A8b", "a%0Db", "x" * 900])
def test_what_a_client_sends_begins_no_line_of_the_log(
    path: str, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dalle2.api"), TestClient(api(service)) as client:
        client.get(f"/models/{path}")
    (record,) = [one for one in caplog.records if one.name == "dalle2.api"]
    assert record.getMessage().isprintable() and len(record.getMessage()) < 300


def test_each_record_begins_one_line_of_the_log_whatever_is_in_it() -> None:
    try:
        raise ValueError("a\n2026-11-28 alice POST /images/generations 200\r\x1b[2K")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "", 1, "failed: %s", ("b\nc",), sys.exc_info())
    first, *rest = Lines("%(message)s").format(record).split("\n")
    assert first == "failed: b" and all(line.startswith("    ") and line.isprintable() for line in rest)


@pytest.mark.parametrize("named, found", [(None, []), ("127.0.0.1, 10.0.0.0/8", ["127.0.0.1", "10.0.0.0/8"]), ("", [])])
def test_proxies_are_named(named: str | None, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    arguments = [] if named is None else ["--proxy", named]
    assert serving.proxies(serve.parser().parse_args(arguments)) == found
    monkeypatch.setenv("SPACE_ID", "me/mine")
    assert bool(serving.proxies(serve.parser().parse_args(arguments))) == (named is None or bool(found))
    with pytest.raises(ValueError, match="--proxy takes addresses"):
        serving.proxies(serve.parser().parse_args(["--proxy", "nginx"]))
