"""Reports of pictures: kept within bounds, counted for the operator, and without a prompt unless somebody agrees."""

import argparse
import csv
import io
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient
from visitor import ROOT, SECONDS

from dalle2 import reports as command
from dalle2 import serve
from dalle2.model import UnclipModel
from dalle2.serving import uploads
from dalle2.serving.api import options as serving
from dalle2.serving.api.alone import alone
from dalle2.serving.api.keys import Keys, make
from dalle2.serving.refusal import Busy, Unwritable
from dalle2.serving.reports import DAY, MOST_NOTE_CHARACTERS, MOST_OF_ONE, REASONS, Report, Reports
from dalle2.serving.service import Service

DRAFT = {"prompt": "a cat", "settings": "draft", "seed": 7}


@pytest.fixture
def service(model: UnclipModel, tmp_path: Path) -> Service:
    service = Service(model)
    service.reports = Reports(tmp_path / "reports.sqlite3")
    return service


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(alone(service), client=("127.0.0.1", 5000)) as client:
        yield client


def square(level: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (level, level, level))


def test_a_picture_is_reported_by_its_address_or_file_and_its_prompt_only_with_consent(
    client: TestClient, service: Service
) -> None:
    url = client.post("/v1/images/generations", json=DRAFT).json()["data"][0]["url"]
    first = client.post("/v1/images/reports", data={"reason": "violent", "url": url}, files={"x": b""}).json()
    assert first["times"] == 1 and first["picture"].startswith("sha256:")
    (kept,) = service.reports.latest()
    assert (kept["checkpoint"], kept["seed"], kept["record"]) == (service.checkpoints[0], 7, None)
    file = {"image": ("a.png", client.get(url).content)}
    asked = {"reason": "violent", "note": "it bites", "with_record": "true"}
    assert client.post("/v1/images/reports", data=asked, files=file).json() == first | {"times": 2}
    (kept,) = service.reports.latest()
    assert kept["note"] == "it bites" and '"prompt": "a cat"' in kept["record"]
    counts = client.get("/v1/counts", headers={"Host": "127.0.0.1"}).json()
    assert counts["reported"] == dict.fromkeys(REASONS, 0) | {"violent": 2}


@pytest.mark.parametrize(
    "data, status, param, sentence",
    [
        ({}, 400, "reason", "The field reason is missing"),
        ({"reason": "dull"}, 400, "reason", "There is no reason 'dull' to report a picture"),
        ({"reason": "other"}, 400, "image", "There is no picture"),
        ({"reason": "other", "url": "http://a/v1/images/files/b.png"}, 404, "url", "any more"),
        ({"reason": "other", "note": "x" * (MOST_NOTE_CHARACTERS + 1)}, 400, "note", "at most 500 are allowed"),
    ],
)
def test_a_report_that_is_none_is_refused(
    data: dict, status: int, param: str, sentence: str, client: TestClient, service: Service
) -> None:
    file = io.BytesIO()
    square(1).save(file, "PNG")
    files = {"image": ("a.png", file.getvalue())} if param == "note" else {"x": b""}
    answer = client.post("/v1/images/reports", data=data, files=files)
    assert answer.status_code == status and answer.json()["error"]["param"] == param
    assert sentence in answer.json()["error"]["message"] and not service.reports.file.exists()


def test_the_file_is_bounded_the_counts_go_on_and_what_many_report_stays(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "new" / "reports.sqlite3", most=3)
    often, alone = Report.of(square(200), "person"), Report.of(square(201), "person")
    assert [reports.add(often, asker) for asker in ("alice", "bob")] == [1, 2]
    assert [reports.add(alone, "mallory") for _ in range(3)] == [1, 2, 3]  # one asker counts once
    for level in range(5):
        reports.add(Report.of(square(level), "other"), f"mallory {level}")
    kept = {row["picture"]: (row["times"], row["askers"]) for row in reports.latest()}
    assert kept.pop(often.picture) == (2, 2) and len(kept) == 2
    assert set(kept) == {Report.of(square(level), "other").picture for level in (3, 4)}
    assert reports.counts() == dict.fromkeys(REASONS, 0) | {"person": 5, "other": 5}


def test_one_asker_cannot_fill_the_file(tmp_path: Path) -> None:
    now = [0.0]
    reports = Reports(tmp_path / "reports.sqlite3", clock=lambda: now[0])
    made = [Report(f"sha256:{number}", "other") for number in range(MOST_OF_ONE + 2)]
    for report in made[:MOST_OF_ONE]:
        reports.add(report, "mallory")
    with pytest.raises(Busy, match=f"reported {MOST_OF_ONE} pictures within a day") as full:
        reports.add(made[-1], "mallory")
    assert full.value.seconds == DAY and reports.add(made[0], "mallory") == 2  # what is there already adds nothing
    assert reports.add(made[-1], "alice") == 1
    now[0] += DAY + 1
    assert reports.add(made[-2], "mallory") == 1 and len(reports.latest()) == MOST_OF_ONE + 2


def test_who_has_reported_enough_still_adds_to_what_others_report_and_an_operator_has_no_limit(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "reports.sqlite3")
    made = [Report(f"sha256:{number}", "other") for number in range(MOST_OF_ONE + 2)]
    for report in made[:MOST_OF_ONE]:
        reports.add(report, "school")
    reports.add(made[-1], "alice")
    assert reports.add(made[-1], "school") == 2 and reports.counts()["other"] == MOST_OF_ONE + 2
    assert [row["askers"] for row in reports.latest() if row["picture"] == made[-1].picture] == [1]
    with pytest.raises(Busy):
        reports.add(made[-2], "school")
    assert reports.counts()["other"] == MOST_OF_ONE + 2  # what is refused is not counted
    assert reports.add(made[-2], "school", bounded=False) == 1


OLD = """
CREATE TABLE reports (
    id INTEGER PRIMARY KEY, picture TEXT NOT NULL, reason TEXT NOT NULL, checkpoint TEXT NOT NULL, seed INTEGER,
    note TEXT NOT NULL, record TEXT, times INTEGER NOT NULL DEFAULT 1, first TEXT NOT NULL, last TEXT NOT NULL,
    UNIQUE (picture, reason)
);
CREATE TABLE totals (reason TEXT PRIMARY KEY, times INTEGER NOT NULL);
INSERT INTO reports VALUES (1, 'sha256:0', 'other', 'emoji', 7, '', NULL, 4, '2026-11-01', '2026-11-02');
INSERT INTO totals VALUES ('other', 4);
"""


def test_a_file_of_an_earlier_version_is_read_and_goes_on(tmp_path: Path) -> None:
    for first in ("read", "add"):
        file = tmp_path / f"{first}.sqlite3"
        with sqlite3.connect(file) as connection:
            connection.executescript(OLD)
        if first == "read":
            assert [(row["times"], row["askers"]) for row in Reports(file).latest()] == [(4, 1)]
        assert Reports(file).add(Report("sha256:0", "other"), "alice") == 5
        assert Reports(file).add(Report("sha256:1", "other"), "alice") == 1
        assert [(row["times"], row["askers"]) for row in Reports(file).latest()] == [(1, 1), (5, 2)]
        assert Reports(file).counts()["other"] == 6


def test_reading_reports_writes_nothing_and_waits_for_no_writer(tmp_path: Path) -> None:
    file = tmp_path / "reports.sqlite3"
    Reports(file).add(Report("sha256:0", "other"))
    before = file.read_bytes()
    with sqlite3.connect(file) as writer:
        writer.execute("BEGIN IMMEDIATE")  # as a right to read alone, which the tests' user may not be held to
        begun = time.monotonic()
        assert len(Reports(file).latest()) == 1 and Reports(file).counts()["other"] == 1
    assert time.monotonic() - begun < 15 and file.read_bytes() == before  # a writer would be waited for 30 seconds


def test_the_api_says_503_for_reports_that_it_can_neither_keep_nor_read(service: Service, client: TestClient) -> None:
    service.reports.file.write_text("this is no database, but a text that is longer than a header" * 20)
    sent = io.BytesIO()
    square(1).save(sent, "PNG")
    how = {"data": {"reason": "other"}, "files": {"image": ("a.png", sent.getvalue())}}
    answers = [
        client.post("/v1/images/reports", **how),
        client.get("/v1/counts", headers={"Host": "127.0.0.1"}),
    ]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert "cannot be read, and the server's log says why" in answers[1].json()["error"]["message"]
    service.reports.file.unlink()
    assert client.post("/v1/images/reports", **how).json()["times"] == 1


def test_what_could_not_be_kept_does_not_count_for_its_asker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dalle2.serving.reports.MOST_OF_ONE", 1)
    reports = Reports(tmp_path / "reports.sqlite3")
    reports.file.write_text("this is no database, but a text that is longer than a header" * 20)
    with pytest.raises(Unwritable):
        reports.add(Report("sha256:0", "other"), "alice")
    reports.file.unlink()
    assert reports.add(Report("sha256:1", "other"), "alice") == 1


@pytest.mark.parametrize("url, error", [("postgres:/x://y", ValueError), ("sqlite:////nowhere/a/b.sqlite3", OSError)])
def test_a_url_that_is_none_of_a_database_is_told_at_the_start(
    url: str, error: type[Exception], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_FILE", url)
    service.reports = Reports()
    with pytest.raises(error, match=r"URL of a database|The database does not do it"):
        serving.keep_reports(argparse.Namespace(database=None), service)


def test_the_api_bounds_what_an_address_or_a_key_may_report(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dalle2.serving.reports.MOST_OF_ONE", 1)
    keys = {name: make(tmp_path / "keys", name) for name in ("alice", "bob")}

    def status(client: TestClient, level: int, key: str = "") -> int:
        file = io.BytesIO()
        square(level).save(file, "PNG")
        headers = {"Authorization": f"Bearer {keys.get(key)}"}
        files = {"image": ("a.png", file.getvalue())}
        return client.post("/v1/images/reports", data={"reason": "other"}, files=files, headers=headers).status_code

    with TestClient(alone(service, Keys.read(tmp_path / "keys"))) as client:
        asked = [(1, "alice"), (2, "alice"), (2, "bob")]
        assert [status(client, level, key) for level, key in asked] == [200, 429, 200]
    app = alone(service, public=True)
    places = [("2001:db8::1", 3), ("2001:db8::2", 4), ("2001:db8:0:1::2", 4)]
    assert [status(TestClient(app, client=(place, 5)), level) for place, level in places] == [200, 429, 200]


PROCESS = """
import sys
from dalle2.serving.reports import Report, Reports
reports = Reports(sys.argv[1])
for number in range(20):
    reports.add(Report(f"sha256:{number}", "other"), sys.argv[2])
"""


def test_two_processes_report_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "reports.sqlite3"
    command = [sys.executable, "-c", PROCESS, str(file)]
    both = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("alice", "bob")]
    assert [process.wait(SECONDS) for process in both] == [0, 0]
    rows = Reports(file).latest()
    assert len(rows) == 20 and {(row["times"], row["askers"]) for row in rows} == {(2, 2)}
    assert Reports(file).counts()["other"] == 40


def test_few_pictures_are_decoded_at_a_time_by_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding, most = [], []

    def slow(_: object) -> Image.Image:
        decoding.append(1)
        most.append(len(decoding))
        time.sleep(0.02)
        decoding.pop()
        return square(1)

    monkeypatch.setattr("dalle2.images.open_picture", slow)
    with ThreadPoolExecutor(16) as pool:
        assert len(list(pool.map(uploads.open_picture, [b"a"] * 16))) == 16
    assert max(most) <= 4


def test_what_a_forged_record_says_is_kept_within_bounds(tmp_path: Path) -> None:
    reports, picture = Reports(tmp_path / "reports.sqlite3"), square(1)
    for record in (
        '{"seed": [1], "checkpoint": {"a": 1}}',
        '{"seed": true, "x": "\\ud800"}',
        '{"x": "' + "y" * 30_000 + '"}',
    ):
        picture.info["parameters"] = record
        reports.add(Report.of(picture, "other", "\ud800", with_record=True))
    (kept,) = reports.latest()
    assert (kept["seed"], kept["times"]) == (None, 3) and len(kept["record"]) < 100 and kept["note"] == "?"


def test_a_report_that_cannot_be_kept_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "reports.sqlite3").write_text("this is no database, but a text that is longer than a header" * 20)
    with pytest.raises(Unwritable, match="could not be kept"):
        Reports(tmp_path / "reports.sqlite3").add(Report.of(square(1), "other"))


def test_only_an_operator_sees_the_counts(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys"
    keys = []
    for arguments in (["bob"], ["alice", "--operator"]):
        assert serve.new_key([*arguments, "--api-keys", str(path)]) == 0
        keys.append(capsys.readouterr().out.strip())
    assert [key.operator for key in Keys.read(path).keys] == [False, True]
    with TestClient(alone(service, Keys.read(path))) as client:
        answers = [client.get("/v1/counts", headers={"Authorization": f"Bearer {key}"}) for key in keys]
        assert [answer.status_code for answer in answers] == [403, 200]
    with TestClient(alone(service), "http://localhost:8000", client=("127.0.0.1", 5000)) as client:
        assert client.get("/v1/counts").status_code == 200
        assert client.get("/v1/counts", headers={"Host": "page.example"}).status_code == 403  # a name that leads here
        assert client.get("/v1/counts", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403
    with TestClient(alone(service, None, public=True)) as client:
        assert client.get("/v1/counts").status_code == 403


def test_the_operator_reads_reports_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "reports.sqlite3", tmp_path / "reports.csv"
    assert command.main([str(file)]) == 1 and "nothing was reported yet" in capsys.readouterr().err
    reports = Reports(file)
    for reason in ("person", "other"):
        reports.add(Report.of(square(1), reason, "my face\n2026-11-28 forged \x1b[2K"))
    assert command.main([str(file), "--last", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 reports: ") and "person 1" in said[0] and len(said) == 2
    assert "×1 by 1" in said[1] and said[1].isprintable()
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["reason"] for row in rows] == ["other", "person"]
    assert command.main([str(file), "--out", str(out)]) == 1 and "exists" in capsys.readouterr().err.lower()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT COUNT(*) FROM reports").fetchone() == (2,)
