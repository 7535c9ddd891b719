"""A visitor who speaks: what was heard stands in the prompt, to be corrected; the recording is deleted at once."""

import importlib.util
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, Page, expect
from visitor import ARGUMENTS, CHROMIUM, SECONDS, launched, needs_chromium, visiting

from dalle2.families import load
from dalle2.serving.service import Service
from dalle2.speech.recording import RATE, read_recording
from dalle2.speech.sphinx import Sphinx
from dalle2.speech.transcript import Transcript
from demo import microphone
from demo.page import build

PIZZA = Path(__file__).parents[1] / "speech/recordings/pizza.flac"
needs_pocketsphinx = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None,
    reason="hearing speech needs pocketsphinx: pip install pocketsphinx",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(load("emoji"))


@pytest.fixture(scope="module")
def address(service: Service, folder: Path) -> Iterator[str]:
    with launched(service, folder) as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False, httpx_kwargs={"timeout": SECONDS})


def spoken(samples: np.ndarray, path: Path, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.astype(np.int16).tobytes())
    return path


def recordings(folder: Path) -> list[Path]:
    """The sounds that lie on the server."""
    return [file for file in folder.rglob("*") if file.suffix in (".wav", ".flac", ".webm", ".mp3")]


def visit(browser: Browser, address: str, *arguments: str, **context: Any) -> tuple[Browser, Page]:
    """A browser of its own with these arguments, in which "Speak" is open."""
    own = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
    page = own.new_context(locale="en-GB", **context).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    page.locator("#speak").get_by_role("button", name="Speak").click()
    return own, page


@needs_chromium
@needs_pocketsphinx
def test_what_is_said_stands_in_the_prompt_to_be_corrected(
    browser: Browser, address: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[np.ndarray] = []
    # A busy machine's browser leaves gaps in what its microphone is given: what is made of them is no matter here.
    monkeypatch.setattr(
        Sphinx, "recognise", lambda _, samples: arrived.append(samples) or Transcript("a pizza", "pocketsphinx")
    )
    said = spoken(read_recording(PIZZA), tmp_path / "pizza.wav")
    flags = (
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        f"--use-file-for-fake-audio-capture={said}%noloop",
    )
    own, page = visit(browser, address, *flags, permissions=["microphone"])
    try:
        expect(page.locator("#speaking")).to_contain_text("often misheard")
        expect(page.locator("#speaking")).to_contain_text("deleted at once")
        prompt = page.locator("#prompt textarea")
        prompt.fill("a cat")
        page.locator("#microphone").get_by_role("button", name="Record", exact=True).click()
        page.wait_for_timeout(4_000)
        page.locator("#microphone").get_by_role("button", name="Stop", exact=True).first.click()
        expect(page.locator(".heard.done")).to_contain_text("Heard: “a pizza”")
        expect(prompt).to_have_value("a pizza")
        (samples,) = arrived
        assert len(samples) > RATE and np.abs(samples.astype(int)).max() > 1_000
        expect(prompt).to_be_focused()
        expect(page.locator(".pictures figure")).to_have_count(0)  # nothing is drawn before it was looked at
        page.get_by_role("button", name="Put back: “a cat”").click()
        expect(prompt).to_have_value("a cat")
        expect(page.locator(".heard")).to_have_count(0)
        # The microphone is ready for another try, and nothing of this one is left.
        expect(page.locator("#microphone").get_by_role("button", name="Record", exact=True)).to_be_visible()
        assert not recordings(folder)
    finally:
        own.close()


@needs_chromium
@needs_pocketsphinx
def test_a_file_is_heard_once_and_choosing_to_upload_one_is_no_recording(
    browser: Browser, address: str, folder: Path
) -> None:
    asked: list[Any] = []
    with visiting(browser, address, locale="en-GB") as page:
        page.on("request", lambda request: asked.append(request) if "/queue/join" in request.url else None)
        page.locator("#speak").get_by_role("button", name="Speak").click()
        page.locator("#microphone").get_by_role("button", name="Upload file").click()
        page.locator("#microphone input[type=file]").set_input_files(PIZZA)
        expect(page.locator(".heard.done")).to_contain_text("Heard: “")
        assert "pizza" in page.locator("#prompt textarea").input_value()
    (heard,) = asked  # what is emptied is not asked about, however late the file comes
    assert heard.post_data_json["data"][0]["path"].endswith(".flac")
    assert not recordings(folder)


@needs_chromium
@needs_pocketsphinx
def test_a_microphone_that_is_not_allowed_is_told_of(browser: Browser, address: str) -> None:
    own, page = visit(browser, address, "--use-fake-device-for-media-stream", "--deny-permission-prompts")
    try:
        expect(page.locator("#microphone-note")).to_contain_text("microphone is not allowed", timeout=20_000)
    finally:
        own.close()


TONE = 8_000 * np.sin(np.arange(61 * 8_000) / 3)


@needs_pocketsphinx
@pytest.mark.parametrize(
    "samples, rate, sentence",
    [
        (np.zeros(RATE), RATE, "The recording is silent"),
        (TONE, 8_000, "longer than 60 seconds"),
        (np.zeros(0), RATE, "The recording is empty"),
    ],
)
def test_what_cannot_be_heard_is_refused_in_a_sentence_and_deleted(
    client: Client, folder: Path, tmp_path: Path, samples: np.ndarray, rate: int, sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(spoken(samples, tmp_path / "own.wav", rate)), api_name="/hear")
    assert not recordings(folder)


@needs_pocketsphinx
def test_a_file_that_is_no_recording_is_refused_and_deleted(client: Client, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(AppError, match="This is not a recording that can be read"):
        client.predict(handle_file(tmp_path / "a.wav"), api_name="/hear")
    assert not recordings(folder)


@needs_pocketsphinx
def test_eight_kilohertz_are_heard_too(client: Client, folder: Path, tmp_path: Path) -> None:
    slow = read_recording(PIZZA)[::2]
    said, state = client.predict(handle_file(spoken(slow, tmp_path / "own.wav", 8_000)), "a cat", api_name="/hear")
    assert (said in state["text"], state["state"], state["before"]) == (True, "done", "a cat")
    assert said and "often misheard" in state["text"] and not recordings(folder)


def test_without_pocketsphinx_there_is_no_microphone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != "pocketsphinx" or None)
    assert not microphone.available(service)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert microphone.available(service)


class OneThing:
    """A speech model of the server's owner, which hears one thing."""

    def __init__(self, words: str = "a red heart") -> None:
        self._words = words

    def recognise(self, samples: np.ndarray) -> Transcript:
        return Transcript(self._words, "a test")


def test_a_speech_model_of_one_s_own_hears_for_checkpoints_without_words_too(tiny_checkpoint: Path) -> None:
    service = Service.open(str(tiny_checkpoint))
    assert not microphone.available(service) and microphone.available(service, OneThing())
    page, _ = build(service, recogniser=OneThing())
    (hear,) = (function.fn for function in page.fns.values() if function.api_name == "hear")
    assert [words for words, _ in hear(str(PIZZA), "a cat")] == ["a red heart"]


@needs_pocketsphinx
def test_what_sounds_like_a_style_stands_in_the_prompt_as_that_and_it_is_said(service: Service) -> None:
    page, _ = build(service, recogniser=OneThing("An owl, no toes tile."))
    (hear,) = (function.fn for function in page.fns.values() if function.api_name == "hear")
    ((words, line),) = hear(str(PIZZA), "a cat")
    assert (words, line["before"]) == ("an owl, noto style", "a cat")
    assert "Heard: “An owl, no toes tile.”, which was taken for “an owl, noto style”." in line["text"]
