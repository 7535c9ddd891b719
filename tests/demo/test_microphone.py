"""A visitor who speaks: the words stand in the prompt's box, and a microphone that is not allowed is told of."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from visitor import ARGUMENTS, CHROMIUM, SECONDS, launched, needs_chromium

from dalle2.families import load
from dalle2.serving.service import Service
from dalle2.speech.recording import RATE, read_recording

pytest.importorskip("pocketsphinx", reason="hearing speech needs pocketsphinx: pip install pocketsphinx")
PIZZA = Path(__file__).parents[1] / "speech/recordings/pizza.flac"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched(Service(load("emoji")), tmp_path_factory.mktemp("page")) as url:
        yield url


def visit(browser: Browser, address: str, *arguments: str, **context: Any) -> tuple[Browser, Page]:
    """A browser of its own with these arguments, in which "Speak" is open."""
    own = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
    page = own.new_context(locale="en-GB", **context).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    page.locator("#speak").get_by_role("button", name="Speak").click()
    return own, page


@needs_chromium
def test_what_is_said_stands_in_the_prompt_to_be_corrected(browser: Browser, address: str, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "pizza.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(read_recording(PIZZA).tobytes())
    fake = f"--use-file-for-fake-audio-capture={tmp_path / 'pizza.wav'}%noloop"
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", fake)
    own, page = visit(browser, address, *flags, permissions=["microphone"])
    try:
        page.locator("#microphone").get_by_role("button", name="Record", exact=True).click()
        page.wait_for_timeout(4_000)
        page.locator("#microphone").get_by_role("button", name="Stop", exact=True).first.click()
        prompt = page.locator("#prompt textarea")
        expect(prompt).not_to_have_value("", timeout=SECONDS * 1000)
        assert "pizza" in prompt.input_value()
        prompt.fill("a pizza, noto style")
        expect(prompt).to_have_value("a pizza, noto style")
    finally:
        own.close()


@needs_chromium
def test_a_microphone_that_is_not_allowed_is_told_of(browser: Browser, address: str) -> None:
    own, page = visit(browser, address, "--use-fake-device-for-media-stream", "--deny-permission-prompts")
    try:
        expect(page.locator("#microphone-note")).to_contain_text("microphone is not allowed", timeout=20_000)
    finally:
        own.close()
