"""What one address may ask of a public page: bodies, files, calls, drawings; refused in sentences, in two languages."""

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, expect
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from visitor import SECONDS, button, choose, draw, launched, needs_chromium, open_tab, visiting

from dalle2.serving.api.gate import MAX_BODY_BYTES, MAX_FIELDS_BYTES
from dalle2.serving.refusal import Busy
from dalle2.serving.service import Service
from dalle2.serving.visitors import Files
from demo import limits
from demo.door import Door
from demo.limits import Limits

UPLOAD, JOIN = "/gradio_api/upload", "/gradio_api/queue/join"
FILES = {"files": ("a.txt", b"a")}


@pytest.fixture(scope="module")
def address(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page behind a proxy on this machine, which says for whom it asks."""
    folder = tmp_path_factory.mktemp("page")
    with launched(Service.open(str(tiny_checkpoint)), folder, proxies=["127.0.0.1"]) as address:
        yield address


def elsewhere(place: str, language: str = "en") -> dict[str, str]:
    """A visitor from elsewhere; each test has addresses of its own, since limits are."""
    return {"X-Forwarded-For": f"192.0.2.{place}", "Accept-Language": language}


@pytest.fixture
def visitor(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=SECONDS) as client:
        yield client


@pytest.mark.parametrize("language, said", [("en", "At most 2 files a minute"), ("zh", "每分钟最多接受 2 个文件")])
def test_files_come_so_many_a_minute(
    language: str, said: str, visitor: httpx.Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOADS_PER_MINUTE", 2)
    own = elsewhere({"en": "1", "zh": "2"}[language], language)
    answers = [visitor.post(UPLOAD, files=FILES, headers=own) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429] and said in answers[-1].text
    assert httpx.post(f"{address}{UPLOAD}", files=FILES, timeout=SECONDS).status_code == 200  # who sits here


def test_calls_of_all_kinds_come_so_many_a_minute(visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALLS_PER_MINUTE", 2)
    answers = [visitor.post(JOIN, json={}, headers=elsewhere("3")) for _ in range(3)]
    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    assert answers[-1].json() == {"detail": "At most 2 calls a minute are answered: wait a little."}


@pytest.mark.parametrize("path, most", [(UPLOAD, MAX_BODY_BYTES), (JOIN, MAX_FIELDS_BYTES)])
def test_a_body_is_bounded_before_it_is_read(path: str, most: int, address: str) -> None:
    for language, said in (("en", "were sent at once"), ("zh", "一次发送的内容超过")):
        connection = HTTPConnection(address.removeprefix("http://"), timeout=SECONDS)
        connection.putrequest("POST", path)
        head = {"Content-Length": str(most + 1), "Content-Type": "multipart/form-data; boundary=x"}
        for name, value in (head | elsewhere("4", language)).items():
            connection.putheader(name, value)
        connection.endheaders()  # and not a byte more
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 413 and (said in text or said in json.loads(text)["detail"])
        connection.close()


def test_a_body_without_a_length_is_bounded_while_it_comes(visitor: httpx.Client) -> None:
    chunks = (b" " * 100_000 for _ in range(MAX_FIELDS_BYTES // 100_000 + 2))
    answer = visitor.post(JOIN, content=chunks, headers={"Content-Type": "application/json"} | elsewhere("5"))
    assert answer.status_code == 413 and "send less" in answer.json()["detail"]


@pytest.mark.parametrize(
    "language, said", [("en", "At most 1 drawings a minute"), ("zh", "每个地址每分钟最多绘制 1 次")]
)
def test_drawings_are_made_so_many_a_minute_and_who_sits_here_has_no_limit(
    language: str, said: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DRAWINGS_PER_MINUTE", 1)
    how = {"verbose": False, "download_files": False, "httpx_kwargs": {"timeout": SECONDS}}
    own = elsewhere({"en": "6", "zh": "7"}[language], language)
    far, here = Client(address, headers=own, **how), Client(address, **how)
    asked = {"count": 1, "settings": "draft", "api_name": "/text_to_image"}
    far.predict("a cat", **asked)
    with pytest.raises(AppError, match=said):
        far.predict("a cat", **asked)
    for _ in range(2):
        here.predict("a cat", **asked)


@needs_chromium
def test_the_page_tells_of_the_limit_in_its_progress_line_and_stays_usable(
    browser: Browser, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visiting(browser, address, locale="en-US", extra_http_headers=elsewhere("8")) as page:
        choose(page, "Number of pictures", 1)
        page.get_by_label("Prompt", exact=True).fill("a cat")
        draw(page)
        monkeypatch.setattr(limits, "DRAWINGS_PER_MINUTE", 1)
        button(page, "draw").click()
        line = page.locator(".status.refused >> visible=true")
        expect(line).to_contain_text("At most 1 drawings a minute are made for one address: wait a little.")
        expect(page.get_by_test_id("toast-body")).to_have_count(0)
        monkeypatch.undo()
        assert draw(page).count() == 1


@needs_chromium
def test_every_progress_line_tells_that_no_more_calls_are_answered(
    browser: Browser, address: str, visitor: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tabs = ["Create", "Variations", "Interpolate", "Mix", "Restyle", "Retouch", "Extend", "Enhance", "Compare"]
    with visiting(browser, address, locale="en-US", extra_http_headers=elsewhere("9")) as page:
        visitor.post(JOIN, json={}, headers=elsewhere("9"))
        monkeypatch.setattr(limits, "CALLS_PER_MINUTE", 1)
        for tab in tabs:
            open_tab(page, tab)
            button(page, "draw").click()
            line = page.locator(".task .status.refused >> visible=true")
            expect(line).to_have_text("At most 1 calls a minute are answered: wait a little.")
        expect(page.get_by_test_id("toast-body")).to_have_count(0)  # also of what nobody has a line for, as rankings
        monkeypatch.undo()
        open_tab(page, "Create")
        page.locator("#prompt textarea").fill("a cat")
        draw(page)
    with visiting(browser, address, locale="zh-CN", extra_http_headers=elsewhere("10", "zh-CN")) as page:
        visitor.post(JOIN, json={}, headers=elsewhere("10"))
        monkeypatch.setattr(limits, "CALLS_PER_MINUTE", 1)
        button(page, "draw").click()
        expect(page.locator(".task .status.refused >> visible=true")).to_have_text("每分钟最多回应 1 次调用：请稍等。")


class Request:
    """Gradio's, from another machine."""

    headers: dict[str, str]

    def __init__(self, host: str) -> None:
        self.client, self.headers = self, {}
        self.host = host


def test_so_many_drawings_are_made_at_a_time_and_their_places_come_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAWINGS", 2)
    own = Limits()
    with own.drawing(Request("2001:db8::1")), own.drawing(Request("2001:db8::2")):
        with (
            pytest.raises(Busy, match="2 drawings for your address are not done yet"),
            own.drawing(Request("2001:db8::3")),
        ):
            pass
        with own.drawing(Request("2001:db8:1::1")), own.drawing(None):
            pass
    with own.drawing(Request("2001:db8::3")):
        pass


async def taking(scope: dict, receive: Callable, send: Callable) -> None:
    """An app that reads what is sent, and answers as Gradio where that does not come."""
    status, body = 200, b"{}"
    try:
        while (await receive()).get("more_body"):
            pass
    except HTTPException as error:
        status, body = error.status_code, json.dumps({"detail": error.detail}).encode()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def door(client: str) -> TestClient:
    return TestClient(Door(taking, Files(), None, Limits()), client=(client, 5))


def test_what_tools_of_mcp_are_asked_counts_as_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAWINGS_PER_MINUTE", 2)
    for client, last in (("192.0.2.1", 429), ("127.0.0.1", 200)):
        own = door(client)
        answers = [own.post("/gradio_api/mcp/", json={}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, last]
        assert own.post(JOIN, json={}).status_code == 200
        if last == 429:
            assert "At most 2 drawings a minute" in answers[-1].json()["detail"]
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_what_is_wrong_with_a_file_while_it_comes_is_a_sentence_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.door.MAX_BODY_BYTES", 10)
    for language, said in (("en", "send less."), ("zh", "请减少。")):
        chunks = (b"x" * 8 for _ in range(3))
        answer = door("192.0.2.1").post(UPLOAD, content=chunks, headers={"Accept-Language": language})
        assert answer.status_code == 413 and answer.text.endswith(said)


def asked_by_tool(own: Limits, asking: str, through: str, **headers: str) -> Request:
    """What Gradio asks of its own server for a visitor of a tool of MCP: with the headers that the visitor sent."""
    request = Request(through)
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    request.headers = {name.decode(): value.decode() for name, value in own.tool(asking, sent)}
    return request


def test_what_a_tool_of_mcp_is_asked_counts_once_whatever_proxy_stands_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy on this machine Gradio's own call seems to come from the visitor, behind another one from here."""
    monkeypatch.setattr(limits, "DRAWINGS_PER_MINUTE", 1)
    monkeypatch.setattr(limits, "CALLS_PER_MINUTE", 1)
    own, forwarded = Limits(), {"x-forwarded-for": "192.0.2.1"}
    with own.drawing(Request("192.0.2.1")):  # where it comes in
        for through in ("192.0.2.1", "127.0.0.1"):
            again = asked_by_tool(own, "192.0.2.1", through, **forwarded)
            own.call(through, again.headers)
            with own.drawing(again):
                pass
    for forged in ({"x-asked-for": "guess 192.0.2.1"}, {"x-asked-for": "\xe4"}, {"x-gradio-user": "mcp"}):
        request = Request("192.0.2.1")
        request.headers = forged | forwarded
        with pytest.raises(Busy), own.drawing(request):
            pass
    assert own.tool("192.0.2.1", [(b"x-asked-for", b"forged")]) == own.tool("192.0.2.1", [])


def test_reports_by_a_tool_of_mcp_are_bounded_and_whose_they_are() -> None:
    own = Limits()
    tool = asked_by_tool(own, "192.0.2.7", "127.0.0.1")
    told = [own.report(asking) for asking in (Request("127.0.0.1"), tool, Request("192.0.2.1"))]
    assert told == [("127.0.0.1", False), ("192.0.2.7", True), ("192.0.2.1", True)]


def test_the_door_marks_what_a_tool_of_mcp_is_asked() -> None:
    heard: list[dict[str, str]] = []

    async def hearing(scope: dict, receive: Callable, send: Callable) -> None:
        heard.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await taking(scope, receive, send)

    own = Limits()
    client = TestClient(Door(hearing, Files(), None, own), client=("192.0.2.1", 5))
    for path in ("/gradio_api/mcp/", JOIN):
        client.post(path, json={}, headers={"X-Asked-For": "forged"})
    assert heard[0]["x-asked-for"].endswith(" 192.0.2.1") and heard[1]["x-asked-for"] == "forged"
    assert own._tool_for(heard[0]) == "192.0.2.1" and own._tool_for(heard[1]) is None
