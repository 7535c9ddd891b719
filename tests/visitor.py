"""A visitor of the page: the page on an address of its own, and a real browser that never leaves this machine."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from dalle2.serving.reports import Reports
from dalle2.serving.service import Service
from demo.page import build

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium")
SECONDS = 120  # the most that anything may take, also on a busy machine
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)")


@contextmanager
def launched(
    service: Service, folder: Path, port: int | None = None, api: object = None, proxies: Sequence[str] = ()
) -> Iterator[str]:
    """The address of this service's page while a thread serves it; `folder` takes its files and votes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "cache"))
        patch.setenv("VOTES_FILE", str(folder / "votes.sqlite3"))
        patch.setattr(service, "reports", Reports(folder / "reports.sqlite3"))
        blocks, looks = build(service, api)
        where = {"server_name": "127.0.0.1", "server_port": port, "proxies": proxies}
        _, url, _ = blocks.launch(**where, prevent_thread_lock=True, quiet=True, **looks)
        try:
            yield url.rstrip("/")
        finally:
            blocks.close()


@contextmanager
def served(folder: Path, *arguments: str, port: int | None = None) -> Iterator[str]:
    """The address of `app.py` with these arguments while it runs, as `launched` but a process that can be ended."""
    port = port or free_port()
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    environment = os.environ | {
        "GRADIO_SSR_MODE": "True",  # as Spaces set it
        "GRADIO_TEMP_DIR": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "REPORTS_FILE": str(folder / "reports.sqlite3"),
        "VOTES_FILE": str(folder / "votes.sqlite3"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("w+") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"http://127.0.0.1:{port}", server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=SECONDS)


@contextmanager
def proxied(address: str, prefix: str, port: int) -> Iterator[str]:
    """The address of a proxy on this port that serves `address` under a prefix, and nothing beside it."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = http.client.HTTPConnection(urlparse(address).netloc, timeout=SECONDS)
            asked.request(self.command, self.path.removeprefix(prefix) or "/", body, dict(self.headers))
            answer = asked.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1():
                self.wfile.write(part)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{port}{prefix}"
    server.shutdown()
    server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 3 * SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=SECONDS).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


@pytest.fixture(scope="session")
def address(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address, with the tiny checkpoint."""
    with launched(Service.open(str(tiny_checkpoint)), tmp_path_factory.mktemp("page")) as address:
        yield address


@pytest.fixture(scope="session")
def client(address: str) -> Client:
    """A program that calls the page's API."""
    return Client(address, verbose=False, httpx_kwargs={"timeout": SECONDS})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        expect.set_options(timeout=SECONDS * 1000)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=SECONDS * 1000)
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Browser,
    address: str,
    path: str = "/",
    viewport: ViewportSize | None = None,
    color_scheme: Literal["dark", "light"] | None = None,
    **options: object,
) -> Iterator[Page]:
    """A fresh visitor's page; at the end no request has left this machine and no script has failed.

    `options` are the browser context's: locale, permissions and so on.
    """
    with browser.new_context(**options) as context:
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        if viewport:
            page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        asked: list[str] = []
        failed: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(address + path)
        expect(button(page, "draw")).to_be_visible()
        yield page
    outside = {url for url in asked if urlparse(url).scheme not in ("data", "blob") and not url.startswith(address)}
    assert asked and not outside
    assert not failed


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh visitor on the page."""
    with visiting(browser, address, locale="en-US") as page:
        yield page


def button(page: Page, kind: str) -> Locator:
    """The "draw" or "stop" button of the tab that is open."""
    return page.locator(f"button.{kind} >> visible=true")


# The tabs whose labels are not their tasks' names.
LABELS = {"text_to_image": "Create", "text_diff": "Restyle", "inpaint": "Retouch", "outpaint": "Extend"}


def label_of(tab: str) -> str:
    """How a tab is called on the page."""
    return LABELS.get(tab, tab.capitalize())


def open_tab(page: Page, name: str) -> None:
    """Open the tab with this label."""
    page.get_by_role("tab", name=name, exact=True).click()
    # A tab is built when it is first opened; one opened meanwhile would be lost.
    tab = next((tab for tab, label in LABELS.items() if label == name), name.lower())
    expect(page.locator(f"#tab-{tab} .block").first).to_be_visible()
    settle(page)


def settle(page: Page) -> None:
    """Wait until a tab that has just come up takes what is typed.

    When a tab is opened for the first time Gradio gives its components their first values again, in the first frames
    that show them. A hand is slower than that; a test would lose what it fills in before.
    """
    page.evaluate("async () => { for (let i = 0; i < 4; i++) await new Promise(requestAnimationFrame); }")


def kept(page: Page, entries: int = 1) -> list[dict]:
    """The records of what this browser keeps, newest first, once there are at least so many entries.

    Playwright's `wait_for_function` would not do: it takes the promise of a count for true.
    """
    records = []
    for _ in range(SECONDS * 10):
        records = page.evaluate("keeping.all().then(entries => entries.map(entry => entry.frames[0].record))")
        if len(records) >= entries:
            return records
        page.wait_for_timeout(100)
    raise AssertionError(f"{len(records)} entries are kept, not {entries}")


def draw(page: Page) -> Locator:
    """Press Draw and wait for the end; the finished pictures."""
    # When the request goes, the line no longer shows the end of an earlier drawing.
    with page.expect_request("**/queue/join*"):
        button(page, "draw").click()
    expect(page.locator(".task .status.done >> visible=true")).to_be_visible()
    return page.locator(".pictures figure >> visible=true")


def refuse_uploads(page: Page, sentence: str) -> None:
    """Answer every upload as the page's door does when there are too many."""
    plain = "text/plain; charset=utf-8"
    page.route("**/upload*", lambda route: route.fulfill(status=429, content_type=plain, body=sentence))


def lose_uploads(page: Page) -> None:
    """Let no upload reach the server."""
    page.route("**/upload*", lambda route: route.abort())


def choose(page: Page, label: str, value: int) -> None:
    """Fill the number beside a slider of Gradio."""
    page.get_by_label(f"number input for {label}", exact=True).filter(visible=True).fill(str(value))


def choose_steps(page: Page, steps: int) -> None:
    """Set the steps of all stages in the advanced settings of the tab that is open."""
    if not page.locator(".choices details[open] >> visible=true").count():
        page.locator(".choices summary >> visible=true").click()
    for stage in ("prior", "decoder", "upsampler"):
        slider = page.locator(f'.choices input[data-stage="{stage}"][data-key="num_inference_steps"] >> visible=true')
        slider.evaluate(
            """(slider, steps) => {
              slider.max = Math.max(slider.max, steps);
              slider.value = steps;
              for (const kind of ["input", "change"]) slider.dispatchEvent(new Event(kind, {bubbles: true}));
            }""",
            steps,
        )


def send(page: Page, way: str, index: int = 0) -> None:
    """Press a button below a result, or choose from the menu beside it."""
    picture = page.locator(".pictures figure >> visible=true").nth(index)
    picture.hover()
    named = picture.get_by_role("button", name=way, exact=True)
    if not named.count():
        picture.get_by_role("button", name="Use in…").click()
        named = page.get_by_role("menuitem", name=way, exact=True).filter(visible=True)
    named.click()
    settle(page)


def shown(page: Page, index: int = 0) -> str:
    """The file name of the picture in an own-picture box of the open tab."""
    box = page.locator(".own-picture >> visible=true").nth(index).locator("img")
    expect(box).to_be_visible()
    settle(page)
    return box.get_attribute("src").split("/")[-1]
