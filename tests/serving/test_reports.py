"""Reports of pictures: kept within bounds, counted for the operator, and without a prompt unless somebody agrees."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dalle2 import reports as command
from dalle2 import serve
from dalle2.model import UnclipModel
from dalle2.serving.api.alone import alone
from dalle2.serving.api.keys import Keys
from dalle2.serving.refusal import Fault
from dalle2.serving.reports import MOST_NOTE_CHARACTERS, REASONS, Report, Reports
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


def test_the_file_is_bounded_and_the_counts_go_on(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "new" / "reports.sqlite3", most=3)
    often = Report.of(square(200), "person")
    assert [reports.add(often) for _ in range(2)] == [1, 2]
    for level in range(5):
        reports.add(Report.of(square(level), "other"))
    kept = [row["picture"] for row in reports.latest()]
    assert len(kept) == 3 and often.picture in kept and Report.of(square(4), "other").picture in kept
    assert reports.counts() == dict.fromkeys(REASONS, 0) | {"person": 2, "other": 5}


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
    with pytest.raises(Fault, match="could not be kept"):
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
        reports.add(Report.of(square(1), reason, "my face"))
    assert command.main([str(file), "--last", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 reports: ") and "person 1" in said[0] and len(said) == 2
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["reason"] for row in rows] == ["other", "person"]
    assert command.main([str(file), "--out", str(out)]) == 1 and "exists" in capsys.readouterr().err.lower()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT COUNT(*) FROM reports").fetchone() == (2,)
