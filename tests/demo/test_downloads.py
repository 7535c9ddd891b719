"""What a visitor takes away by the page's menus: larger, transparent, as SVG, all together, as a film."""

import io
import re
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import resvg_py
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Locator, Page, expect
from visitor import choose, draw, needs_chromium, open_tab, refuse_uploads, shown, visiting

from dalle2 import images

# A picture as the history keeps it.
KEEP = """([bytes, record, count = 1]) => {
  const blob = new Blob([new Uint8Array(bytes)], {type: "image/png"});
  const frames = Array(count).fill({blob, name: "disc.png", caption: record.prompt, record});
  const sources = record.task === "variations" ? [blob] : [];
  return keeping.put([{time: Date.now(), starred: false, sources, subject: "", frames, given: {}}]);
}"""
DISC = {"task": "text_to_image", "prompt": "a teal disc", "seed": 7, "settings": {}, "checkpoint": "sample"}


def taken(page: Page, menu: Locator, form: str, folder: Path) -> Path:
    """Choose a form from a menu; the file that comes, under the name that a browser gives it."""
    menu.click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=form, exact=True).filter(visible=True).click()
    expect(page.locator(".downloads .bar.refused")).to_have_count(0)
    download.value.save_as(folder / download.value.suggested_filename)
    return folder / download.value.suggested_filename


@needs_chromium
def test_results_are_taken_away_larger_and_all_together(page: Page, tmp_path: Path) -> None:
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    pictures = draw(page)
    seed = int(page.get_by_label("Seed", exact=True).input_value())
    own = pictures.nth(1).get_by_role("button", name="Download as…")
    for side in (512, 1024):
        file = taken(page, own, f"PNG, {side} × {side}", tmp_path)
        assert file.name == f"text_to_image-{seed + 1}-{side}.png"
        with Image.open(file) as picture:
            assert (picture.format, picture.size) == ("PNG", (side, side))
    every = page.get_by_role("button", name="Download all as…")
    with zipfile.ZipFile(taken(page, every, "ZIP", tmp_path)) as archive:
        records = [images.read_record(archive.read(name)) for name in archive.namelist()]
    assert [(record["prompt"], record["seed"]) for record in records] == [
        ("a cat face", seed),
        ("a cat face", seed + 1),
    ]
    with Image.open(taken(page, every, "Contact sheet (PNG)", tmp_path)) as sheet:
        assert sheet.format == "PNG" and sheet.width > 2 * 32


@needs_chromium
def test_a_picture_of_the_history_is_taken_away_as_it_is_transparent_and_as_svg(page: Page, tmp_path: Path) -> None:
    disc = Image.new("RGB", (512, 512), "white")
    ImageDraw.Draw(disc).ellipse((96, 96, 416, 416), fill="teal")
    images.write_record(disc, DISC)
    content = images.save(disc, tmp_path / "disc.png").read_bytes()
    page.evaluate(KEEP, [list(content), DISC])
    open_tab(page, "History")
    entry = page.locator(".history figure")
    expect(entry).to_contain_text("a teal disc")
    with page.expect_download() as download:
        entry.get_by_role("link", name="Download", exact=True).click()
    assert download.value.suggested_filename == "disc.png" and download.value.path().read_bytes() == content
    found: dict[str, bytes] = {}
    for form in ("PNG, transparent", "SVG"):
        found[form] = taken(page, entry.get_by_role("button", name="Download as…"), form, tmp_path).read_bytes()
    with Image.open(io.BytesIO(found["PNG, transparent"])) as cut:
        alpha = np.asarray(cut.getchannel("A"))
    assert alpha[8, 8] == 0 and alpha[256, 256] == 255
    svg = found["SVG"].decode()
    traced = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=512, height=512)))).convert("RGB")
    assert re.match(r"<\?xml|<svg", svg) and len(svg) < 20_000
    assert np.abs(np.asarray(traced, int) - np.asarray(disc, int)).mean() < 3


@needs_chromium
def test_the_strip_of_a_restyled_picture_is_taken_away_as_strip_and_film(page: Page, tmp_path: Path) -> None:
    Image.radial_gradient("L").resize((32, 32)).save(tmp_path / "own.png")
    open_tab(page, "Restyle")
    page.locator(".own-picture >> visible=true").locator("input[type=file]").first.set_input_files(tmp_path / "own.png")
    shown(page)
    page.get_by_label("What it should become").fill("a dog")
    choose(page, "Number of pictures", 3)
    page.get_by_role("button", name="Fast", exact=True).filter(visible=True).click()
    expect(draw(page)).to_have_count(3)
    every = page.get_by_role("button", name="Download all as…").filter(visible=True)
    with Image.open(taken(page, every, "Strip (PNG)", tmp_path)) as strip:
        assert strip.height < strip.width / 2.5
    with Image.open(taken(page, every, "GIF", tmp_path)) as gif:
        assert (gif.format, gif.n_frames) == ("GIF", 4)  # there and back again
    with av.open(str(taken(page, every, "MP4", tmp_path))) as mp4:
        assert sum(1 for _ in mp4.decode(video=0)) == 4
    with zipfile.ZipFile(taken(page, every, "ZIP", tmp_path)) as archive:
        strengths = [images.read_record(archive.read(name))["strength"] for name in archive.namelist()]
    assert strengths == [0, 0.5, 1]


def ask_for_gif(film: Locator) -> None:
    film.get_by_role("button", name=re.compile("^(Download as|下载为)…$")).click()
    film.get_by_role("menuitem", name="GIF").click()


@needs_chromium
@pytest.mark.parametrize(
    "language, history, again, sentence",
    [
        ("en-US", "History", "Reuse settings", "At most 480 files a minute are taken: wait a little."),
        ("zh-CN", "历史", "用这些设置", "每分钟最多接受 480 个文件：请稍等。"),
    ],
)
def test_what_the_history_may_not_send_again_is_told(
    browser: Browser, address: str, language: str, history: str, again: str, sentence: str, tmp_path: Path
) -> None:
    content = images.save(Image.new("RGB", (32, 32), "teal"), tmp_path / "disc.png").read_bytes()
    with visiting(browser, address, locale=language) as page:
        checkpoint = page.evaluate("Object.keys(checkpoints)[0]")
        for task, count in (("interpolate", 3), ("variations", 1)):
            page.evaluate(KEEP, [list(content), DISC | {"task": task, "checkpoint": checkpoint}, count])
        page.get_by_role("tab", name=history, exact=True).click()
        entries = page.locator(".history figure")
        film, variation = entries.filter(has=page.locator(".count")), entries.filter(has_not=page.locator(".count"))
        refuse_uploads(page, sentence)
        ask_for_gif(film)
        expect(page.locator(".downloads .bar.refused span")).to_have_text(sentence)
        variation.get_by_role("button", name=again).click()
        expect(page.locator(".history").get_by_role("alert")).to_have_text(sentence)
        expect(page.get_by_test_id("toast-body")).to_have_count(0)
        page.unroute("**/upload*")
        with page.expect_download() as download:
            ask_for_gif(film)
        assert download.value.suggested_filename.endswith(".gif")
        variation.get_by_role("button", name=again).click()
        shown(page)


@needs_chromium
def test_a_download_that_the_server_does_not_take_in_is_told(page: Page) -> None:
    choose(page, "Number of pictures", 2)
    page.get_by_label("Prompt", exact=True).fill("a cat")
    draw(page)
    told = {"detail": "At most 1200 calls a minute are answered: wait a little."}
    page.route("**/queue/join*", lambda route: route.fulfill(status=429, json=told))
    page.get_by_role("button", name="Download all as…").click()
    page.get_by_role("menuitem", name="ZIP", exact=True).filter(visible=True).click()
    expect(page.locator(".downloads .bar.refused span")).to_have_text(told["detail"])
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
