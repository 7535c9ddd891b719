"""The first screen: what the checkpoint draws, a wall that draws at a click, styles as pictures, and all at once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from visitor import SECONDS, button, choose, draw, kept, label_of, launched, needs_chromium, open_tab, settle, visiting

from dalle2.families import EMBEDDED, load
from dalle2.families.karlo import layout
from dalle2.serving.service import Service
from dalle2.settings import Settings
from demo import samples
from demo.page import TABS
from demo.styles import restyled

# What lies beyond the window's edge and cannot be pushed into it.
CUT_OFF = """tab => {
  const moves = element => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  const pushed = element => element && (moves(element) || pushed(element.parentElement));
  const box = element => element.getBoundingClientRect();
  const out = element => element.offsetParent && box(element).width && box(element).right > innerWidth + 1;
  const all = [...document.querySelectorAll(`${tab} *`)];
  return all.filter(one => out(one) && !pushed(one.parentElement)).map(one => one.outerHTML.slice(0, 120));
}"""
OUT_OF_THE_BOX = """parts => parts.filter(part => {
  const inner = part.getBoundingClientRect(), box = part.closest(".presets, .seeds").getBoundingClientRect();
  return inner.left < box.left || inner.right > box.right + 0.5;
}).map(part => part.textContent)"""
WIDTHS = (320, 390, 600, 700, 768, 820, 900, 960, 1024, 1280, 2560)


def write_samples(folder: Path, settings: Settings, checkpoint_hash: str) -> None:
    """A wall of one picture a language, and one of two styles, as `benchmarks.wall` writes them."""
    (folder / "samples").mkdir()
    for name in ("en", "zh", "noto"):
        Image.new("RGB", (32, 32), "teal").save(folder / "samples" / f"{name}.webp")
    index = {
        "checkpoint_hash": checkpoint_hash,
        "settings": settings.to_dict(),
        "wall": {
            "en": [{"file": "en.webp", "prompt": "a cat, noto style", "seed": 5}],
            "zh": [{"file": "zh.webp", "prompt": "一只猫", "seed": 6}],
        },
        "styles": {"noto": {"file": "noto.webp", "prompt": "sun, noto style", "seed": 7}},
    }
    (folder / "samples" / "index.json").write_text(json.dumps(index))


@pytest.fixture(scope="module")
def shop(quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that draws one kind of thing, has samples, and examples in two languages."""
    description = {
        "settings": quick.to_dict(),
        "styles": ["noto", "twemoji"],
        "examples": ["a dog", "一只狗"],
        "subject": {"en": "emoji", "zh": "表情符号"},
    }
    folder = layout.write(tiny.parts("sample"), tmp_path_factory.mktemp("shop") / "shop", description)
    write_samples(folder, quick, load(folder).checkpoint_hash)
    return folder


@pytest.fixture(scope="module")
def address(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched(Service.open(str(shop)), tmp_path_factory.mktemp("first")) as address:
        yield address


@pytest.fixture
def client(address: str) -> Client:
    return Client(address, verbose=False, httpx_kwargs={"timeout": SECONDS})


@needs_chromium
def test_the_first_screen_says_what_is_drawn_and_draws_at_a_click(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        expect(page.locator("#title")).to_contain_text("Draws emoji in two styles, 32 × 32 pixels.")
        choose(page, "Number of pictures", 2)
        sample = page.get_by_role("button", name="Draw: a cat, noto style")
        shown = sample.locator("img").evaluate("async picture => (await picture.decode(), picture.naturalWidth)")
        assert shown == 32
        sample.click()
        expect(page.locator(".status.done")).to_be_visible()
        expect(page.locator(".pictures figure")).to_have_count(2)
        assert page.locator(".pictures img").first.get_attribute("alt") == "a cat, noto style, 1"
        expect(page.get_by_label("Seed", exact=True)).to_have_value("5")
        expect(page.get_by_label("Random seed")).to_be_checked()  # the sample's seed was for once
        expect(page.locator("#styles button", has_text="noto")).to_have_attribute("aria-pressed", "true")
        # What says nothing takes no room: suggestions and a hint stand between these.
        for one, next_one in (("#counter", "#styles"), ("#styles", "#tab-text_to_image .buttons")):
            above, below = (page.locator(each).bounding_box() for each in (one, next_one))
            assert 0 < below["y"] - above["y"] - above["height"] < 20
        # A refusal leaves them, but no longer as an answer.
        page.get_by_label("Prompt", exact=True).fill("")
        button(page, "draw").click()
        expect(page.locator(".status.refused")).to_be_visible()
        expect(page.locator(".pictures .open").first).to_have_css("opacity", "0.35")
        # An example is drawn too, and only those of one's own language are there.
        expect(page.locator("#examples button")).to_have_text(["a dog"])
        page.locator("#examples button").click()
        expect(page.locator(".status.done")).to_be_visible()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a dog")
    with visiting(browser, address, locale="zh-CN") as page:
        expect(page.locator("#title")).to_contain_text("只画表情符号，2 种风格")
        expect(page.locator("#examples button")).to_have_text(["一只狗"])
        expect(page.locator(".wall button")).to_have_count(1)
        expect(page.get_by_role("button", name="绘制: 一只猫")).to_be_visible()


@needs_chromium
def test_a_picture_is_marked_and_repainted_within_one_window(browser: Browser, address: str, shop: Path) -> None:
    with visiting(browser, address, locale="en-US", viewport={"width": 1280, "height": 800}) as page:
        open_tab(page, "Retouch")
        expect(page.locator("#tab-inpaint .hint").first).to_contain_text("knows emoji only")
        page.set_input_files("#tab-inpaint .own-picture input[type=file]", shop / "samples" / "en.webp")
        expect(page.locator(".brush canvas")).to_be_in_viewport(ratio=1)
        expect(button(page, "draw")).to_be_in_viewport(ratio=1)


@needs_chromium
def test_an_example_is_extended_at_a_click(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        open_tab(page, "Extend")
        choose(page, "Number of pictures", 1)
        page.get_by_role("button", name="a cat, noto style").filter(visible=True).click()
        expect(page.locator("#tab-outpaint .status.done")).to_be_visible()
        expect(page.locator("#tab-outpaint .pictures figure")).to_have_count(1)
        (record,) = kept(page)
        assert (record["task"], record["blend"]) == ("outpaint", True)


@needs_chromium
def test_a_style_is_marked_and_taken_off_and_all_are_drawn_at_once(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        noto, other = (
            page.locator("#styles").get_by_role("button", name=name, exact=True) for name in ("noto", "twemoji")
        )
        assert noto.locator("img").evaluate("async picture => (await picture.decode(), picture.naturalWidth)") == 32
        prompt = page.get_by_label("Prompt", exact=True)
        noto.click()  # without a prompt it shows what its sample shows
        expect(prompt).to_have_value("sun, noto style")
        prompt.fill("a dog")
        expect(noto).to_have_attribute("aria-pressed", "false")
        for pressed, expected in ((noto, "a dog, noto style"), (other, "a dog, twemoji style"), (other, "a dog")):
            pressed.click()
            expect(prompt).to_have_value(expected)
        expect(other).to_have_attribute("aria-pressed", "false")
        choose(page, "Number of pictures", 1)
        pictures = draw(page)
        seed = page.get_by_label("Seed", exact=True).input_value()
        pictures.first.get_by_role("button", name="All styles").click()
        expect(page.locator(".pictures figure")).to_have_count(2)
        expect(page.locator(".status.done")).to_be_visible()
        alts = page.locator(".pictures figure img").evaluate_all("pictures => pictures.map(picture => picture.alt)")
        assert alts == ["a dog, noto style", "a dog, twemoji style"]
        expect(page.locator(".pictures figure small")).to_have_text(["noto style", "twemoji style"])
        assert page.get_by_label("Seed", exact=True).input_value() == seed


def test_all_styles_come_from_one_seed(client: Client) -> None:
    pictures, seed, state = client.predict("a cat, twemoji style", 7, False, api_name="/in_all_styles")
    assert (seed, state["state"]) == (7, "done")
    asked = [(picture["record"]["prompt"], picture["record"]["seed"]) for picture in pictures]
    assert asked == [("a cat, noto style", 7), ("a cat, twemoji style", 7)]
    (alone,), _, _ = client.predict("a cat, noto style", 7, False, 1, api_name="/text_to_image")
    with Image.open(alone["image"]) as one, Image.open(pictures[0]["image"]) as same:
        difference = max(abs(a - b) for a, b in zip(one.tobytes(), same.tobytes(), strict=True))
    assert difference <= 1


@needs_chromium
def test_styles_that_do_not_fit_a_phone_are_pushed_along_and_fade(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US", viewport={"width": 390, "height": 844}) as page:
        tiles = page.locator("#styles .tiles")
        tiles.evaluate("tiles => { for (let i = 0; i < 3; i++) tiles.innerHTML += tiles.innerHTML; }")
        assert tiles.evaluate("tiles => tiles.scrollWidth - tiles.clientWidth") > 100
        assert tiles.evaluate("tiles => tiles.getBoundingClientRect().right") <= 390
        assert "gradient" in tiles.evaluate("tiles => getComputedStyle(tiles).maskImage")


@needs_chromium
def test_every_tab_is_reached_at_every_width(browser: Browser, address: str) -> None:
    with visiting(browser, address, locale="en-US") as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            page.reload()  # as whoever comes with a screen of this width
            expect(button(page, "draw")).to_be_visible()
            _walk_the_tabs(page, width)


def _walk_the_tabs(page: Page, width: int) -> None:
    tabs = page.get_by_role("tab")
    names = [name for name in TABS if name != "explain"]
    for name in names if width == 320 else names[-3:] + names[:1]:
        page.get_by_role("tab", name=label_of(name), exact=True).click()
        box = page.get_by_role("tab", name=label_of(name), exact=True).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, (name, box)
        expect(page.locator(f"#tab-{name}")).to_be_visible()
        settle(page)
        assert page.evaluate(CUT_OFF, f"#tab-{name}") == [], (name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".presets button, .random-seed span").evaluate_all(OUT_OF_THE_BOX) == [], width
    if width in (820, 1280):
        tabs.first.press("ArrowRight")
        expect(page.get_by_role("tab", name="Variations", exact=True)).to_be_focused()
        expect(page.locator("#tab-variations")).to_be_visible()
        page.get_by_role("tab", name="Variations", exact=True).press("End")
        expect(page.locator("#tab-about")).to_be_visible()
        assert page.locator("#tabs > .tab-wrapper [role=tab][tabindex='0']").count() == 1


def test_samples_of_other_weights_are_not_shown(shop: Path, quick: Settings, tmp_path: Path) -> None:
    assert [len(wall) for wall in samples.wall(samples.of(Service.open(str(shop)), "shop")).values()] == [1, 1]
    folder = layout.write(tiny.parts("sample", seed=3), tmp_path / "other", {"settings": quick.to_dict()})
    write_samples(folder, quick, "0" * 64)
    service = Service.open(str(folder))
    assert samples.of(service, "other") is None and samples.wall(None) == {}


def test_the_embedded_checkpoint_shows_itself() -> None:
    """When the weights change: python -m benchmarks.wall."""
    service = Service.open()
    assert service.model().subject["en"] and service.model().subject["zh"]
    found = samples.of(service, service.checkpoints[0])
    walls = samples.wall(found)
    assert {language: len(wall) >= 12 for language, wall in walls.items()} == {"en": True, "zh": True}
    assert all(re.search("[一-鿿]", sample["record"]["prompt"]) for sample in walls["zh"])
    assert all(style["url"] for style in samples.styles(found, service.model().styles))
    folder = EMBEDDED / "samples"
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 300_000
    sample = walls["en"][0]
    (drawn,) = service.model().text_to_image(
        [sample["record"]["prompt"]],
        seeds=[sample["record"]["seed"]],
        settings=Settings.from_dict(sample["record"]["settings"]),
    )
    with Image.open(folder / sample["url"].split("/", 2)[2]) as shown:
        pairs = zip(
            drawn.convert("L").resize((32, 32)).tobytes(), shown.convert("L").resize((32, 32)).tobytes(), strict=True
        )
    assert sum(abs(a - b) for a, b in pairs) / 1024 < 4  # of 255: what small WebP costs


@pytest.mark.parametrize(
    "prompt, expected",
    [
        ("a cat", "a cat, noto style"),
        ("a cat, twemoji style", "a cat, noto style"),
        ("一只猫，twemoji风格", "一只猫，noto风格"),
    ],
)
def test_a_style_stands_at_the_end_in_the_prompt_s_language(prompt: str, expected: str) -> None:
    assert restyled(prompt, "noto", ["noto", "twemoji"]) == expected
