"""`benchmarks.attack` in short: a crowd, broken requests, rude clients, a kill while drawing and a full disk."""

import base64
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from PIL import Image
from visitor import launched

from benchmarks.attack import __main__ as command
from benchmarks.attack import crowd, mishaps, rude
from benchmarks.attack.answers import ROOT, Answer, Attack, judged, leaks
from dalle2 import formats, images
from dalle2.serving.api import connections
from dalle2.serving.api.replies import Pictures
from dalle2.serving.api.routes import api
from dalle2.serving.service import Service

SECONDS = 1.5
ERROR = '{"error": {"message": "No.", "type": "server_error", "param": "n", "code": null}}'
STREAM = {"Content-Type": "text/event-stream"}


@pytest.fixture(scope="module")
def address(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = Service.open(str(tiny_checkpoint))
    with launched(service, tmp_path_factory.mktemp("page"), api=api(service)) as address:
        yield address


def outcomes(answers: Sequence[Answer]) -> dict[str, int]:
    """How many ended in each way, of which none has anything wrong with it."""
    attack = Attack("", answers)
    assert not attack.faults()
    return dict(attack.outcomes())


def test_a_crowd_of_visitors_and_programs_gets_its_own_pictures(address: str) -> None:
    assert outcomes(crowd.visitors(address, 1, SECONDS))["own"]
    drawn = outcomes(crowd.clients(address, 2, SECONDS))
    assert drawn["200"] >= 2 and 2 <= drawn["drawn again"] <= 2 * crowd.PROVED and set(drawn) == {"200", "drawn again"}


def test_another_s_picture_is_found_by_its_record_and_by_its_pixels() -> None:
    pictures = {name: Image.new("RGB", (4, 4), name) for name in ("teal", "olive")}
    images.write_record(pictures["teal"], {"prompt": "a cat", "seed": 7, "picture": "sha256:1"})
    content = base64.b64encode(formats.encode(pictures["teal"])).decode()
    assert crowd._own(content, {"prompt": "a cat", "seed": 7}).size == (4, 4)
    for other in ({"prompt": "a dog", "seed": 7}, {"prompt": "a cat", "seed": 8}, {"picture": "sha256:2", "seed": 7}):
        with pytest.raises(crowd.ForeignPicture):
            crowd._own(content, other)

    def ask(*_: object) -> tuple[httpx.Response, list[Image.Image]]:
        return httpx.Response(200), [pictures["teal"]]

    with httpx.Client() as http:
        assert not crowd._proved(http, 7, ask, [pictures["teal"]]).fault
        assert "seed 7 is another one" in crowd._proved(http, 7, ask, [pictures["olive"]]).fault


def test_broken_requests_are_no_fault_of_the_server_s(address: str) -> None:
    found = outcomes(crowd.fuzzed(address, 60))
    assert sum(found.values()) == 60 and found["400"]


def test_rude_clients_hold_nobody_up_and_leave_nothing_behind(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcomes(rude.slow_senders(address, 5, 1))["dripped and left"] == 5
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    assert outcomes(rude.slow_heads(address, 5)) == {"200": 1, "hung up": 5}
    assert outcomes(rude.half_sent(address, 5)) == {"left": 5, "queue empty": 1}
    found = outcomes(rude.dropped_streams(address, 6))
    assert found["dropped"] == 6 and found["queue empty"] == 1


def test_of_many_in_one_moment_some_are_drawn_and_the_rest_is_told_when_to_come_back(address: str) -> None:
    found = outcomes(rude.all_at_once(address, 80))
    assert found["200"] >= 31 and found["429"] and sum(found.values()) == 80


def test_a_full_disk_is_said_to_be_the_server_s_fault_and_a_kill_leaves_nothing_half_written(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    with ExitStack() as stack:
        try:
            address, server, disk = stack.enter_context(mishaps.on_small_disk(str(tiny_checkpoint)))
        except OSError as error:
            pytest.skip(str(error))
        found = outcomes(mishaps.refilled(address, disk))
        folder = os.open(disk, os.O_RDONLY)  # which outlives the process
        dead = outcomes(mishaps.cut_off(address, server, 6))  # tests/demo/test_page.py has the page's side
        shutil.copytree(f"/proc/self/fd/{folder}", kept)
        os.close(folder)
    assert found["variations 503"] == found["variations 200"] == found["page drawn"] == 1
    assert any(outcome.startswith("page: The server cannot read or write a file") for outcome in found)
    assert dead == {"cut off": 6}
    assert outcomes(mishaps.halves(kept))["whole"] >= 2


def test_what_a_client_may_not_read_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert not leaks("a cat at /v1/images/files/a.png")
    assert "Traceback" in leaks('{"message": "Traceback (most recent call last)"}') and leaks(f"no {ROOT}/app.py")
    for answer, fault in (
        (httpx.Response(400, text=ERROR), ""),
        (httpx.Response(429, text=ERROR, headers={"Retry-After": "5"}), ""),
        (httpx.Response(429, text=ERROR), "Retry-After is ''"),
        (httpx.Response(429, text=ERROR, headers={"Retry-After": "4000"}), "not 1 to 120"),
        (httpx.Response(500, text=ERROR), "not to be expected"),
        (httpx.Response(400, text="Too many"), "another shape"),
        (httpx.Response(400, text=ERROR.replace("No.", "No")), "no sentence"),
        (httpx.Response(400, text=ERROR.replace("server_error", "odd")), "another shape"),
        (httpx.Response(200, text="{}"), "no Pictures"),
        (httpx.Response(200, text="data: {}\n\n", headers=STREAM), "no PartialImage"),
        (httpx.Response(200, text="data: {}\n", headers=STREAM), "ends early"),
        (httpx.Response(200, headers={"X-Where": f"{ROOT}/app.py"}), "A client reads of the server"),
    ):
        found = judged(answer, 0.1, (200, 400, 429), Pictures)
        assert fault in found.fault and bool(fault) == bool(found.fault), (answer.text, found)
    kinds = [judged(httpx.Response(400, text=ERROR), 0.1, (400,)) for _ in range(2)]
    assert Attack("one", kinds).errors() == {"400 server_error n": 2}
    attacks = [Attack("one", [Answer("200", 1.0), Answer("500", 3.0, "It broke.")], (100, 800)), Attack("none", [])]
    assert (attacks[0].seconds(0.5), attacks[0].seconds(0.95)) == (3.0, 3.0) and math.isnan(attacks[1].seconds(0.5))
    assert command.print_attacks(attacks, 4.0)
    said = capsys.readouterr().out
    assert "It broke." in said and "grew from 100 to 800 MB" in said and "2 faults." in said


def test_a_file_that_is_half_one_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    (tmp_path / "b.txt").write_text("whole")
    (tmp_path / ".c.png.0.partial").write_bytes(b"of a kill")
    assert sorted(answer.outcome for answer in mishaps.halves(tmp_path)) == ["half", "whole"]
