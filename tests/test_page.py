"""The page as visitors meet it: `python app.py` on a tiny checkpoint, in a real browser and through its API."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

import app
from dalle2 import images
from dalle2.settings import MAX_SEED, Settings
from demo.tabs.create import _in_style

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium")
SECONDS = 120  # the most that anything may take, also on a busy machine

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def address(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address, served by a process of its own, as a visitor's would be."""
    port = free_port()
    folder = tmp_path_factory.mktemp("page")
    command = [sys.executable, "app.py", "--checkpoint", str(tiny_checkpoint), "--port", str(port)]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w+") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}", server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=SECONDS)


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 3 * SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=SECONDS).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh visitor; at the end no request has left this machine and no script has failed."""
    context = browser.new_context()
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    page = context.new_page()
    asked: list[str] = []
    failed: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(address)
    expect(page.locator("#draw")).to_be_visible()
    yield page
    context.close()
    outside = {url for url in asked if urlparse(url).scheme not in ("data", "blob") and not url.startswith(address)}
    assert asked and not outside
    assert not failed


def choose(page: Page, label: str, value: int) -> None:
    page.get_by_label(f"number input for {label}", exact=True).fill(str(value))


def open_advanced(page: Page) -> None:
    page.get_by_role("button", name="Advanced").click()
    expect(page.get_by_label("number input for Prior: steps")).to_be_visible()


@needs_chromium
def test_a_prompt_becomes_a_picture_with_its_record(page: Page, tmp_path: Path) -> None:
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt").fill("a cat <b>face</b>")
    page.locator("#draw").click()
    expect(page.locator(".status.done")).to_be_visible()
    thumbnails = page.locator("#pictures .thumbnail-lg")
    expect(thumbnails).to_have_count(2)
    seed = int(page.get_by_label("Seed", exact=True).input_value())
    captions = page.eval_on_selector_all("#pictures img", "pictures => pictures.map(picture => picture.alt)")
    assert captions == [f"a cat <b>face</b>, seed {seed}", f"a cat <b>face</b>, seed {seed + 1}"]
    thumbnails.nth(1).click()
    with page.expect_download() as download:
        page.locator("#pictures").get_by_label("Download").click()
    download.value.save_as(tmp_path / "picture.png")
    record = images.read_record(tmp_path / "picture.png")
    assert (record["prompt"], record["seed"]) == ("a cat <b>face</b>", seed + 1)
    with Image.open(tmp_path / "picture.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (32, 32))


@needs_chromium
def test_previews_of_both_drawing_stages_stream_into_the_gallery(page: Page) -> None:
    page.evaluate(
        """() => {
          window.seen = new Set();
          const look = () => {
            const picture = document.querySelector("#pictures img");
            const status = document.querySelector(".status p");
            if (picture?.complete) seen.add(`${status.innerText.split(":")[0]} ${picture.naturalWidth}`);
          };
          new MutationObserver(look).observe(document.querySelector("#create"), {subtree: true, childList: true});
          document.addEventListener("load", look, true);
        }"""
    )
    open_advanced(page)
    choose(page, "Number of pictures", 1)
    # Long enough for several previews a stage, however fast the machine.
    for stage in ("Decoder", "Upsampler"):
        choose(page, f"{stage}: steps", 100)
    page.get_by_label("Prompt").fill("a cat face")
    page.locator("#draw").click()
    expect(page.locator(".status.done")).to_be_visible()
    seen = page.evaluate("[...seen]")
    assert {"Decoder 16", "Upsampler 32"} <= set(seen), seen
    assert not any(line.startswith("Prior") for line in seen), seen


@needs_chromium
@pytest.mark.parametrize("way", ["button", "key"])
def test_a_long_run_is_stopped_by_the_button_and_by_escape(page: Page, way: str) -> None:
    open_advanced(page)
    choose(page, "Number of pictures", 8)
    for stage in ("Prior", "Decoder", "Upsampler"):
        choose(page, f"{stage}: steps", 100)
    page.get_by_label("Prompt").fill("a cat face")
    page.get_by_label("Prompt").press("Control+Enter")
    expect(page.locator(".status.working")).to_be_visible()
    expect(page.locator("#draw")).to_be_hidden()
    page.locator("#stop").click() if way == "button" else page.keyboard.press("Escape")
    expect(page.locator(".status p")).to_have_text("Stopped.")
    expect(page.locator("#draw")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    # The turn is free again, and nothing of the stopped run comes back.
    choose(page, "Number of pictures", 1)
    for stage in ("Prior", "Decoder", "Upsampler"):
        choose(page, f"{stage}: steps", 2)
    page.get_by_label("Prompt").fill("a dog")
    page.locator("#draw").click()
    expect(page.locator(".status.done")).to_be_visible()
    expect(page.locator("#pictures .thumbnail-lg")).to_have_count(1)
    assert page.locator("#pictures img").get_attribute("alt").startswith("a dog, seed ")


@needs_chromium
def test_an_empty_prompt_gets_a_sentence(page: Page) -> None:
    page.locator("#draw").click()
    expect(page.locator(".status.refused")).to_have_text("The prompt is empty: write what the picture should show.")
    expect(page.locator("#draw")).to_be_visible()
    expect(page.get_by_text("Error", exact=True).filter(visible=True)).to_have_count(0)


@needs_chromium
def test_a_chosen_seed_draws_the_same_picture_twice(page: Page) -> None:
    page.get_by_label("Random seed").uncheck()
    page.get_by_label("Seed", exact=True).fill("7")
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt").fill("a cat face")
    addresses = []
    for _ in range(2):
        page.locator("#draw").click()
        expect(page.locator(".status.done")).to_be_visible()
        addresses.append(page.locator("#pictures img").get_attribute("src"))
    assert page.get_by_label("Seed", exact=True).input_value() == "7"
    assert addresses[0] == addresses[1]  # Gradio names its files by their content


@needs_chromium
def test_examples_and_styles_fill_the_prompt(page: Page) -> None:
    page.get_by_role("button", name="a cat face", exact=True).click()
    expect(page.get_by_label("Prompt")).to_have_value("a cat face")
    page.locator("#styles").get_by_role("button", name="noto", exact=True).click()
    expect(page.get_by_label("Prompt")).to_have_value("a cat face, noto style")
    page.locator("#styles").get_by_role("button", name="twemoji", exact=True).click()
    expect(page.get_by_label("Prompt")).to_have_value("a cat face, twemoji style")


@needs_chromium
def test_a_full_queue_is_told_and_leaves_the_page_usable(page: Page) -> None:
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    page.get_by_label("Prompt").fill("a cat face")
    page.locator("#draw").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("busy")
    expect(page.locator(".status p")).to_have_text("Stopped.")
    expect(page.locator("#draw")).to_be_visible()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, address: str, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#draw")).to_be_visible(timeout=SECONDS * 1000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    tops = [page.locator(part).bounding_box()["y"] for part in ("#ask", "#pictures", "#options")]
    assert tops == sorted(tops)
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    context.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def test_the_api_draws_and_documents_itself(client: Client, quick: Settings) -> None:
    endpoint = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoint) == ["/text_to_image"]
    parameters = {entry["parameter_name"]: entry for entry in endpoint["/text_to_image"]["parameters"]}
    assert parameters["decoder_steps"]["parameter_default"] == quick.decoder.num_inference_steps
    pictures, seed, state = client.predict("a cat", seed=7, random_seed=False, count=2, api_name="/text_to_image")
    assert (seed, state["state"]) == (7, "done")
    records = [images.read_record(picture["image"]) for picture in pictures]
    assert [(record["prompt"], record["seed"]) for record in records] == [("a cat", 7), ("a cat", 8)]
    assert records[0]["settings"] == quick.to_dict()
    assert [picture["caption"] for picture in pictures] == ["a cat, seed 7", "a cat, seed 8"]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"prompt": " "}, "The prompt is empty"),
        ({"prompt": "x" * 10_000}, "at most 1,000 are allowed"),
        ({"seed": -1, "random_seed": False}, "A seed must be a whole number"),
        ({"seed": MAX_SEED + 1, "random_seed": False}, "A seed must be a whole number"),
        ({"count": 900}, "8"),
        ({"prior_steps": 100_000}, "100"),
        ({"decoder_steps": 0}, "1"),
        ({"decoder_guidance": 1e9}, "20"),
    ],
)
def test_the_api_refuses_what_is_out_of_range_with_a_sentence(
    client: Client, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**({"prompt": "a cat"} | changes), api_name="/text_to_image")


@pytest.mark.parametrize(
    "prompt, expected",
    [
        ("a cat", "a cat, noto style"),
        ("a cat, noto v1 style", "a cat, noto style"),
        ("a cat, noto style", "a cat, noto style"),
        ("a cat , ", "a cat, noto style"),
    ],
)
def test_a_style_is_put_in_the_place_of_another(prompt: str, expected: str) -> None:
    assert _in_style(prompt, "noto", ("noto", "noto v1")) == expected


def test_a_missing_checkpoint_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--checkpoint", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"^app\.py: .*nowhere"):
        app.main()
