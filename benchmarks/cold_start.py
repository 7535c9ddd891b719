"""python -m benchmarks.cold_start: how long until a page can be used, from `python app.py` to a picture in Chromium.

The browser runs already; the clock starts with the server's process. Fails when the page is usable too late.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.visitors import ROOT, START_SECONDS, served

BUDGET = 10.0  # seconds until the page can be used
PROMPT = "a cat face, twemoji style"
STAGES = ("the server answers", "the page can be used", "the first picture is there", "one more picture, warm")


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the page as often as asked and print the medians; exit 1 if a start took more than the budget."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="how often to start (default 5)")
    parser.add_argument("--checkpoint", help="folder or hub id; default: the embedded checkpoint")
    parser.add_argument("--source", type=Path, help="the code of another commit, whose page starts in turns with ours")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("give at least one run.")
    if not (chromium := shutil.which("chromium")):
        sys.exit("There is no Chromium here: apt-get install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        sources = [ROOT, *([options.source] if options.source else [])]
        runs: dict[Path, list] = {source: [] for source in sources}
        for turn in range(options.runs):
            for source in sources if turn % 2 == 0 else reversed(sources):
                runs[source].append(start(browser, options.checkpoint, source))
        browser.close()
    table = Table(title=f"Cold start, {options.runs} times, {os.cpu_count()} CPU cores")
    table.add_column("seconds until")
    for source in sources:
        for column in ("median", "max"):
            table.add_column(f"{column}{'' if source == ROOT else f', {source.name}'}", justify="right")
    for row, stage in enumerate(STAGES):
        each = [[one[row] for one in runs[source]] for source in sources]
        table.add_row(stage, *(f"{value:.2f}" for one in each for value in (statistics.median(one), max(one))))
    Console(width=110).print(table)
    if max(usable for _, usable, *_ in runs[ROOT]) > BUDGET:
        sys.exit(f"A page could be used only after more than {BUDGET:g} s.")


def start(browser: Browser, checkpoint: str | None = None, source: Path = ROOT) -> tuple[float, float, float, float]:
    """Return the seconds of one start, as in STAGES; the last one is of that picture alone."""
    begun = time.monotonic()
    with served(checkpoint, source) as (address, _):
        answers = time.monotonic() - begun
        page = browser.new_context(locale="en-US").new_page()
        page.set_default_timeout(START_SECONDS * 1000)
        page.goto(address)
        page.locator("button.draw >> visible=true").click(trial=True)
        page.get_by_role("textbox", name="Prompt", exact=True).first.fill(PROMPT)
        usable = time.monotonic() - begun
        page.get_by_label("number input for Number of pictures").filter(visible=True).fill("1")
        seconds = []
        for _ in range(2):
            pressed = time.monotonic()
            with page.expect_request("**/queue/join*"):
                page.locator("button.draw >> visible=true").click()
            page.locator(".status.done >> visible=true").wait_for()
            seconds.append(time.monotonic() - pressed)
        page.context.close()
    return answers, usable, usable + seconds[0], seconds[1]


if __name__ == "__main__":
    main()
