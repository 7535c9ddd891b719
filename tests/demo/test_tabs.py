"""The other tabs: results handed on from one to another, own pictures, films, history, links, several checkpoints."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import tiny
from conftest import QUICK
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from visitor import (
    button,
    choose,
    choose_steps,
    draw,
    kept,
    launched,
    needs_chromium,
    open_tab,
    send,
    settle,
    shown,
    visiting,
)

from dalle2 import images
from dalle2.families.karlo import layout
from dalle2.networks.linear_prior import LinearPrior
from dalle2.serving.service import Service
from dalle2.settings import Settings
from demo import film
from demo.language import Bilingual, Words
from demo.tabs.about import RELATIVE_LINK

# What a browser holds while a file is dragged over it, and a picture put on its clipboard.
CARRY = """bytes => {
  const dragged = new DataTransfer();
  dragged.items.add(new File([new Uint8Array(bytes)], "photo.jpg", {type: "image/jpeg"}));
  return dragged;
}"""
COPY = """async () => {
  const canvas = new OffscreenCanvas(40, 30);
  canvas.getContext("2d").fillRect(0, 0, 20, 30);
  const picture = await canvas.convertToBlob({type: "image/png"});
  await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
}"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A visitor's own picture, with metadata that nobody else should see."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of Jane"
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "photo.jpg", exif=exif)
    return tmp_path / "photo.jpg"


DEFAULT = {"prompt": "a cat", "seed": 7, "checkpoint": "sample", "settings": QUICK.to_dict()}


def drawn(page: Page, prompt: str = "a cat face") -> None:
    """Two pictures on the first tab."""
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt", exact=True).fill(prompt)
    expect(draw(page)).to_have_count(2)


@needs_chromium
def test_a_result_is_varied_in_one_click(page: Page) -> None:
    drawn(page)
    source = page.locator(".pictures img >> visible=true").nth(1).get_attribute("src").split("/")[-1]
    send(page, "Vary", 1)
    expect(page.get_by_role("tab", name="Variations", exact=True)).to_have_attribute("aria-selected", "true")
    assert shown(page) == source
    expect(page.locator(".status.done >> visible=true")).to_be_visible()  # drawn without another click
    expect(page.locator(".pictures figure >> visible=true")).to_have_count(4)
    expect(button(page, "draw")).to_be_focused()
    send(page, "Vary")  # a variation of the variation
    expect(page.locator(".own-picture img >> visible=true")).not_to_have_attribute("src", re.compile(re.escape(source)))
    expect(page.locator(".status.done >> visible=true")).to_be_visible()


@needs_chromium
def test_a_result_is_sent_on_by_keyboard(page: Page) -> None:
    drawn(page)
    picture = page.locator(".pictures figure >> visible=true").first
    menu = picture.get_by_role("button", name="Use in…")
    menu.press("Enter")
    entry = page.locator(".menu:popover-open button")
    expect(entry.first).to_be_focused()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(page.get_by_role("tab", name="Create", exact=True)).to_have_attribute("aria-selected", "true")
    menu.press("Enter")
    for _ in range(30):
        if page.locator(":focus").inner_text() == "Retouch":
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert shown(page)
    expect(page.get_by_role("tab", name="Retouch", exact=True)).to_have_attribute("aria-selected", "true")
    expect(button(page, "draw")).to_be_focused()


@needs_chromium
def test_two_results_are_interpolated_and_filmed(page: Page, tmp_path: Path) -> None:
    drawn(page)
    send(page, "Interpolate from it", 0)
    open_tab(page, "Create")
    send(page, "Interpolate to it", 1)
    assert shown(page, 0) != shown(page, 1)
    page.get_by_role("button", name="Add C and D").click()
    settle(page)
    page.get_by_label("Prompt for C, instead of a picture").fill("a dog")
    choose(page, "Number of frames", 5)
    frames = draw(page)
    expect(frames).to_have_count(5)
    expect(page.locator(".film figure").nth(0)).to_have_class("chosen")
    slider = page.locator(".scrub >> visible=true")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(page.locator(".film figure").nth(2)).to_have_class("chosen")
    player = page.get_by_role("button", name="Play", exact=True)
    player.click()
    for index in (4, 0):  # there and back again
        page.wait_for_function("index => document.querySelectorAll('.film figure')[index].className", arg=index)
    player.click()
    expect(player).to_have_attribute("aria-pressed", "false")
    for kind in ("GIF", "MP4"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind, exact=True).click()
        download.value.save_as(tmp_path / kind)
    with Image.open(tmp_path / "GIF") as gif:
        assert (gif.format, gif.n_frames, gif.size) == ("GIF", 8, (256, 256))  # there and back again
    with av.open(str(tmp_path / "MP4")) as mp4:
        assert sum(1 for _ in mp4.decode(video=0)) == 8


@needs_chromium
def test_results_are_mixed(page: Page) -> None:
    drawn(page)
    send(page, "Mix: first picture", 0)
    assert shown(page)  # the tab is there, and what is typed from now on stays
    page.get_by_label("Prompt (optional)").fill("a dog")
    choose(page, "Number of pictures", 1)
    expect(draw(page)).to_have_count(1)


@needs_chromium
def test_settings_are_taken_over_from_a_result(page: Page) -> None:
    choose_steps(page, 5)
    drawn(page, "a cat")
    seed = int(page.get_by_label("Seed", exact=True).input_value())
    page.get_by_label("Prompt", exact=True).fill("a dog")
    choose_steps(page, 9)
    send(page, "Reuse settings", 1)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat")
    expect(page.get_by_label("Seed", exact=True)).to_have_value(str(seed + 1))
    expect(page.get_by_label("Random seed")).not_to_be_checked()
    steps = page.locator('.choices input[data-stage="decoder"][data-key="num_inference_steps"]').first
    expect(steps).to_have_value("5")
    send(page, "Compare")
    expect(page.locator("#tab-compare").get_by_label("Prompt", exact=True)).to_have_value("a cat")
    expect(page.get_by_label("Seed", exact=True).filter(visible=True)).to_have_value(str(seed))


@needs_chromium
def test_settings_are_read_from_a_picture_file(page: Page, tmp_path: Path, quick: Settings) -> None:
    picture = Image.new("RGB", (4, 4))
    images.write_record(picture, {"prompt": "a loaded cat", "seed": 77, "settings": quick.to_dict()})
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Load settings from a picture").click()
    chooser.value.set_files(images.save(picture, tmp_path / "cat.png"))
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a loaded cat")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("77")
    expect(page.get_by_label("Random seed")).not_to_be_checked()


@needs_chromium
def test_a_picture_without_a_record_is_told(page: Page, tmp_path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Load settings from a picture").click()
    chooser.value.set_files(images.save(Image.new("RGB", (4, 4)), tmp_path / "plain.png"))
    expect(page.get_by_test_id("toast-body")).to_contain_text("carries no record")


@needs_chromium
@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_own_pictures_are_chosen_dropped_and_pasted(browser: Browser, address: str, photo: Path, way: str) -> None:
    allowed = {"permissions": ["clipboard-read", "clipboard-write"], "locale": "en-US"}
    with visiting(browser, address, **allowed) as page:
        open_tab(page, "Variations")
        box = page.locator(".own-picture >> visible=true")
        match way:
            case "choose":
                box.locator("input[type=file]").set_input_files(photo)
            case "drop":
                dragged = page.evaluate_handle(CARRY, list(photo.read_bytes()))
                box.get_by_label("Drop an image file").dispatch_event("drop", {"dataTransfer": dragged})
            case "paste":
                page.evaluate(COPY)
                box.get_by_label("Paste from clipboard").click()
        shown(page)
        choose(page, "Number of pictures", 1)
        expect(draw(page)).to_have_count(1)


@needs_chromium
def test_a_file_that_is_no_picture_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "words.png").write_text("not a picture")
    open_tab(page, "Variations")
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("There is no picture yet")
    page.locator(".own-picture input[type=file] >> nth=0").set_input_files(tmp_path / "words.png")
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("This is not a picture")


@needs_chromium
def test_the_history_stays_in_this_browser(page: Page, browser: Browser, address: str) -> None:
    drawn(page, "a private cat")
    kept(page, 2)
    page.reload()
    open_tab(page, "History")
    entries = page.locator(".history figure")
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("a private cat")
    seed = entries.nth(1).locator("small").inner_text().split()[-1]
    entries.nth(1).get_by_role("button", name="Reuse settings").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a private cat")
    expect(page.get_by_label("Seed", exact=True)).to_have_value(seed)
    with visiting(browser, address, locale="en-US") as stranger:
        open_tab(stranger, "History")
        expect(stranger.locator(".block.history")).to_contain_text("Nothing drawn yet.")
        assert "private cat" not in stranger.content()
    open_tab(page, "History")
    entries.first.get_by_role("button", name="Star").click()
    page.get_by_role("button", name="Starred only").click()
    expect(entries).to_have_count(1)
    page.get_by_role("button", name="Starred only").click()
    for asked, found in (("private CAT", 2), ("dog", 0), ("", 2)):
        page.get_by_label("Search the history").fill("")
        page.get_by_label("Search the history").press_sequentially(asked)
        expect(page.get_by_label("Search the history")).to_have_value(asked)
        expect(entries).to_have_count(found)
    entries.first.get_by_role("button", name="Delete").click()
    expect(entries).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(entries).to_have_count(2)
    entries.first.locator(".open").click()
    expect(page.locator("dialog[open] img")).to_be_visible()
    page.keyboard.press("Escape")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete all").click()
    expect(entries).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    expect(entries).to_have_count(0)


@needs_chromium
def test_the_history_keeps_what_a_variation_came_from(page: Page, photo: Path) -> None:
    open_tab(page, "Variations")
    page.locator(".own-picture input[type=file] >> nth=0").set_input_files(photo)
    shown(page)
    choose(page, "Number of pictures", 1)
    draw(page)
    open_tab(page, "History")
    expect(page.locator(".history figure")).to_have_count(1)  # kept, before the page is left
    page.reload()
    open_tab(page, "History")
    page.locator(".history figure").get_by_role("button", name="Reuse settings").click()
    expect(page.get_by_role("tab", name="Variations", exact=True)).to_have_attribute("aria-selected", "true")
    shown(page)
    expect(draw(page)).to_have_count(4)


@needs_chromium
def test_a_picture_of_the_history_goes_on_to_another_tab_by_keyboard(page: Page) -> None:
    drawn(page, "a private cat")
    kept(page, 2)
    page.reload()
    open_tab(page, "History")
    page.locator(".history figure").first.get_by_role("button", name="Use in…").focus()
    page.keyboard.press("Enter")
    first = page.get_by_role("menuitem").filter(visible=True).first
    expect(first).to_be_focused()
    for key in ("ArrowDown", "Home", "Escape"):
        page.keyboard.press(key)
    expect(page.get_by_role("tab", name="History", exact=True)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Mix: second picture").filter(visible=True).press("Enter")
    expect(page.get_by_role("tab", name="Mix", exact=True)).to_have_attribute("aria-selected", "true")
    shown(page, 1)
    expect(page.locator(".own-picture >> visible=true").first.locator("img")).to_have_count(0)


@needs_chromium
def test_an_older_history_is_taken_over(page: Page) -> None:
    dot = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/%3E"
    record = {"task": "text_to_image", "prompt": "an old cat", "seed": 7, "settings": {}}
    entry = [{"caption": "an old cat", "record": record, "thumbnail": dot}]
    page.evaluate("entries => localStorage.setItem('history', entries)", json.dumps(entry))
    page.reload()
    open_tab(page, "History")
    expect(page.locator(".history figure")).to_contain_text("an old cat")
    assert page.evaluate("localStorage.getItem('history')") is None


@needs_chromium
def test_a_shared_link_brings_prompt_seed_and_settings(browser: Browser, address: str, quick: Settings) -> None:
    allowed = {"permissions": ["clipboard-read", "clipboard-write"], "locale": "en-US"}
    with visiting(browser, address, **allowed) as page:
        choose_steps(page, 6)
        drawn(page, "a shared cat & dog")
        send(page, "Copy link", 1)
        link = page.evaluate("navigator.clipboard.readText()")
        seed = int(page.get_by_label("Seed", exact=True).input_value()) + 1
        assert page.evaluate("record => sharing.link(record)", DEFAULT).removeprefix(address) == "/?prompt=a+cat&seed=7"
    assert link.startswith(address) and len(link) < 300
    with visiting(browser, address, link.removeprefix(address), locale="en-US") as page:
        # The one picture is drawn at once.
        expect(page.locator(".status.done >> visible=true")).to_be_visible()
        expect(page.locator(".pictures figure >> visible=true")).to_have_count(1)
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a shared cat & dog")
        expect(page.get_by_label("Seed", exact=True)).to_have_value(str(seed))
        expect(page.get_by_label("Random seed")).not_to_be_checked()
        steps = page.locator('.choices input[data-stage="prior"][data-key="num_inference_steps"]').first
        expect(steps).to_have_value("6")


@needs_chromium
def test_a_link_is_copied_without_a_clipboard_and_only_then_said_so(page: Page) -> None:
    drawn(page)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    send(page, "Copy link")
    copied = page.locator(".pictures figure >> visible=true").first.locator("[data-do=link]")
    expect(copied).to_have_text("✓ Copied")
    expect(copied).to_have_text("Copy link")  # after a moment
    page.locator(".pictures .open >> visible=true").first.click()
    enlarged = page.locator("dialog[open] [data-do=link]")
    enlarged.click()
    expect(enlarged).to_have_text("✓ Copied")
    expect(enlarged).to_have_text("Copy link")
    page.keyboard.press("Escape")
    page.evaluate("document.execCommand = () => false")
    said = []
    page.once("dialog", lambda dialog: (said.append(dialog.default_value), dialog.dismiss()))
    send(page, "Copy link")
    assert "prompt=a+cat+face" in said[0]
    expect(copied).to_have_text("Copy link")


@needs_chromium
@pytest.mark.parametrize("query", ["seed=x&settings=nonsense&checkpoint=../../etc", "settings=%7B%22prior%22%3A3%7D"])
def test_a_broken_link_does_no_harm(browser: Browser, address: str, query: str) -> None:
    with visiting(browser, address, f"/?prompt=a+cat&{query}", locale="en-US") as page:
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat")
        button(page, "draw").click()
        expect(page.locator(".status.done, .status.refused").first).to_be_visible()


@needs_chromium
def test_about_shows_the_card_and_this_page_s_own_address(page: Page, address: str) -> None:
    open_tab(page, "About")
    expect(page.locator(".about .licence")).to_contain_text("names no licence")
    height = page.locator("#tab-about").bounding_box()["height"]
    assert height < 700  # the rest is folded
    page.get_by_role("button", name="The card of").click()
    expect(page.locator(".block.card")).to_contain_text("came without a card")
    for summary in page.locator(".about summary").all():
        summary.click()
    example = page.locator(".about pre").nth(1).inner_text()
    assert f'Client("{address}")' in example
    found: dict[str, object] = {}
    exec(example, found)  # it does what it says
    assert (len(found["pictures"]), len(found["others"]), found["progress"]["state"]) == (2, 4, "done")
    assert f"{address}/gradio_api/call/v2/text_to_image \\\n" in page.locator(".about pre").nth(2).inner_text()


@needs_chromium
def test_several_checkpoints_can_be_chosen(
    browser: Browser, tiny_checkpoint: Path, quick: Settings, tmp_path: Path
) -> None:
    description = {"settings": quick.to_dict(), "styles": ["ink"], "examples": ["a mountain"]}
    parts = dataclasses.replace(tiny.parts("sample", seed=1), prior_linear=LinearPrior(embedding_dim=32))
    other = layout.write(parts, tmp_path / "inks", description)
    (other / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Inks\n\nDraws with [ink](INK.md).\n")
    with (
        launched(Service.open(str(tiny_checkpoint), str(other)), tmp_path / "page") as address,
        visiting(browser, address, locale="en-US") as page,
    ):
        page.get_by_label("Checkpoint").click()
        page.get_by_role("option", name="inks").click()
        page.locator("#examples").get_by_role("button", name="a mountain", exact=True).click()
        expect(page.locator(".status.done")).to_be_visible()
        page.locator("#styles").get_by_role("button", name="ink", exact=True).click()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a mountain, ink style")
        choose(page, "Number of pictures", 1)
        page.locator(".choices summary >> visible=true").click()
        page.get_by_label("Kind").filter(visible=True).select_option("Linear")
        draw(page)
        open_tab(page, "History")
        expect(page.locator(".history figure")).to_have_count(5)  # the example drew four
        newest = kept(page, 5)[0]
        assert newest["checkpoint"] == "inks"
        assert newest["settings"]["prior"]["kind"] == "linear"
        open_tab(page, "About")
        expect(page.locator(".about .licence")).to_contain_text("What inks draws is licensed under CC BY 4.0")
        page.get_by_role("button", name="The card of inks").click()
        expect(page.locator(".block.card").filter(visible=True)).to_contain_text("Draws with ink.")


def test_the_api_varies_mixes_and_interpolates(client: Client, photo: Path) -> None:
    own = handle_file(photo)
    (varied,), seed, _ = client.predict(own, seed=3, random_seed=False, count=1, api_name="/variations")
    record = images.read_record(varied["image"])
    assert (record["task"], record["seed"], seed) == ("variations", 3, 3)
    assert b"Jane" not in Path(varied["image"]).read_bytes()
    (beside,), _, _ = client.predict(own, "a dog", seed=3, random_seed=False, count=1, api_name="/variations")
    assert not np.array_equal(np.asarray(Image.open(beside["image"])), np.asarray(Image.open(varied["image"])))
    (mixed,), _, _ = client.predict(own, prompt="a dog", prompt_weight=1, count=1, api_name="/mix")
    assert [weight for _, weight in mixed["record"]["parts"]] == [0.5, 1]
    frames, _, gif, mp4, _ = client.predict(
        prompt_a="a cat", picture_b=own, prompt_d="a dog", frames=3, api_name="/interpolate"
    )
    assert [frame["record"]["position"] for frame in frames] == [0, 0.5, 1]
    assert len(frames[0]["record"]["ends"]) == 3
    assert Path(gif["value"] if isinstance(gif, dict) else gif).suffix == ".gif"
    assert Path(mp4["value"] if isinstance(mp4, dict) else mp4).suffix == ".mp4"


@pytest.mark.parametrize(
    "endpoint, arguments, sentence",
    [
        ("/variations", {"picture": None}, "There is no picture yet"),
        ("/mix", {"prompt": "a cat"}, "at least two things"),
        ("/interpolate", {"prompt_a": "a cat"}, "at least two ends"),
        ("/interpolate", {"prompt_a": "a cat", "prompt_b": "a dog", "frames": 10_000}, "24"),
        ("/interpolate", {"prompt_a": "a cat", "prompt_b": "a dog", "frames": 1}, "at least two frames|2"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(
    client: Client, endpoint: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**arguments, api_name=endpoint)


def test_the_api_reads_a_record(client: Client, tmp_path: Path, quick: Settings) -> None:
    picture = Image.new("RGB", (4, 4))
    images.write_record(picture, {"prompt": "a cat", "seed": 7, "settings": quick.to_dict()})
    file = images.save(picture, tmp_path / "cat.png")
    answer = client.predict(handle_file(file), api_name="/settings_of_picture")
    assert list(answer) == ["a cat", 7, False, quick.to_dict(), True, ""]
    images.write_record(picture, {"prompt": 3})
    shutil.copy(images.save(picture, tmp_path / "other.png"), file)
    with pytest.raises(AppError, match="no prompt and seed"):
        client.predict(handle_file(file), api_name="/settings_of_picture")


def test_films_go_there_and_back(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 31), color) for color in ("red", "lime", "blue")]
    with Image.open(film.write_gif(frames, tmp_path / "a.gif")) as gif:
        assert (gif.n_frames, gif.info["loop"], gif.size) == (4, 0, (270, 279))
    with av.open(str(film.write_mp4(frames, tmp_path / "a.mp4"))) as mp4:
        stream = mp4.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 270, 278)
        colors = [np.asarray(frame.to_image())[9, 9].argmax() for frame in mp4.decode(stream)]
    assert colors == [0, 1, 2, 1]


def test_sentences_come_in_the_visitor_s_language() -> None:
    words = Words()
    assert words("Draw", "画").key == "Draw"
    translations = words.translations().translations
    assert translations["en"] == {"Draw": "Draw"} and translations["zh"] == translations["zh-CN"] == {"Draw": "画"}

    class Asked:
        def __init__(self, language: str) -> None:
            self.headers = {"accept-language": language}

    both = Bilingual("Done.", "完成。")
    assert both.for_visitor(Asked("zh-TW,zh;q=0.9")) == "完成。"
    assert both.for_visitor(Asked("fr")) == both.for_visitor(Asked("")) == both.for_visitor(None) == "Done."


def test_relative_links_of_a_card_become_words() -> None:
    text = "See [the licences](LICENCES.md) and [arXiv](https://arxiv.org) and ![picture](a.png)."
    assert RELATIVE_LINK.sub(r"\1", text) == "See the licences and [arXiv](https://arxiv.org) and ![picture](a.png)."
