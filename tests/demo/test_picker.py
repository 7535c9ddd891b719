"""Picking a checkpoint on the page: cards, progress, what the new one can do, links to the other, who may pick."""

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stable_twin
import tiny
from hub import Hub
from playwright.sync_api import Browser, Page, expect
from visitor import SECONDS, button, draw, kept, launched, needs_chromium, settle, visiting

from dalle2.families.karlo import layout
from dalle2.families.published import published
from dalle2.serving.service import Service
from dalle2.settings import Settings
from demo import limits
from demo.facts import Facts, within_html


@pytest.fixture(scope="module")
def folders(tiny_checkpoint: Path, quick: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One like the embedded; one of other styles; Stable unCLIP without a prior; and a torn one."""
    place = tmp_path_factory.mktemp("checkpoints")
    description = {"settings": quick.to_dict(), "styles": ["ink", "oil", "chalk"], "examples": ["a green boat"]}
    torn = shutil.copytree(tiny_checkpoint, place / "torn")
    weights = next(torn.glob("decoder/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    return {
        "plain": tiny_checkpoint,
        "painted": layout.write(tiny.parts("sample", seed=9), place / "painted", description),
        "stable": stable_twin.write(stable_twin.parts(), place / "stable"),
        "torn": torn,
    }


@pytest.fixture(scope="module")
def service(folders: dict[str, Path]) -> Service:
    return Service.open(*map(str, folders.values()), keep=1)


@pytest.fixture(scope="module")
def address(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched(service, tmp_path_factory.mktemp("picking")) as address:
        yield address


def newest(page: Page) -> dict:
    """The record of what was drawn last, once it is there and in the history."""
    expect(page.locator(".task .status.done >> visible=true")).to_be_visible()
    return kept(page)[0]


def pick(page: Page, name: str) -> None:
    """Load a checkpoint by its card."""
    page.get_by_role("button", name="More checkpoints…").click()
    page.get_by_role("button", name=f"Load {name}", exact=True).click()


@needs_chromium
def test_a_checkpoint_is_picked_and_the_page_becomes_its_own(
    browser: Browser, address: str, service: Service, folders: dict[str, Path]
) -> None:
    with visiting(browser, address, locale="en-US") as page:
        assert page.get_by_label("Checkpoint", exact=True).count() == 0  # a list of one is none
        expect(page.locator("#styles button")).to_have_text(["twemoji", "noto"])
        pick(page, "painted")
        expect(page.locator("#loading")).to_contain_text("painted is ready.")
        assert service.checkpoints == ("painted",)
        expect(page.locator("#styles button")).to_have_text(["ink", "oil", "chalk"])
        expect(page.locator("#examples button")).to_have_text(["a green boat"])
        expect(page.get_by_label("Checkpoint", exact=True)).to_have_value("painted")
        expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
        page.get_by_label("Prompt", exact=True).fill("a cat")
        page.locator("#styles button", has_text="oil").click()
        expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat, oil style")
        draw(page)
        drawn = newest(page)
        assert drawn["checkpoint"] == "painted"
        link = page.evaluate("record => sharing.link(record)", drawn)
        # A torn one is refused in a sentence, and nothing changes.
        pick(page, "torn")
        expect(page.locator("#loading .status.refused")).to_contain_text("decoder")
        assert service.checkpoints == ("painted",)
        # So is a call that the server does not answer.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(limits, "sits_here", lambda *_: False)
            patch.setattr(limits, "CALLS_PER_MINUTE", 1)
            httpx.post(f"{address}/gradio_api/queue/join", json={}, timeout=SECONDS)
            page.get_by_role("button", name="Load torn", exact=True).click()
            expect(page.locator("#loading .status.refused")).to_contain_text("At most 1 calls a minute are answered")
            expect(page.get_by_test_id("toast-body")).to_have_count(0)
        page.locator("#picker").get_by_role("button", name="Close", exact=True).click()
        draw(page)
        # After a reload it is still the chosen one.
        page.reload()
        expect(page.get_by_label("Checkpoint", exact=True)).to_have_value("painted")
        expect(page.locator("#styles button")).to_have_count(3)
        # Stable unCLIP from pictures alone has other tabs, and noise as a setting.
        pick(page, "stable")
        expect(page.locator("#loading")).to_contain_text("stable is ready.")
        expect(page.get_by_role("tab", name="Create", exact=True)).to_be_hidden()
        expect(page.get_by_role("tab", name="Variations", exact=True)).to_have_attribute("aria-selected", "true")
        shown = page.locator("#tabs > .tab-wrapper [role=tab] >> visible=true").all_inner_texts()
        assert "Variations" in shown and not {"Create", "Enhance", "Compare"} & set(shown)
        page.locator(".choices summary >> visible=true").click()
        expect(page.locator('[data-key="noise_level"] >> visible=true')).to_have_attribute("max", "999")
    # Who comes by the link sees the picture by the checkpoint that drew it.
    with visiting(browser, address, link.removeprefix(address), locale="en-US") as page:
        again = newest(page)
        assert again == drawn and service.checkpoints == ("painted",)


@needs_chromium
def test_a_link_to_a_checkpoint_that_was_never_loaded_offers_it(
    browser: Browser, folders: dict[str, Path], tmp_path: Path
) -> None:
    service = Service.open(str(folders["plain"]), str(folders["painted"]), keep=1)
    with launched(service, tmp_path) as address:
        path = "/?prompt=a+cat&seed=5&checkpoint=painted"
        with visiting(browser, address, path, locale="zh-CN") as page:
            expect(page.locator("#picker")).to_contain_text("这个链接指向 painted 画的图")
            expect(page.locator("#picker li").first).to_have_class("wanted")
            assert service.checkpoints != ("painted",)
            settle(page)
            page.get_by_role("button", name="加载 painted", exact=True).click()
            record = newest(page)
            assert (record["checkpoint"], record["seed"], record["prompt"]) == ("painted", 5, "a cat")
            # Records of the other are drawn again by the other, which is loaded for it.
            open_tab_named(page, "历史")
            page.get_by_role("button", name="用这些设置").click()
            settle(page)
            expect(button(page, "draw")).to_be_focused()


@needs_chromium
def test_a_download_is_shown_stopped_gone_on_with_and_told_when_it_breaks(
    browser: Browser, folders: dict[str, Path], hub: Hub, tmp_path: Path
) -> None:
    hub.add("someone/painted", folders["painted"])
    service = Service.open(str(folders["plain"]), "someone/painted", keep=1)
    first, line = service.checkpoints, "#loading .status"
    with launched(service, tmp_path) as address, visiting(browser, address, locale="en-US") as page:
        hub.pause = threading.Event()
        pick(page, "someone/painted")
        expect(page.locator(line)).to_contain_text("Downloading someone/painted: 0.0 of 0.0 GB")
        expect(page.locator("#loading progress")).to_have_attribute("max", str(size_of(folders["painted"])))
        page.locator("#loading").get_by_role("button", name="Stop").click()
        expect(page.locator(f"{line}.stopped")).to_contain_text("What has been downloaded is kept.")
        while service.cache.loads:
            page.wait_for_timeout(50)
        hub.pause.set()
        hub.left = 4  # it goes away while it is asked again
        page.get_by_role("button", name="Load someone/painted", exact=True).click()
        expect(page.locator(f"{line}.refused")).to_contain_text("The download of someone/painted broke off at")
        assert service.checkpoints == first and not service.cache.loads
        page.get_by_label("Prompt", exact=True).fill("a cat")
        draw(page)
        hub.left = None
        page.get_by_role("button", name="Load someone/painted", exact=True).click()
        expect(page.locator(line)).to_contain_text("someone/painted is ready.")
        assert service.checkpoints == ("someone/painted",)
        assert any(asked for _, path, asked in hub.asked if path.startswith("/blob/"))


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))


def open_tab_named(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_who_sits_elsewhere_is_offered_no_downloads(folders: dict[str, Path], tmp_path: Path) -> None:
    service = Service.open(str(folders["plain"]))
    service.offer_published()
    with launched(service, tmp_path) as address:
        here = urllib.request.urlopen(address).read().decode()
        through = urllib.request.Request(address, headers={"X-Forwarded-For": "192.0.2.7"})
        there = urllib.request.urlopen(through).read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}/samples/0/index.json")
    assert offers(here) == [service.checkpoints[0], *(one.source for one in published())]
    assert offers(there) == [service.checkpoints[0]]
    facts = Facts(service)
    assert facts.may_pick({"host": "localhost:7860"}, "127.0.0.1")
    assert not facts.may_pick({"host": "rebound.example"}, "127.0.0.1")
    assert not facts.may_pick({"host": "192.0.2.1:7860"}, "192.0.2.7")
    assert Facts(service, everyone=True).may_pick({"host": "192.0.2.1:7860"}, "192.0.2.7")


def offers(page: str) -> list[str]:
    """The sources that the page offers."""
    line = next(line for line in page.splitlines() if line.startswith("window.offers"))
    return [offer["source"] for offer in json.loads(line.partition(" = ")[2].rstrip(";"))]


def test_facts_cannot_end_the_page_s_script() -> None:
    said = within_html({"text": "</script><script>"})
    assert "<" not in said and json.loads(said) == {"text": "</script><script>"}
