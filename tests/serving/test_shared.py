"""What several servers share in a database, in SQLite and, where it is installed, in a real PostgreSQL."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from serving.test_api_keys import linked, metered
from sqlalchemy import select
from starlette.testclient import TestClient
from visitor import SECONDS, free_port

from dalle2 import reports as command
from dalle2 import serve
from dalle2.judgements.ranking import QUESTIONS
from dalle2.model import UnclipModel
from dalle2.serving.api import options as serving
from dalle2.serving.api.alone import alone
from dalle2.serving.api.problems import Problem
from dalle2.serving.api.shared import CALLERS, DAY, LEASE_SECONDS, Shared, SharedLinks
from dalle2.serving.reports import Report
from dalle2.serving.service import Service
from demo.votes import Vote, Votes

DRAFT = {"prompt": "a cat", "settings": "draft"}


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of its own, without a password, which only this machine reaches."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'psycopg[binary]'")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [shutil.which("initdb")]
    if programs[-1] is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    folder = Path(programs[-1]).parent
    # It refuses to run as root, and its user must reach its folder.
    how = {"user": "postgres", "group": "postgres", "cwd": "/"} if os.geteuid() == 0 else {}
    place, port = Path(subprocess.check_output(["mktemp", "-d"], text=True, **how).strip()), free_port()
    options = {"check": True, "capture_output": True, "timeout": SECONDS, **how}
    try:
        made = ["--auth=trust", "--username=tests", "--no-sync"]
        subprocess.run([folder / "initdb", *made, place / "data"], **options)
        settings = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [folder / "pg_ctl", "-D", place / "data", "-w", "-l", place / "log"]
        subprocess.run([*control, "-o", settings, "start"], **options)
        yield f"postgresql+psycopg://tests@127.0.0.1:{port}/postgres"
        subprocess.run([*control, "-m", "immediate", "stop"], **options)
    finally:
        shutil.rmtree(place)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shared.sqlite3'}"
        return
    place = request.getfixturevalue("postgresql")
    import psycopg

    yield place
    with psycopg.connect(place.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


def test_limits_and_addresses_are_as_those_of_one_server(url: str) -> None:
    now = [1e9]
    shared = Shared(url, lambda: now[0])
    asyncio.run(metered(shared.meter, now))
    asyncio.run(linked(SharedLinks(shared, seconds=10, most_bytes=10), now))


async def both(ask: Callable[[Shared], Awaitable[str]], servers: list[Shared], times: int) -> list[str]:
    async def safely(number: int) -> str:
        try:
            return await ask(servers[number % 2])
        except Problem as problem:
            return str(problem.status)

    return await asyncio.gather(*map(safely, range(times)))


def test_servers_that_count_at_once_never_count_too_much(url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda _: Shared(url), range(2)))  # both make the tables

    async def count(one: Shared) -> str:
        return (await one.meter.count("alice", 5, 3)).name

    assert sorted(asyncio.run(both(count, servers, 16))) == ["429"] * 11 + ["alice"] * 5
    drawing, most = [], []

    async def draw(one: Shared) -> str:
        caller = await one.meter.count("bob", None, 3)
        async with caller.drawing(2, lambda: 1.0):
            drawing.append(1)
            most.append(len(drawing))
            await asyncio.sleep(0.02)
            drawing.pop()
        return caller.name

    drawn = asyncio.run(both(draw, servers, 16))
    assert set(drawn) <= {"bob", "429"} and "bob" in drawn and max(most) == 1


def test_what_a_killed_server_had_begun_does_not_count_for_ever(url: str) -> None:
    now = [1e9]
    shared = Shared(url, lambda: now[0])

    async def begin() -> None:
        caller = await shared.meter.count("alice", None, 3)
        await caller.drawing(3, lambda: 1.0).__aenter__()

    asyncio.run(begin())
    with pytest.raises(Problem, match="3 pictures are being drawn for this key already"):
        asyncio.run(begin())
    now[0] += LEASE_SECONDS + 1
    asyncio.run(begin())


def test_who_has_not_asked_for_a_day_is_forgotten(url: str) -> None:
    now = [1e9]
    shared = Shared(url, lambda: now[0])

    def known() -> set[str]:
        return set(shared.change(lambda connection: connection.scalars(select(CALLERS.c.name)).all()))

    asyncio.run(shared.meter.count("192.0.2.1", 5, 3))
    asyncio.run(shared.meter.count("alice", 5, 3))
    now[0] += DAY / 2 + 1
    asyncio.run(shared.meter.count("alice", 5, 3))
    assert known() == {"192.0.2.1", "alice"}
    now[0] += DAY / 2 + 1
    asyncio.run(shared.meter.count("bob", 5, 3))
    assert known() == {"alice", "bob"}


def test_two_servers_have_the_same_keys_limits_and_pictures(
    url: str, model: UnclipModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.new_key(["alice", "--database", url, "--requests-per-minute", "4", "--operator"]) == 0
    key = capsys.readouterr().out.strip()
    assert serve.new_key(["alice", "--database", url]) == 1
    assert "has a key called alice already" in capsys.readouterr().err
    headers = {"Authorization": f"Bearer {key}"}
    clients = []
    for _ in range(2):
        options = serve.parser().parse_args(["--database", url])
        shared = serving.shared(options)
        keys = serving.keys(options, "127.0.0.1", shared)
        clients.append(TestClient(alone(Service(model), keys, shared=shared)))
    first, second = clients
    assert second.get("/v1/models").status_code == 401
    answer = first.post("/v1/images/generations", json=DRAFT, headers=headers)
    path = answer.json()["data"][0]["url"].removeprefix("http://testserver")
    assert second.get(path).content == first.get(path).content and second.get(path).content.startswith(b"\x89PNG")
    assert second.get("/v1/counts", headers=headers).status_code == 200  # the key is an operator's
    answers = [client.get("/v1/models", headers=headers).status_code for client in (first, second, first)]
    assert answers == [200, 200, 429]


def test_reports_lie_in_the_database_of_all_servers(
    url: str, model: UnclipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REPORTS_FILE", str(tmp_path / "own.sqlite3"))
    servers = [Service(model) for _ in range(2)]
    for service in servers:
        told = serving.keep_reports(serve.parser().parse_args(["--database", url]), service)
        assert told == "Reports: in the database."
    said = Report.of(Image.new("RGB", (2, 1)), "person", "a\0b'; DROP TABLE reports")
    asked = [(servers[number % 2], f"asker {number % 3}") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda ask: ask[0].reports.add(Report.of(Image.new("RGB", (1, 1)), "other"), ask[1]), asked))
    assert [service.reports.counts()["other"] for service in servers] == [6, 6]
    (kept,) = servers[1].reports.latest()
    assert (kept["times"], kept["askers"]) == (6, 6)  # three asked each server
    servers[0].reports.add(replace(said, seed=2**40))
    assert (servers[1].reports.latest(1)[0]["seed"], servers[1].reports.latest(1)[0]["note"][:2]) == (2**40, "ab")
    assert not (tmp_path / "own.sqlite3").exists()
    assert command.main([url]) == 0 and "other 6" in capsys.readouterr().out
    service = Service(model)
    told = serving.keep_reports(serve.parser().parse_args([]), service)
    assert told == f"Reports: in {tmp_path / 'own.sqlite3'}." and service.reports.file == tmp_path / "own.sqlite3"


def test_votes_lie_in_the_database(url: str) -> None:
    given = [
        Vote(QUESTIONS[0], "x", "y", "tie", 2**32 - 1, "a 'cat'; DROP TABLE votes"),
        Vote(QUESTIONS[1], "y", "x", "a", 7),
    ]
    assert Votes(url).read() == []
    for vote in given:
        Votes(url).add([vote])
    assert Votes(url).read() == given
    broken = Vote(QUESTIONS[0], "x", "y", "a", 1)
    object.__setattr__(broken, "winner", "nobody")
    with pytest.raises(OSError, match="constraint"):
        Votes(url).add([given[0], broken])
    assert len(Votes(url).read()) == 2


@pytest.mark.parametrize(
    "url, sentence",
    [
        ("nonsense", "This is no URL of a database"),
        ("odd://host/name", "This is no URL of a database"),
        ("sqlite:////no/such/folder/file", "unable to open database file"),
    ],
)
def test_a_database_that_is_not_there_is_refused_without_telling_its_url(url: str, sentence: str) -> None:
    with pytest.raises((ValueError, OSError), match=sentence) as refused:
        Shared(url)
    assert url not in str(refused.value)
