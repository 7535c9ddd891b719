"""What goes wrong with a server itself: it is killed while it draws, and its disk is full; no file may be half one."""

import contextlib
import dataclasses
import errno
import io
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil
from gradio_client import Client
from PIL import Image

from benchmarks.attack.answers import Answer, judged, leaks
from benchmarks.attack.crowd import PATIENCE, timed
from benchmarks.visitors import served, visit
from dalle2.serving.api.replies import Pictures, Reported

MEGABYTES = 24  # of the disk that is filled; half of it is there to start
LOST = "The server cannot be reached"
HEARD_SECONDS = 20.0  # within which whoever waits must know that the server is gone


def killed(checkpoint: str | None, many: int = 8) -> list[Answer]:
    """Kill a server while it draws for programs and for a browser; all must hear of it, and files be whole."""
    with tempfile.TemporaryDirectory() as name, served(checkpoint, folder=Path(name)) as (address, server):
        with _browser(address) as page:
            found = cut_off(address, server, many, page)
        return found + halves(Path(name))


def full_disk(checkpoint: str | None) -> list[Answer]:
    """Fill the disk of a server, ask all kinds of things, make room again, and ask once more; OSError as below."""
    with on_small_disk(checkpoint) as (address, _, disk):
        return refilled(address, disk) + halves(disk)


@contextmanager
def on_small_disk(checkpoint: str | None) -> Generator[tuple[str, psutil.Process, Path]]:
    """Serve with all files on a disk of its own, and yield address, process and disk.

    OSError where this machine lets no one mount one.
    """
    with tempfile.TemporaryDirectory() as name:
        mount = f'mount -t tmpfs -o size={MEGABYTES}M none "{name}" && exec "$@"'
        within = ["unshare", "-rm", "sh", "-c", mount, "sh"]
        if shutil.which("unshare") is None or subprocess.run([*within, "true"], capture_output=True).returncode:
            raise OSError("No disk could be mounted to be filled: that needs Linux, and user namespaces.")
        with served(checkpoint, folder=Path(name), within=within) as (address, server):
            yield address, server, Path(f"/proc/{server.pid}/root{name}")


def cut_off(address: str, server: psutil.Process, many: int, page: "_Visitor | None" = None) -> list[Answer]:
    """Kill the server while so many programs, and the page, wait for pictures."""
    with ThreadPoolExecutor(many) as pool:
        asked = [pool.submit(_until_it_is_gone, address, number) for number in range(many)]
        deadline = time.monotonic() + PATIENCE
        while httpx.get(f"{address}/v1/counts", timeout=PATIENCE).json()["waiting"] < many // 2:
            assert time.monotonic() < deadline, "nothing is drawn"
            time.sleep(0.05)
        if page:
            page.draw()
        server.kill()
        return [request.result() for request in asked] + ([page.heard()] if page else [])


def refilled(address: str, disk: Path) -> list[Answer]:
    """Ask for all kinds of things while the server's disk is full, and again when it is not."""
    with _filled(disk):
        found = _asked(address, (200, 500, 503))
    return found + _asked(address, (200,))


def halves(folder: Path) -> list[Answer]:
    """Return an answer for each file of the server's, with what is wrong with one that is not whole."""
    return [Answer("whole" if not (fault := _fault(file)) else "half", 0.0, fault) for file in _files(folder)]


def _files(folder: Path) -> Sequence[Path]:
    """Return the files that have their names; what a kill leaves has a hidden one."""
    return [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith((".", "tmp"))]


def _fault(file: Path) -> str:
    try:
        if file.suffix in (".png", ".jpeg", ".webp"):
            with Image.open(file) as picture:
                picture.load()
        elif file.read_bytes()[:6] == b"SQLite":
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        elif not file.stat().st_size:
            return f"{file.name} is empty."
    except (OSError, AssertionError, sqlite3.Error) as error:
        return f"{file.name} is not whole: {error}"
    return ""


def _until_it_is_gone(address: str, number: int) -> Answer:
    """Ask again and again; the connection must end with the server, and neither hang nor bring half an answer."""
    asked = {"prompt": "a cat face", "n": 8, "quality": "high", "seed": number, "stream": bool(number % 2)}
    while True:
        begun = time.monotonic()
        try:
            answer = httpx.post(f"{address}/v1/images/generations", json=asked, timeout=PATIENCE)
        except httpx.TransportError as error:
            fault = "It did not hear that the server is gone." if isinstance(error, httpx.TimeoutException) else ""
            return Answer("cut off", time.monotonic() - begun, fault)
        made = judged(answer, time.monotonic() - begun, (200, 429), Pictures)
        if made.fault:
            return made


class _Visitor:
    """Somebody on the page, in a browser."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._draw = page.locator("button.draw >> visible=true")
        self._draw.wait_for()
        page.get_by_label("Prompt", exact=True).fill("a cat face")

    def draw(self) -> None:
        """Press Draw, and return once the page waits or draws."""
        self._draw.click()
        self._page.locator(".status.waiting, .status.working").first.wait_for()

    def heard(self) -> Answer:
        """Wait until the page says that the server is gone."""
        begun = time.monotonic()
        try:
            self._page.locator(".status >> visible=true").get_by_text(LOST).wait_for(timeout=HEARD_SECONDS * 1000)
        except Exception as error:  # playwright's, whose import needs playwright
            return Answer("the page is silent", HEARD_SECONDS, f"The page does not say so: {error}")
        return Answer("the page says so", time.monotonic() - begun)


@contextmanager
def _browser(address: str) -> Generator[_Visitor | None]:
    """Open the page in Chromium; None where that, or playwright, is not installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or find_spec("playwright") is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(locale="en-US")
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        yield _Visitor(page)
        browser.close()


@contextmanager
def _filled(disk: Path) -> Generator[None]:
    """Leave no byte on the disk meanwhile."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1_000_000, 4_096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    with contextlib.suppress(OSError):
        (disk / "probe").write_bytes(b"x" * 8192)
    if (disk / "probe").exists() and (disk / "probe").stat().st_size == 8192:
        raise OSError(errno.ENOTSUP, "The disk could not be filled.")
    (disk / "probe").unlink(missing_ok=True)
    yield
    filler.unlink()


def _asked(address: str, allowed: tuple[int, ...]) -> list[Answer]:
    """Ask for a picture, a variation of a large one, a report, and for a picture on the page."""
    found: list[Answer] = []
    large = io.BytesIO()  # above a megabyte a form's file goes to the disk
    Image.frombytes("RGB", (900, 900), random.Random(7).randbytes(900 * 900 * 3)).save(large, "PNG")
    with httpx.Client(base_url=f"{address}/v1/images/", timeout=PATIENCE) as http:
        image = {"image": ("a.png", large.getvalue())}
        for path, ask in (
            ("generations", partial(http.post, json={"prompt": "a cat face", "settings": "draft"})),
            ("variations", partial(http.post, data={"settings": "draft"}, files=image)),
            ("reports", partial(http.post, data={"reason": "other"}, files=image)),
        ):
            made = timed(partial(ask, path), allowed, Reported if path == "reports" else Pictures)
            found.append(dataclasses.replace(made, outcome=f"{path} {made.outcome}"))
    with tempfile.TemporaryDirectory() as folder:
        page = Client(address, verbose=False, download_files=folder, httpx_kwargs={"timeout": PATIENCE})
        made = visit(page, "a cat face", 7)
    drawn = made.outcome == "own"
    fault = leaks(made.outcome) or ("" if drawn or 500 in allowed else made.outcome[:200])
    return [*found, Answer("page drawn" if drawn else f"page: {made.outcome[:80]}", made.seconds, fault)]


def memory(server: psutil.Process | None) -> float:
    """Return the server's resident memory in megabytes; nan where it cannot be seen."""
    return float("nan") if server is None else server.memory_info().rss / 1e6
