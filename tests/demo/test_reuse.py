""" "Reuse settings" of what the history keeps: every task comes back with all that it was asked with."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from visitor import button, choose, choose_steps, draw, kept, needs_chromium, open_tab, settle, shown

MARKED = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, 512, 512);
  return data.filter((alpha, i) => i % 4 === 3 && alpha > 0).length / 512 / 512;
}"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visitor's own picture."""
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photo") / "our garden.png"
    Image.fromarray(pixels).save(path)
    return path


def own(page: Page, photo: Path) -> None:
    """Give the open tab this picture."""
    page.locator(".own-picture >> visible=true").first.locator("input[type=file]").first.set_input_files(photo)
    shown(page)


def reopened(page: Page, entries: int = 1) -> Locator:
    """The newest of so many entries, after the page was opened anew."""
    kept(page, entries)
    page.reload()
    expect(button(page, "draw")).to_be_visible()
    open_tab(page, "History")
    expect(page.locator(".history figure")).to_have_count(entries)
    return page.locator(".history figure").first


def again(page: Page, entry: Locator, tab: str) -> None:
    """Reuse its settings, which leads to this tab."""
    entry.get_by_role("button", name="Reuse settings").click()
    expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
    expect(button(page, "draw")).to_be_focused()


def number(page: Page, label: str) -> Locator:
    return page.get_by_label(f"number input for {label}", exact=True).filter(visible=True)


@needs_chromium
def test_a_film_comes_back_with_its_prompts_and_its_number_of_frames(page: Page) -> None:
    open_tab(page, "Interpolate")
    for letter, prompt in (("A", "a cat"), ("B", "a dog")):
        page.get_by_label(f"Prompt for {letter}, instead of a picture").fill(prompt)
    choose(page, "Number of frames", 3)
    expect(draw(page)).to_have_count(3)
    box = page.locator(".film figure.chosen .open img").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1)  # nothing of the square is cut off
    seed = page.get_by_label("Seed", exact=True).filter(visible=True).input_value()
    entry = reopened(page)
    expect(entry.locator(".count")).to_have_text("3")
    again(page, entry, "Interpolate")
    for letter, prompt in (("A", "a cat"), ("B", "a dog")):
        expect(page.get_by_label(f"Prompt for {letter}, instead of a picture")).to_have_value(prompt)
    expect(number(page, "Number of frames")).to_have_value("3")
    expect(page.get_by_label("Seed", exact=True).filter(visible=True)).to_have_value(seed)


@needs_chromium
def test_pictures_are_reused_as_they_were_asked_for_whatever_was_refused_since(page: Page) -> None:
    open_tab(page, "Interpolate")
    prompts = [page.get_by_label(f"Prompt for {letter}, instead of a picture") for letter in "AB"]
    for box, prompt in zip(prompts, ("a cat", "a dog"), strict=True):
        box.fill(prompt)
    choose(page, "Number of frames", 3)
    expect(draw(page)).to_have_count(3)
    told = {"detail": "At most 1200 calls a minute are answered: wait a little."}
    page.route("**/queue/join*", lambda route: route.fulfill(status=429, json=told))
    prompts[1].fill("a bird")
    choose(page, "Number of frames", 5)
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_have_text(told["detail"])
    # Out of reach while the refusal stands, and the first thing to be reached once it does not.
    page.locator("#tab-interpolate .film figure.chosen [data-way=reuse-interpolate]").first.dispatch_event("click")
    expect(prompts[1]).to_have_value("a dog")
    expect(prompts[0]).to_have_value("a cat")
    expect(number(page, "Number of frames")).to_have_value("3")


@needs_chromium
def test_a_mix_comes_back_with_its_parts_and_their_weights(page: Page, photo: Path) -> None:
    open_tab(page, "Mix")
    own(page, photo)
    page.get_by_label("Prompt (optional)").fill("a dog")
    weights = {"Weight of the first": 0.25, "Weight of the second": 0.4, "Weight of the prompt": 0.75}
    for label, weight in weights.items():
        choose(page, label, weight)
    choose(page, "Number of pictures", 1)
    draw(page)
    entry = reopened(page)
    expect(entry).to_contain_text("our garden")
    again(page, entry, "Mix")
    shown(page)
    expect(page.get_by_label("Prompt (optional)").filter(visible=True)).to_have_value("a dog")
    for label, weight in weights.items():
        expect(number(page, label)).to_have_value(str(weight))


@needs_chromium
def test_a_retouched_picture_comes_back_with_what_was_marked(page: Page, photo: Path) -> None:
    open_tab(page, "Retouch")
    own(page, photo)
    brush, canvas = page.locator(".brush"), page.locator(".brush canvas")
    brush.locator("summary").click()
    with page.expect_response("**/upload*"):
        brush.get_by_role("button", name="Mark it").click()
    marked = canvas.evaluate(MARKED)
    choose(page, "Number of pictures", 1)
    choose_steps(page, 2)
    draw(page)
    entry = reopened(page)
    expect(entry).not_to_contain_text("+")  # the mask is none of what it was made from
    again(page, entry, "Retouch")
    shown(page)
    page.wait_for_function(f"share => ({MARKED})(document.querySelector('.brush canvas')) === share", arg=marked)
    choose(page, "Number of pictures", 1)
    settle(page)
    expect(draw(page)).to_have_count(1)


@needs_chromium
def test_principal_components_come_back_with_their_picture(page: Page, photo: Path) -> None:
    open_tab(page, "Explain")
    question = page.get_by_label("What do the principal components of its embedding add?")
    question.check()
    own(page, photo)
    choose_steps(page, 1)
    draw(page)
    entry = reopened(page)
    expect(entry.locator(".count")).to_have_text("10")
    again(page, entry, "Explain")
    expect(question).to_be_checked()
    shown(page)


@needs_chromium
def test_pictures_of_all_styles_and_of_a_comparison_keep_their_prompt(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a cat")
    page.get_by_role("button", name="In all styles").click()
    expect(page.locator(".pictures figure >> visible=true")).to_have_count(2)
    expect(page.locator(".status.done >> visible=true")).to_be_visible()
    open_tab(page, "Compare")
    panel = page.locator("#tab-compare")
    panel.get_by_label("Prompt", exact=True).fill("a dog")
    button(page, "draw").click()
    panel.get_by_role("button", name="Show without a vote").click()
    expect(panel.locator(".ballot")).to_be_hidden()
    entries = page.locator(".history figcaption")
    entry = reopened(page, 4)
    expect(entries).to_contain_text(["a dog", "a dog", "a cat, twemoji style", "a cat, noto style"])
    again(page, page.locator(".history figure").nth(3), "Create")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat, noto style")
    open_tab(page, "History")
    again(page, entry, "Create")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a dog")


@needs_chromium
def test_the_history_is_shown_before_a_checkpoint_is_chosen(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("a cat")
    choose(page, "Number of pictures", 1)
    draw(page)
    kept(page)
    chosen = page.evaluate("window.chosen")
    page.evaluate("""async () => {
      window.chosen = undefined; // as while a page begins
      const [entry] = await keeping.all();
      entry.frames[0].record.checkpoint = "one that is not there";
      await keeping.put([entry]);
    }""")
    open_tab(page, "History")
    entry = page.locator(".history figure")
    expect(entry).to_have_count(1)
    expect(entry.get_by_role("button", name="Reuse settings")).to_have_count(0)
    page.evaluate("chosen => { window.chosen = chosen; window.dispatchEvent(new Event('chosen')); }", chosen)
    again(page, entry, "Create")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat")
