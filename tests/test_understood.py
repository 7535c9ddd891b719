"""The page and its API say what a prompt was taken for, and offer what is nearest to what they do not know."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from visitor import button, draw, launched, needs_chromium, visiting

from dalle2.sentence_encoder import WIDTH, SentenceEncoder
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.understanding.answer import Near, Understanding, literal
from dalle2.understanding.vocabulary import Vocabulary
from demo.understood import NotKnown, told, understand


class Letters:
    """An encoder that counts letters."""

    words = frozenset()

    def embed(self, texts: list[str]) -> np.ndarray:
        rows = np.full((len(texts), WIDTH), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % WIDTH] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def service(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """With a checkpoint that knows dogs and cats."""
    words = [("1f415", "dog", "狗"), ("1f408", "cat", "猫")]
    rows = [
        {
            "concept": code,
            "captions": [
                {"language": "en", "label": label, "tags": []},
                {"language": "zh", "label": chinese, "tags": []},
            ],
        }
        for code, label, chinese in words
    ]
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "knowing")
    Vocabulary.of(rows, Letters()).write(folder)
    monkeypatch.setattr(SentenceEncoder, "installed", Letters)
    return Service.open(str(folder))


def test_what_is_told() -> None:
    near = Near("2764", "red heart", "红心", 0.9)
    offers = (Near("1f493", "beating heart", "心跳", 0.85), near)
    found = Understanding("love", "red heart, noto style", near, "noto", nearest=offers)
    said = told(found)
    assert said["sentence"] == {"en": "I draw: red heart, noto style.", "zh": "我画的是：红心，noto风格。"}
    assert [offer["prompt"] for offer in said["offers"]] == ["beating heart, noto style"]
    assert told(literal("love")) == {}
    assert told(literal("love"), other_weights=True)["sentence"]["en"].startswith(
        "The checkpoint's weights have changed"
    )


def test_the_service_understands_or_refuses_with_offers(service: Service) -> None:
    first = service.checkpoints[0]
    assert service.understands()
    assert understand(service, "狗，noto风格", first, False, None).asked == "dog, noto style"
    assert understand(service, "狗，noto风格", first, True, None).literal
    with pytest.raises(NotKnown, match="I do not know “zzz”") as refusal:
        understand(service, "zzz", first, False, None)
    assert not refusal.value.understanding.known


@needs_chromium
def test_a_visitor_sees_what_was_understood_and_draws_what_is_offered(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    with launched(service, tmp_path) as address, visiting(browser, address, locale="en-US") as page:
        prompt, line = page.get_by_label("Prompt", exact=True), page.locator(".understood")
        prompt.fill("狗，noto风格")
        draw(page)
        expect(line).to_contain_text("I draw: dog, noto style.")
        prompt.fill("tac zzzz")
        button(page, "draw").click()
        expect(page.locator(".status.refused >> visible=true")).to_contain_text("I do not know “tac zzzz”; nearest: ")
        expect(page.get_by_text("I do not know")).to_have_count(1)
        line.get_by_role("button", name="cat").click()
        expect(prompt).to_have_value("cat")
        expect(page.locator(".status.done >> visible=true")).to_be_visible()
        prompt.fill("tac zzzz")
        page.get_by_label("Use my prompt exactly as written").check()
        draw(page)
        expect(line).to_have_count(0)


@needs_chromium
def test_a_link_of_before_is_of_the_very_words_and_says_that_the_weights_are_others(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    path = "/?prompt=狗&seed=3&weights=00000000"
    with launched(service, tmp_path) as address, visiting(browser, address, path, locale="en-US") as page:
        expect(page.get_by_label("Use my prompt exactly as written")).to_be_checked()
        expect(page.locator(".status.done >> visible=true")).to_be_visible()
        expect(page.locator(".understood")).to_contain_text("The checkpoint's weights have changed since")
    with (
        launched(service, tmp_path) as address,
        visiting(browser, address, f"{path}&asked=dog", locale="zh-CN") as page,
    ):
        expect(page.locator("#literal input")).not_to_be_checked()


def test_other_families_offer_no_switch(tiny_checkpoint: Path) -> None:
    service = Service.open(str(tiny_checkpoint))
    assert not service.understands()
    assert service.understand("Batman").literal


def test_the_service_suggests_and_surprises(service: Service) -> None:
    assert [one.prompt for one in service.suggest("a blue bird, do", "en")] == ["a blue bird, dog"]
    assert [one.label for one in service.suggest("c", "en")] == []
    assert [one.label for one in service.suggest("猫", "zh-cn")] == ["猫"]
    assert service.suggest("x" * 5000, "en") == service.suggest(None, "en") == []
    assert service.surprise().label in ("dog", "cat")


def test_without_a_vocabulary_nothing_is_suggested(tiny_checkpoint: Path) -> None:
    plain = Service.open(str(tiny_checkpoint))
    assert plain.suggest("do", "en") == []
    with pytest.raises(Refusal, match="has no vocabulary"):
        plain.surprise()


@needs_chromium
def test_suggestions_are_taken_with_the_arrow_keys_and_a_button_surprises(
    service: Service, browser: Browser, tmp_path: Path
) -> None:
    with launched(service, tmp_path) as address, visiting(browser, address, locale="en-US") as page:
        prompt, shown = page.get_by_label("Prompt", exact=True), page.locator("#suggestions [data-pick]")
        prompt.press_sequentially("two do")
        expect(shown).to_have_count(0)
        prompt.fill("")
        prompt.press_sequentially("do")
        expect(shown).to_have_text(["dog"])
        prompt.press("ArrowDown")
        expect(shown).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(prompt).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(prompt).to_have_value("dog")
        expect(prompt).to_be_focused()
        expect(shown).to_have_count(0)
        prompt.fill("ca")
        prompt.press_sequentially("t")
        expect(shown).to_have_text(["cat"])
        page.keyboard.press("Escape")
        expect(shown).to_have_count(0)
        page.get_by_role("button", name="Surprise me").click()
        expect(page.locator(".status.done >> visible=true")).to_be_visible()
        assert prompt.input_value() in ("dog", "cat")
