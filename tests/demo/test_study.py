"""A study's page: consent before all, nobody is told whose pictures they are, and every answer is kept once."""

import io
import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from drawn_folders import drawn
from fastapi.testclient import TestClient
from PIL import Image
from playwright.sync_api import sync_playwright
from visitor import ARGUMENTS, CHROMIUM, SECONDS, free_port, needs_chromium

import app
from dalle2.judgements.study import ANSWERS, FILE, read_answers, read_study
from demo.study import server
from demo.study.answers import Answers, plan
from demo.study.server import build
from evaluation import study as making


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    folders = [str(drawn(root / name, noise)) for name, noise in (("near", 20), ("far", 200))]
    asked = ["--question", "caption match", "photorealism", "--num", "8", "--checks", "2", "--completion", "CODE-7"]
    making.main([*folders, *asked, "--out", str(root / "study")])
    return root / "study"


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    yield made
    (made / ANSWERS).unlink(missing_ok=True)


def test_a_study_believes_the_proxies_that_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict = {}
    monkeypatch.setattr(server.uvicorn, "run", lambda _, **how: served.update(how))
    monkeypatch.setattr(sys, "argv", ["app.py", "--study", str(folder), "--proxy", "10.0.0.1"])
    app.main()
    assert served["forwarded_allow_ips"] == ["10.0.0.1"] and served["proxy_headers"]


def visit(folder: Path, name: str = "") -> TestClient:
    study = read_study(folder)
    client = TestClient(build(folder, study, Answers(folder, study)))
    client.get("/", params={"rater": name} if name else {})
    return client


def answer(client: TestClient, task: dict, said: str = "left") -> dict:
    given = {"place": task["place"], "said": {one["key"]: said for one in task["questions"]}, "seconds": 1.5}
    return client.post("/answer", json=given).json()


def test_a_rater_agrees_answers_everything_and_may_take_it_back(folder: Path) -> None:
    client = visit(folder)
    task = client.get("/task").json()
    assert task["state"] == "consent" and "may be published" in task["consent"]
    assert client.get("/picture/0/left").status_code == 404 and not read_answers(folder)
    task = client.post("/agree").json()
    seen = 0
    while task["state"] == "pair":
        task, seen = answer(client, task), seen + 1
    assert (task["state"], task["completion"], seen) == ("done", "CODE-7", 10)
    rows = read_answers(folder)
    assert len(rows) == 1 + 2 * 10 and len({row.rater for row in rows}) == 1
    assert sum(row.right != "" for row in rows) == 4
    assert all(row.winner == row.left for row in rows[1:])
    assert client.post("/withdraw").json()["state"] == "withdrawn"
    assert read_answers(folder)[-1].winner == "withdrawn"


def test_nothing_that_a_rater_gets_tells_whose_a_picture_is(folder: Path) -> None:
    client = visit(folder)
    task = client.post("/agree").json()
    told = client.get("/").text + json.dumps(task) + str(client.get("/task").headers)
    data = client.get("/picture/0/left").content
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info == {}
    for word in ("near", "far", "nobody/nothing"):
        assert word not in told and word.encode() not in data
    assert client.get("/picture/1/left").status_code == 404


def test_whoever_comes_back_goes_on_also_after_a_power_cut(folder: Path) -> None:
    client = visit(folder, "P-1")
    before = answer(client, client.post("/agree").json())
    shown = client.get(f"/picture/{before['place']}/right").content
    with (folder / ANSWERS).open("a") as file:
        file.write("2026-11-28T09:00:00+00:00,half a ro")
    again = visit(folder, "P-1")
    assert again.get("/task").json() == before
    assert again.get(f"/picture/{before['place']}/right").content == shown
    answer(again, before, "tie")
    assert [row.winner for row in read_answers(folder)[-2:]] == ["tie", "tie"]


def test_an_answer_counts_once_and_whole(folder: Path) -> None:
    client = visit(folder)
    task = client.post("/agree").json()
    half = {"place": 0, "said": {"caption match": "left"}, "seconds": 1}
    assert client.post("/answer", json=half).json()["kept"] is False
    answer(client, task)
    late = answer(client, task, "right")
    assert (late["kept"], late["place"]) == (False, 1)
    assert len(read_answers(folder)) == 3
    for bad in ({}, {**half, "seconds": "long"}, {**half, "said": {"caption match": "both"}}):
        assert client.post("/answer", json=bad).status_code == 422


def test_sides_and_order_are_each_rater_s_own_and_even(made: Path) -> None:
    study = read_study(made)
    plans = [plan(study, f"rater {number}", number) for number in range(20)]
    assert plans[0] == plan(study, "rater 0", 0) != plans[1]
    for shown in plans:
        assert Counter(one.left for one in shown) == {"a": 5, "b": 5}
        assert shown[0].pair.right is None and sum(one.pair.right is not None for one in shown) == 2
    few = study.model_copy(update={"per_rater": 3})
    asked = Counter(one.pair.id for number in range(8) for one in plan(few, "x", number) if one.pair.right is None)
    assert set(asked.values()) == {3} and len(asked) == 8


def test_no_more_raters_than_the_study_has_room_for(folder: Path) -> None:
    study = read_study(folder).model_copy(update={"raters": 1})
    answers = Answers(folder, study)
    first, second = (TestClient(build(folder, study, answers)) for _ in range(2))
    for client in (first, second):
        client.get("/")
    assert first.post("/agree").json()["state"] == "pair"
    assert second.post("/agree").json()["state"] == "full"
    first.post("/withdraw")
    assert second.post("/agree").json()["state"] == "pair"


def test_without_a_cookie_nothing_is_kept_and_it_is_said(folder: Path) -> None:
    study = read_study(folder)
    client = TestClient(build(folder, study, Answers(folder, study)))
    told = client.post("/agree").json()
    assert (told["state"], told["kept"]) == ("consent", False) and not read_answers(folder)


def test_a_full_disk_keeps_what_was_there_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = visit(folder)
    task = client.post("/agree").json()
    before = (folder / ANSWERS).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("demo.study.answers.os.write", lambda *_: 3)
        given = {"place": 0, "said": {one["key"]: "left" for one in task["questions"]}, "seconds": 1}
        assert client.post("/answer", json=given).status_code == 500
    assert (folder / ANSWERS).read_bytes() == before
    assert answer(client, task)["kept"] is True


def test_answers_to_another_version_are_refused(folder: Path, tmp_path: Path) -> None:
    visit(folder).post("/agree")
    with pytest.raises(ValueError, match="another version of this study"):
        Answers(folder, read_study(folder).model_copy(update={"title": "Other"}))
    with pytest.raises(ValueError, match=r"There is no study at .*: make one with python -m evaluation\.study"):
        read_study(tmp_path)
    (tmp_path / FILE).write_text((folder / FILE).read_text())
    with pytest.raises(ValueError, match=r"names the picture pictures/\d+\.png, which is not there"):
        read_study(tmp_path)
    (tmp_path / FILE).write_text('{"title": "x"}')
    with pytest.raises(ValueError, match=r"is not a study \(consent\): Field required"):
        read_study(tmp_path)


@needs_chromium
def test_on_a_phone_by_keyboard_and_touch(folder: Path) -> None:
    study = read_study(folder)
    config = uvicorn.Config(build(folder, study, Answers(folder, study)), port=free_port(), log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with sync_playwright() as driver, driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS) as browser:
            page = browser.new_page(viewport={"width": 390, "height": 844}, locale="en")
            page.set_default_timeout(1000 * SECONDS)
            page.goto(f"http://127.0.0.1:{config.port}/")
            page.get_by_role("button", name="I agree").click()
            page.get_by_text("1 / 10").wait_for()
            next_one = page.get_by_role("button", name="Next")
            assert next_one.is_disabled()
            asked = page.get_by_role("group")
            asked.nth(0).get_by_role("radio", name="No difference").check()
            assert next_one.is_disabled()
            asked.nth(1).get_by_role("radio", name="Left").focus()
            page.keyboard.press("Space")
            page.keyboard.press("Enter")
            page.get_by_text("2 / 10").wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.get_by_role("button", name="Left picture: look closer").click()
            assert page.locator("dialog img").is_visible()
            page.locator("dialog img").click()
            page.reload()
            page.get_by_text("2 / 10").wait_for()
            chinese = browser.new_context(locale="zh-CN").new_page()
            chinese.goto(f"http://127.0.0.1:{config.port}/")
            chinese.get_by_role("button", name="我同意").wait_for()
    finally:
        server.should_exit = True
        thread.join()
    assert read_answers(folder)[1].winner == "tie"
