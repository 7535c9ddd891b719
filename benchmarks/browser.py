"""python -m benchmarks.browser FOLDER: how long the static page takes for a picture, with one thread and several.

FOLDER is what `python -m dalle2.export emoji --format web --out FOLDER` made. Chromium draws. The seconds to the first
picture begin with the address, and nothing is kept in the browser.
"""

import argparse
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright
from rich.console import Console
from rich.table import Table

PROMPT = "a cat face, twemoji style"
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
MOST_MILLISECONDS = 120_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Open the page in turns without and with the headers that lend it threads, and print medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("page", metavar="FOLDER", type=Path, help="the exported folder")
    parser.add_argument("--runs", type=int, default=3, help="how often to open it (default 3)")
    parser.add_argument("--pictures", type=int, default=5, help="pictures each time, the first left out (default 5)")
    options = parser.parse_args(arguments)
    if not (options.page / "files.js").is_file():
        parser.error(f"{options.page} is not an exported page: python -m dalle2.export emoji --format web --out FOLDER")
    if options.runs < 1 or options.pictures < 2:
        parser.error("give at least one run and two pictures.")
    if not (chromium := shutil.which("chromium")):
        sys.exit("There is no Chromium here: apt-get install chromium.")
    times: dict[str, list[list[float]]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(options.runs):
            for headers in ({}, ISOLATED):
                with served(options.page, headers) as address:
                    threads, seconds = visit(browser, address, options.pictures)
                times.setdefault(threads, []).append(seconds)
        browser.close()
    size = sum(file.stat().st_size for file in options.page.rglob("*") if file.is_file()) / 1e6
    table = Table(title=f"In Chromium, {size:.0f} MB, {options.runs} times, {os.cpu_count()} CPU cores, medians")
    for column in ("", "seconds to the first picture", "seconds a picture"):
        table.add_column(column, justify="right" if column else "left")
    for threads, runs in times.items():
        warm = statistics.median(seconds for run in runs for seconds in run[1:])
        table.add_row(threads, f"{statistics.median(run[0] for run in runs):.2f}", f"{warm:.2f}")
    Console(width=100).print(table)


def visit(browser: Browser, address: str, pictures: int) -> tuple[str, list[float]]:
    """Return what the page says of its threads, and the seconds until each picture was there."""
    context = browser.new_context(locale="en-US", service_workers="block")
    page, seconds = context.new_page(), []
    page.set_default_timeout(MOST_MILLISECONDS)
    begun = time.perf_counter()
    page.goto(address)
    page.get_by_role("combobox", name="Prompt").fill(PROMPT)
    page.get_by_label("another each time").uncheck()
    for seed in range(pictures):
        page.get_by_label("Seed", exact=True).fill(str(seed))
        page.keyboard.press("Enter")
        expect(page.locator("#caption")).to_contain_text(f"Seed {seed},", timeout=MOST_MILLISECONDS)
        seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
    said = page.locator("#facts").text_content() or ""
    context.close()
    return said.partition(".")[0], seconds


@contextmanager
def served(folder: Path, headers: dict[str, str]) -> Generator[str]:
    """Yield the address of a folder while a thread serves it with these headers."""

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
