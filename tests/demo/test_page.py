"""The page as visitors meet it: drawing on the first tab, the keys, languages, phones, restarts, and the API."""

import re
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from visitor import (
    SECONDS,
    button,
    choose,
    choose_steps,
    draw,
    free_port,
    label_of,
    launched,
    needs_chromium,
    open_tab,
    proxied,
    send,
    served,
    shown,
    visiting,
)

import app
from dalle2 import images
from dalle2.serving.service import Service
from dalle2.settings import MAX_SEED, Settings
from demo.page import TABS

# What programs may call; each is called by a test of its tab.
ENDPOINTS = {
    *("/text_to_image", "/settings_of_picture", "/variations", "/interpolate", "/mix", "/text_diff", "/inpaint"),
    *(
        "/outpaint",
        "/enhance",
        "/download",
        "/report",
        "/explain",
        "/caption",
        "/load_checkpoint",
        "/compare",
        "/vote",
        "/reveal",
        "/standings",
        "/in_all_styles",
    ),
}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@needs_chromium
def test_a_prompt_becomes_a_picture_with_its_record(page: Page, tmp_path: Path) -> None:
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt", exact=True).fill("a cat <b>face</b>")
    expect(page.locator("#counter")).to_have_text("17 / 1,000")
    pictures = draw(page)
    expect(pictures).to_have_count(2)
    expect(page.locator(".task .status [role=status] >> visible=true")).to_have_text(["Done.", "2 pictures."])
    seed = int(page.get_by_label("Seed", exact=True).input_value())
    captions = pictures.locator("img").evaluate_all("pictures => pictures.map(picture => picture.alt)")
    assert captions == ["a cat <b>face</b>, 1", "a cat <b>face</b>, 2"]
    pictures.nth(1).hover()
    with page.expect_download() as download:
        pictures.nth(1).get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"text_to_image-{seed + 1}.png"
    download.value.save_as(tmp_path / "picture.png")
    record = images.read_record(tmp_path / "picture.png")
    assert (record["prompt"], record["seed"]) == ("a cat <b>face</b>", seed + 1)
    with Image.open(tmp_path / "picture.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (32, 32))


@needs_chromium
def test_a_prompt_is_never_run_as_a_program(page: Page) -> None:
    prompt = "${document.title = 'taken'} `{{value}}` <img src=x onerror=\"document.title='taken'\">"
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt", exact=True).fill(prompt)
    pictures = draw(page)
    assert pictures.locator("img").get_attribute("alt") == prompt
    pictures.locator(".open").click()
    expect(page.locator("dialog[open] p")).to_have_text(prompt)
    page.keyboard.press("Escape")
    open_tab(page, "History")
    expect(page.locator(".history figcaption")).to_contain_text(prompt)
    assert page.title() != "taken"


@needs_chromium
def test_previews_of_both_drawing_stages_stream_onto_the_page(page: Page) -> None:
    page.evaluate(
        """() => {
          window.seen = new Set();
          const look = () => {
            const picture = document.querySelector(".pictures img");
            const status = document.querySelector(".task .status p");
            if (picture?.complete) seen.add(`${status.innerText.split(":")[0]} ${picture.naturalWidth}`);
          };
          const everything = {subtree: true, childList: true, attributes: true, characterData: true};
          new MutationObserver(look).observe(document.querySelector(".task"), everything);
          document.addEventListener("load", look, true);
        }"""
    )
    choose(page, "Number of pictures", 1)
    choose_steps(page, 100)  # long enough for several previews a stage, however fast the machine
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    draw(page)
    seen = set(page.evaluate("[...seen]"))
    assert {"Drawing 16", "Sharpening 32"} <= seen, seen
    assert not any(line.startswith("Understanding") for line in seen), seen


@needs_chromium
@pytest.mark.parametrize("way", ["button", "key"])
def test_a_long_run_is_stopped_by_the_button_and_by_escape(page: Page, way: str) -> None:
    choose(page, "Number of pictures", 8)
    choose_steps(page, 100)
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    page.get_by_label("Prompt", exact=True).press("Enter" if way == "button" else "Control+Enter")
    expect(page.locator(".status.working .stage").first).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat face")
    expect(button(page, "draw")).to_have_count(0)
    button(page, "stop").click() if way == "button" else page.keyboard.press("Escape")
    expect(page.locator(".task .status p >> visible=true")).to_have_text("Stopped.")
    expect(button(page, "draw")).to_be_visible()
    expect(button(page, "stop")).to_have_count(0)
    # The turn is free again, and nothing of the stopped run comes back.
    choose(page, "Number of pictures", 1)
    choose_steps(page, 2)
    page.get_by_label("Prompt", exact=True).fill("a dog")
    pictures = draw(page)
    expect(pictures).to_have_count(1)
    assert pictures.locator("img").get_attribute("alt") == "a dog"


@needs_chromium
def test_an_empty_prompt_gets_a_sentence(page: Page) -> None:
    button(page, "draw").click()
    expect(page.locator(".status.refused")).to_have_text("The prompt is empty: write what the picture should show.")
    expect(button(page, "draw")).to_be_visible()
    expect(page.get_by_text("Error", exact=True).filter(visible=True)).to_have_count(0)


@needs_chromium
def test_a_chosen_seed_draws_the_same_picture_twice(page: Page) -> None:
    page.get_by_label("Random seed").uncheck()
    page.get_by_label("Seed", exact=True).fill("7")
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    addresses = [draw(page).locator("img").get_attribute("src") for _ in range(2)]
    assert page.get_by_label("Seed", exact=True).input_value() == "7"
    assert addresses[0] == addresses[1]  # Gradio names its files by their content


@needs_chromium
def test_examples_and_styles_fill_the_prompt(page: Page) -> None:
    page.locator("#examples").get_by_role("button", name="a cat face", exact=True).click()
    expect(page.locator(".status.done")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat face")
    expect(page.locator("#counter")).to_have_text("10 / 1,000")
    page.locator("#styles").get_by_role("button", name="noto", exact=True).click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat face, noto style")
    for typed, expected in (
        ("a cat face, noto style", "a cat face, twemoji style"),
        ("a cat , ", "a cat, twemoji style"),
        ("一只猫，noto风格", "一只猫，twemoji风格"),
    ):
        page.get_by_label("Prompt", exact=True).fill(typed)
        page.locator("#styles").get_by_role("button", name="twemoji", exact=True).click()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value(expected)


@needs_chromium
def test_a_full_queue_is_told_and_leaves_the_page_usable(page: Page) -> None:
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    button(page, "draw").click()
    line = page.locator(".task .status.refused > p >> visible=true")
    expect(line).to_have_text("Many visitors are waiting already: please try again in a minute.")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    expect(button(page, "draw")).to_be_visible()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, address: str, scheme: str) -> None:
    with visiting(browser, address, color_scheme=scheme, **PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        tops = [page.locator(f".task .{part}").first.bounding_box()["y"] for part in ("ask", "pictures", "options")]
        assert tops == sorted(tops)
        assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
        # There is no pointer that could hover: a tap leads to what can be done with a picture.
        choose(page, "Number of pictures", 1)
        page.get_by_label("Prompt", exact=True).fill("a cat face")
        pictures = draw(page)
        pictures.get_by_role("button", name="Actions").tap()
        expect(page.locator("dialog[open]").get_by_role("button", name="Vary")).to_be_visible()
        page.evaluate("navigator.share = async given => { window.shared = given; }")
        page.locator("dialog[open] [data-do=link]").tap()
        page.wait_for_function("window.shared")
        shared = page.evaluate("window.shared")
        assert shared["title"] == "a cat face" and shared["url"].startswith(f"{address}/?prompt=a+cat+face&seed=")
        expect(page.locator("dialog[open]")).not_to_contain_text("Copied")
        page.keyboard.press("Escape")
        for name in TABS if scheme == "light" else ():  # colours make nothing wider
            open_tab(page, label_of(name))
            assert page.evaluate("document.documentElement.scrollWidth") == 390, name


@needs_chromium
def test_a_chinese_browser_gets_a_chinese_page(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="zh-CN") as page:
        expect(button(page, "draw")).to_have_text("开始绘制")
        expect(page.locator(".task .status p >> visible=true")).to_have_text("Enter 开始，Esc 停止。")
        expect(page.get_by_role("tab", name="变体", exact=True)).to_be_visible()
        expect(page.get_by_role("button", name="精细")).to_be_visible()
        button(page, "draw").click()
        expect(page.locator(".status.refused")).to_have_text("描述是空的：请写出想画什么。")
        page.get_by_label("描述", exact=True).fill("一只猫")
        pictures = draw(page)
        expect(page.locator(".task .status p >> visible=true")).to_have_text("完成。")
        pictures.first.hover()
        expect(pictures.first.get_by_role("button", name="变体")).to_be_visible()


# In the dark the page is the same but for its colours.
COLOURS = ["color-contrast", "link-in-text-block"]
RULES: dict[str, dict] = {"light": {}, "dark": {"runOnly": {"type": "rule", "values": COLOURS}}}


@needs_chromium
@pytest.mark.parametrize("scheme", RULES)
def test_no_tab_has_serious_barriers(browser: Browser, address: str, scheme: str) -> None:
    with visiting(browser, address, color_scheme=scheme, locale="en-US") as page:
        choose(page, "Number of pictures", 1)
        choose_steps(page, 2)
        page.get_by_label("Prompt", exact=True).fill("a cat face")
        draw(page)
        for name in TABS:
            open_tab(page, label_of(name))
            if button(page, "draw").count():
                button(page, "draw").hover()
            found = Axe().run(page, options={"resultTypes": ["violations"], **RULES[scheme]}).response["violations"]
            serious = [entry for entry in found if entry["impact"] in ("serious", "critical")]
            told = [(entry["id"], [node["html"][:200] for node in entry["nodes"]]) for entry in serious]
            assert not told, (name, told)


@needs_chromium
def test_behind_a_proxy_the_page_lives_under_a_prefix(
    browser: Browser, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`visiting` finds that no request leaves the prefix."""
    port = free_port()
    monkeypatch.setenv("GRADIO_ROOT_PATH", f"http://127.0.0.1:{port}/pictures/dalle2")
    with (
        launched(Service.open(str(tiny_checkpoint)), tmp_path) as inner,
        proxied(inner, "/pictures/dalle2", port) as address,
        visiting(browser, address, locale="en-US") as page,
    ):
        choose(page, "Number of pictures", 1)
        page.get_by_label("Prompt", exact=True).fill("a cat face")
        picture = draw(page).locator("img")
        assert picture.evaluate("async picture => (await picture.decode(), picture.naturalWidth)") == 32
        send(page, "Vary")
        assert shown(page)
        sent = "wire.upload(new File(['a'], 'a.txt')).then(file => fetch(file.url)).then(answer => answer.text())"
        assert page.evaluate(sent) == "a"
        open_tab(page, "About")
        expect(page.locator(".about")).to_contain_text(f'Client("{address}")')


@needs_chromium
def test_a_page_outlives_its_server(browser: Browser, tiny_checkpoint: Path, tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path / "first", "--checkpoint", str(tiny_checkpoint), port=port) as address:
        context = browser.new_context(locale="en-US")
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.goto(address)
        page.get_by_label("Prompt", exact=True).fill("a cat face")
        expect(button(page, "stop")).to_have_count(0)
        choose(page, "Number of pictures", 8)
        choose_steps(page, 100)
        button(page, "draw").click()
        expect(page.locator(".status.working .stage").first).to_be_visible()
    # The server has gone in the middle of a drawing: the page says so, and begins anew when it is back.
    lost = "The server cannot be reached: wait until it is back, then draw again."
    expect(page.locator(".status.refused p")).to_have_text(lost)
    expect(button(page, "draw")).to_be_visible()
    with launched(Service.open(str(tiny_checkpoint)), tmp_path / "second", port):
        expect(page.locator(".task .status.idle >> visible=true")).to_be_visible()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat face")
        choose(page, "Number of pictures", 1)
        expect(draw(page)).to_have_count(1)
        context.close()


def test_the_api_draws_and_documents_itself(client: Client, quick: Settings) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == ENDPOINTS
    for name, endpoint in endpoints.items():
        assert endpoint["description"], name
        for one in endpoint["parameters"]:
            typed, example = one["python_type"]["type"], one["example_input"]
            assert (
                typed and (typed != "Any" or one["type"]) and (example is not None or one["parameter_has_default"])
            ), (name, one)
    pictures, seed, state = client.predict("a cat", seed=7, random_seed=False, count=2, api_name="/text_to_image")
    assert (seed, state["state"]) == (7, "done")
    records = [images.read_record(picture["image"]) for picture in pictures]
    assert [(record["prompt"], record["seed"]) for record in records] == [("a cat", 7), ("a cat", 8)]
    assert records[0]["settings"] == quick.to_dict()
    assert [picture["record"] for picture in pictures] == records
    assert [picture["caption"] for picture in pictures] == ["a cat, 1", "a cat, 2"]


def test_the_api_takes_presets_and_settings(client: Client) -> None:
    for settings, steps in (("fast", 2), ("best", 8), ({"prior": {"num_inference_steps": 5}}, 5)):
        (picture,), _, _ = client.predict("a cat", count=1, settings=settings, api_name="/text_to_image")
        assert picture["record"]["settings"]["prior"]["num_inference_steps"] == steps


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"prompt": " "}, "The prompt is empty"),
        ({"prompt": "x" * 10_000}, "at most 1,000 are allowed"),
        ({"seed": -1, "random_seed": False}, "A seed must be a whole number"),
        ({"seed": 1.5, "random_seed": False}, "not 1.5"),
        ({"seed": MAX_SEED + 1, "random_seed": False}, "A seed must be a whole number"),
        ({"count": 900}, "8"),
        ({"settings": {"prior": {"num_inference_steps": 100_000}}}, "100"),
        ({"settings": {"decoder": {"guidance_scale": 1e9}}}, "from 0 to 100"),
        ({"settings": "better"}, "choose one of .*fast, default, best"),
    ],
)
def test_the_api_refuses_what_is_out_of_range_with_a_sentence(
    client: Client, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**({"prompt": "a cat"} | changes), api_name="/text_to_image")


def test_the_page_does_not_say_where_the_server_keeps_its_files(address: str, tiny_checkpoint: Path) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        with urllib.request.urlopen(address + path) as answer:
            text = answer.read().decode()
        assert not re.search(re.escape(str(tiny_checkpoint)), text), path


def test_files_of_visitors_do_not_stay(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """What Gradio deletes when the server ends is what it deletes from time to time before, if it is old enough."""
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "own.png")
    with launched(Service.open(str(tiny_checkpoint)), tmp_path) as address:
        client = Client(
            address, verbose=False, download_files=str(tmp_path / "theirs"), httpx_kwargs={"timeout": SECONDS}
        )
        client.predict(handle_file(tmp_path / "own.png"), count=1, api_name="/variations")
        client.predict(prompt_a="a cat", prompt_b="a dog", frames=2, api_name="/interpolate")
        client.predict(prompt="a cat", api_name="/compare")
        cache = tmp_path / "cache"
        kept = {file.suffix for file in cache.rglob("*") if file.is_file()}
        assert kept >= {".png", ".gif", ".mp4"}
    deadline = time.monotonic() + SECONDS
    while left := [file for file in cache.rglob("*") if file.is_file()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_missing_checkpoint_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--checkpoint", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"^app\.py: .*nowhere"):
        app.main()
