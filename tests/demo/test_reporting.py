"""A visitor reports a picture: beside a result and in the history, in two languages, by keyboard, within limits."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from visitor import SECONDS, choose, draw, launched, needs_chromium, refuse_uploads, visiting

from dalle2.requests import name_of
from dalle2.serving.api import links
from dalle2.serving.reports import MOST_NOTE_CHARACTERS, REASONS, Report, Reports
from dalle2.serving.service import Service
from demo import limits, reporting
from demo import page as page_of
from demo.page import Page as Blocks
from demo.tab_builder import TabBuilder

THANKS = "Thank you. The operator of this server will find your report."


@pytest.fixture(scope="module")
def service(tiny_checkpoint: Path) -> Service:
    return Service.open(str(tiny_checkpoint))


@pytest.fixture(scope="module")
def address(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "PATIENCE_SECONDS", 3)  # an answer that comes later is shown all the same
        patch.setattr(page_of, "DELETE_SECONDS", (3600, 10_800))
        patch.setattr(links, "SECONDS", 7200.0)
        with launched(service, tmp_path_factory.mktemp("page")) as address:
            yield address


@pytest.fixture
def client(address: str) -> Client:
    return Client(address, verbose=False, httpx_kwargs={"timeout": SECONDS})


def drawn(page: Page, prompt: str) -> None:
    choose(page, "Number of pictures" if page.evaluate("navigator.language") != "zh-CN" else "图片数量", 1)
    page.locator("#prompt textarea").fill(prompt)
    draw(page)


@needs_chromium
def test_a_result_is_reported_by_keyboard_and_its_prompt_is_not_kept(
    browser: Browser, address: str, service: Service
) -> None:
    with visiting(browser, address, locale="en-US") as page:
        drawn(page, "a red cat")
        report = page.get_by_role("button", name="Report", exact=True)
        report.press("Enter")
        dialog = page.get_by_role("dialog", name="Report this picture")
        expect(dialog).to_contain_text("the prompt is kept only if you tick the box")
        expect(dialog.get_by_text("your browser's history")).to_be_hidden()
        assert Axe().run(page, ".reporting").violations_count == 0
        page.keyboard.press("Enter")  # nothing goes without a reason
        expect(dialog.locator(".answer")).to_be_empty()
        dialog.get_by_label("Violence").press("Space")
        dialog.get_by_label("Note").fill("it bites")
        with page.expect_request("**/queue/join*") as asked:  # Enter there is a new line, and draws nothing
            dialog.get_by_label("Note").press("Enter")
            dialog.get_by_role("button", name="Send").press("Enter")
        assert '"violent"' in asked.value.post_data
        expect(dialog.get_by_role("status")).to_have_text(THANKS)
        expect(dialog.get_by_role("button", name="Send")).to_be_hidden()
        expect(dialog.get_by_role("button", name="Close")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(report).to_be_focused()
    (kept,) = service.reports.latest()
    assert (kept["reason"], kept["note"], kept["checkpoint"]) == ("violent", "it bites", service.checkpoints[0])
    assert kept["record"] is None and isinstance(kept["seed"], int)


@needs_chromium
def test_a_picture_of_the_history_is_reported_in_chinese_with_its_record(
    browser: Browser, address: str, service: Service
) -> None:
    with visiting(browser, address, locale="zh-CN") as page:
        drawn(page, "a blue cat")
        page.get_by_role("tab", name="历史").click()
        page.locator(".history").get_by_role("button", name="举报").click()
        dialog = page.get_by_role("dialog", name="举报这张图片")
        expect(dialog.get_by_text("3 到 4 小时后删除")).to_be_visible()
        dialog.get_by_label("其他").check()
        dialog.get_by_label("连同描述和设置一起保存").check()
        dialog.get_by_role("button", name="提交").click()
        expect(dialog.get_by_role("status")).to_have_text(reporting.THANKS.zh)
    kept = service.reports.latest()[0]
    assert kept["reason"] == "other" and '"prompt": "a blue cat"' in kept["record"]


@needs_chromium
def test_a_report_that_nobody_answers_says_so_and_keeps_what_was_written(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        drawn(page, "a cat")
        page.get_by_role("button", name="Report", exact=True).click()
        dialog = page.get_by_role("dialog", name="Report this picture")
        dialog.get_by_label("Violence").check()
        dialog.get_by_label("Note").fill("it bites")
        held: list[Route] = []
        page.route("**/queue/join*", lambda route: held.append(route))
        dialog.get_by_role("button", name="Send").click()
        expect(dialog.get_by_role("status")).to_have_text("The report did not reach the server: please try again.")
        expect(dialog.get_by_label("Note")).to_have_value("it bites")
        held[0].continue_()  # it was only late
        expect(dialog.get_by_role("status")).to_have_text(THANKS)


@needs_chromium
def test_a_report_that_is_refused_on_its_way_says_what_the_server_said(browser: Browser, address: str) -> None:
    sentence = "At most 480 files a minute are taken: wait a little."
    with visiting(browser, address, locale="en-US") as page:
        drawn(page, "a cat")
        page.get_by_role("tab", name="History", exact=True).click()
        page.locator(".history").get_by_role("button", name="Report").click()
        dialog = page.get_by_role("dialog", name="Report this picture")
        dialog.get_by_label("Violence").check()
        refuse_uploads(page, sentence)
        dialog.get_by_role("button", name="Send").click()
        expect(dialog.get_by_role("status")).to_have_text(sentence)
        page.unroute("**/upload*")
        told = {"detail": "At most 1200 calls a minute are answered: wait a little."}
        page.route("**/queue/join*", lambda route: route.fulfill(status=429, json=told))
        dialog.get_by_role("button", name="Send").click()
        expect(dialog.get_by_role("status")).to_have_text(told["detail"])
        expect(page.get_by_test_id("toast-body")).to_have_count(0)


@needs_chromium
def test_an_answer_that_comes_late_thanks_for_no_other_picture(
    browser: Browser, address: str, service: Service
) -> None:
    with visiting(browser, address, locale="en-US") as page:
        choose(page, "Number of pictures", 2)
        page.locator("#prompt textarea").fill("two cats")
        draw(page)
        dialog = page.get_by_role("dialog", name="Report this picture")
        held: list[Route] = []
        page.route("**/queue/join*", lambda route: held.append(route) if not held else route.continue_())
        for reason, index in (("Violence", 0), ("Something else", 1)):
            page.get_by_role("button", name="Report", exact=True).nth(index).click()
            dialog.get_by_label(reason).check()
            if index == 0:
                dialog.get_by_role("button", name="Send").click()
                page.keyboard.press("Escape")
        before = len(service.reports.latest())
        held[0].continue_()
        deadline = time.monotonic() + SECONDS
        while len(service.reports.latest()) == before:
            assert time.monotonic() < deadline
            page.wait_for_timeout(50)
        page.wait_for_timeout(500)  # in which the answer comes, which is not about this picture
        expect(dialog.get_by_role("status")).to_be_empty()
        expect(dialog.get_by_label("Something else")).to_be_checked()
        dialog.get_by_role("button", name="Send").click()
        expect(dialog.get_by_role("status")).to_have_text(THANKS)
    assert {row["reason"] for row in service.reports.latest()[:2]} == {"other", "violent"}


@needs_chromium
def test_what_is_said_of_files_follows_how_long_they_stay(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        for name, said in (
            ("About", "stay on the server for 3 to 4 hours"),
            ("About", "as addresses by the API at /v1 lie there for 2 hours"),
            ("History", "The server deletes its own copies after 3 to 4 hours."),
        ):
            page.get_by_role("tab", name=name, exact=True).click()
            expect(page.locator(f"#tab-{name.lower()}")).to_contain_text(said)


def test_a_program_reports_too_and_is_refused_with_sentences(
    client: Client, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "own.png")
    picture = {"image": handle_file(tmp_path / "own.png"), "caption": ""}
    client.predict([picture], "person", api_name="/report")
    kept = service.reports.latest()[0]
    assert (kept["picture"], kept["checkpoint"]) == (name_of(Image.open(tmp_path / "own.png")), "")
    for pictures, reason, note, sentence in (
        ([picture], "ugly", "", "There is no reason 'ugly'"),
        ([picture], "other", "x" * (MOST_NOTE_CHARACTERS + 1), "shorten it"),
        ([], "other", "", "one picture at a time, not 0"),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict(pictures, reason, note, api_name="/report")
    monkeypatch.setattr(limits, "REPORTS_PER_MINUTE", 1)
    for _ in range(2):  # who sits here has no limit
        client.predict([picture], "other", api_name="/report")
    monkeypatch.setattr(limits, "sits_here", lambda *_: False)
    client.predict([picture], "other", api_name="/report")
    with pytest.raises(AppError, match="At most 1 reports a minute"):
        client.predict([picture], "other", api_name="/report")


def test_few_pictures_are_decoded_at_a_time_however_many_are_reported(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding, most = [], []

    def slow(*_: object) -> Report:
        decoding.append(1)
        most.append(len(decoding))
        time.sleep(0.02)
        decoding.pop()
        return Report("sha256:1", "other")

    monkeypatch.setattr(reporting.Report, "of", slow)
    monkeypatch.setattr(service, "reports", Reports(tmp_path / "reports.sqlite3"))
    Image.new("RGB", (8, 8)).save(tmp_path / "own.png")
    with Blocks(analytics_enabled=False, delete_cache=page_of.DELETE_SECONDS) as page:
        report = reporting._reporting(TabBuilder(service, page))

    async def crowd() -> None:
        async def one() -> None:
            async for _ in report([str(tmp_path / "own.png")], "other"):
                pass

        await asyncio.gather(*(one() for _ in range(40)))

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may have a loop in this thread
        pool.submit(lambda: asyncio.run(crowd())).result()
    assert len(most) == 40 and max(most) <= 4


def test_every_reason_is_said_in_two_languages() -> None:
    assert tuple(reporting.SAID) == REASONS
