"""A visitor's own files: what is no picture is refused where it is chosen, and what a photograph becomes is said."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from visitor import (
    button,
    choose,
    choose_steps,
    draw,
    launched,
    lose_uploads,
    needs_chromium,
    open_tab,
    refuse_uploads,
    send,
    settle,
    shown,
    visiting,
)

from dalle2.datasets.phrases import Phrases
from dalle2.families.karlo import layout
from dalle2.serving.service import Service
from dalle2.settings import Settings

# A file that is dragged over the page, with the kind that a browser reads off its name.
CARRY = """([name, type]) => {
  const dragged = new DataTransfer();
  dragged.items.add(new File(["words"], name, {type}));
  return dragged;
}"""
UNSENT = "The file did not reach the server: please try again."
TORN = "damaged and cannot be read to its end"


@pytest.fixture(scope="module")
def address(quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a checkpoint that draws one kind of thing, under a licence."""
    description = {"settings": quick.to_dict(), "subject": {"en": "emoji", "zh": "表情符号"}}
    phrases = Phrases(("cat", "dog"), ("noto",), ("red",))
    folder = layout.write(tiny.parts("sample"), tmp_path_factory.mktemp("own") / "own", description, phrases=phrases)
    (folder / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\nA card.\n")
    with launched(Service.open(str(folder)), tmp_path_factory.mktemp("uploads")) as address:
        yield address


@pytest.fixture
def wrong(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Files that are no whole pictures, by what is wrong, and what is said of them."""
    encoded = io.BytesIO()
    Image.effect_noise((60, 60), 90).save(encoded, "PNG")
    contents = {
        "words.png": (b"not a picture", "This is not a picture"),
        "torn.png": (encoded.getvalue()[:900].ljust(1900, b"\0"), TORN),
        "letter.pdf": (b"%PDF-1.7", "This is not a picture"),
        "large.png": (b"\0" * 20_000_001, "larger than 20 MB"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: (tmp_path / name, sentence) for name, (_, sentence) in contents.items()}


@needs_chromium
def test_what_is_no_picture_is_refused_where_it_is_chosen(page: Page, wrong: dict, tmp_path: Path) -> None:
    open_tab(page, "Variations")
    refused = page.locator(".status.refused >> visible=true")
    chosen = page.locator(".own-picture >> visible=true").locator("input[type=file]")
    small = tmp_path / "small.png"
    Image.new("RGB", (20, 20), "teal").save(small)
    for path, sentence in wrong.values():
        chosen.set_input_files(path)
        expect(refused).to_contain_text(sentence)
        expect(page.locator(".own-picture img >> visible=true")).to_have_count(0)
        chosen.set_input_files(small)
        shown(page)
        expect(refused).to_have_count(0)
        page.get_by_role("button", name="Remove Image").filter(visible=True).click()
    sentence = "At most 480 files a minute are taken: wait a little."
    for fails, told in ((lambda: refuse_uploads(page, sentence), sentence), (lambda: lose_uploads(page), UNSENT)):
        fails()
        chosen.set_input_files(small)
        expect(refused).to_have_text(told)
        expect(page.locator(".own-picture img >> visible=true")).to_have_count(0)
        page.unroute("**/upload*")
        chosen.set_input_files(small)
        shown(page)
        expect(refused).to_have_count(0)
        page.get_by_role("button", name="Remove Image").filter(visible=True).click()
    dragged = page.evaluate_handle(CARRY, ["letter.pdf", "application/pdf"])
    page.get_by_label("Drop an image file").filter(visible=True).dispatch_event("drop", {"dataTransfer": dragged})
    expect(refused).to_contain_text("This is not a picture")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


@needs_chromium
def test_what_a_photograph_becomes_is_said_beforehand(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        for name in ("Variations", "Interpolate", "Mix", "Restyle", "Retouch", "Extend"):
            open_tab(page, name)
            expect(page.locator(".hint p >> visible=true")).to_contain_text("This checkpoint knows emoji only")
        open_tab(page, "Explain")
        expect(page.locator(".hint p >> visible=true")).to_have_count(0)
        page.get_by_label("What do the principal components of its embedding add?").check()
        expect(page.locator(".hint p >> visible=true")).to_contain_text("of a photograph it sees rough shapes")
        page.get_by_role("tab", name="Picture to words").click()
        expect(page.locator(".hint p >> visible=true")).to_contain_text(
            "for a photograph it gives the nearest captions"
        )
        open_tab(page, "Enhance")
        expect(page.locator(".hint p >> visible=true")).to_have_text(
            "Its shorter side may have up to 32 pixels; the middle square is enlarged."
        )
    with visiting(browser, address, locale="zh-CN") as page:
        page.get_by_role("tab", name="变体", exact=True).click()
        expect(page.locator(".hint p >> visible=true")).to_contain_text("这个模型只认识表情符号")


@needs_chromium
def test_the_licence_stands_beside_the_downloads(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        for count in (1, 2):
            choose(page, "Number of pictures", count)
            page.get_by_label("Prompt", exact=True).fill("a cat")
            draw(page)
            expect(page.locator(".pictures .all .licence")).to_have_text("Licence: CC BY-SA 4.0")
        page.locator(".pictures .open").first.click()
        expect(page.locator(".pictures dialog .licence")).to_be_visible()


@needs_chromium
def test_after_a_refusal_nothing_is_done_with_the_earlier_pictures(page: Page) -> None:
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt", exact=True).fill("a cat")
    pictures = draw(page)
    expect(pictures.first.get_by_role("button", name="Vary")).to_be_visible()
    page.get_by_label("Prompt", exact=True).fill("")
    button(page, "draw").click()
    expect(page.locator(".status.refused")).to_be_visible()
    expect(page.get_by_role("button", name="Vary")).to_have_count(0)
    expect(page.get_by_role("button", name="Download all as…")).to_have_count(0)
    expect(page.locator(".pictures .open").first).to_have_css("pointer-events", "none")
    page.get_by_label("Prompt", exact=True).fill("a dog")
    expect(draw(page).first.get_by_role("button", name="Vary")).to_be_visible()


@needs_chromium
def test_the_history_says_what_was_varied(page: Page, tmp_path: Path) -> None:
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt", exact=True).fill("a purple cat")
    draw(page)
    send(page, "Vary")
    expect(page.locator(".status.done >> visible=true")).to_be_visible()
    choose(page, "Number of pictures", 1)
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "our garden.png")
    page.get_by_role("button", name="Remove Image").filter(visible=True).click()
    chosen = page.locator(".own-picture >> visible=true").locator("input[type=file]")
    chosen.set_input_files(tmp_path / "our garden.png")
    shown(page)
    draw(page)
    open_tab(page, "History")
    captions = page.locator(".history figcaption")
    expect(captions.first).to_contain_text("our garden")
    expect(captions.nth(1)).to_contain_text("a purple cat")
    expect(captions.nth(1)).to_contain_text("Variation 1")
    page.set_viewport_size({"width": 320, "height": 844})  # and its buttons stay beside their picture
    for does in page.locator(".history .does").all():
        picture, buttons = does.locator("xpath=..").locator(".open").bounding_box(), does.bounding_box()
        assert picture["x"] + picture["width"] < buttons["x"] and buttons["x"] + buttons["width"] <= 320
        assert does.evaluate("does => does.scrollWidth <= does.clientWidth")


@needs_chromium
def test_only_a_finished_film_is_kept_and_once_however_often_tabs_are_switched(page: Page) -> None:
    open_tab(page, "Interpolate")
    choose_steps(page, 40)
    choose(page, "Number of frames", 4)
    for name, prompt in (("A", "a cat"), ("B", "a dog")):
        page.get_by_label(f"Prompt for {name}, instead of a picture").fill(prompt)
    button(page, "draw").click()
    expect(page.locator(".film img >> visible=true").first).to_be_visible()  # a preview
    for name in ("History", "Interpolate", "History"):
        open_tab(page, name)
    expect(page.locator(".history figure")).to_have_count(0)
    open_tab(page, "Interpolate")
    expect(page.locator(".status.done >> visible=true")).to_be_visible()
    for name in ("History", "Interpolate", "Create", "Interpolate", "History"):
        open_tab(page, name)
    settle(page)
    expect(page.locator(".history figure")).to_have_count(1)
    expect(page.locator(".history .count")).to_have_text("4")
    page.locator(".history .open").click()
    slider = page.locator(".history dialog input[type=range]")
    assert slider.evaluate("slider => getComputedStyle(slider).appearance") == "none"  # drawn as all others are


@needs_chromium
def test_a_mark_that_is_refused_is_told_and_nothing_is_repainted_by_an_earlier_one(page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "teal").save(tmp_path / "own.png")
    open_tab(page, "Retouch")
    page.locator(".own-picture >> visible=true").locator("input[type=file]").set_input_files(tmp_path / "own.png")
    shown(page)
    choose(page, "Number of pictures", 1)
    brush, line = page.locator(".block.brush"), page.locator(".status.refused > p >> visible=true")
    brush.locator("summary").click()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/upload") else None)
    with page.expect_response("**/upload*") as first:  # of many strokes at once the last mask alone is sent
        brush.evaluate("brush => { for (let i = 0; i < 6; i++) brush.querySelector('[data-do=rectangle]').click(); }")
    draw(page)
    assert len(sent) == 1
    sentence = "At most 480 files a minute are taken: wait a little."
    refuse_uploads(page, sentence)
    brush.get_by_label("Left %").fill("0")
    brush.get_by_role("button", name="Mark it").click()
    expect(line).to_have_text(sentence)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data) if "/queue/join" in request.url else None)
    with page.expect_response("**/upload*"):  # it is tried once more
        button(page, "draw").click()
    expect(line).to_have_text(sentence)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    assert not asked
    page.unroute("**/upload*")
    with page.expect_response("**/upload*") as second:
        draw(page)
    (earlier,), (now,) = first.value.json(), second.value.json()
    assert now in asked[-1] and earlier not in asked[-1]
