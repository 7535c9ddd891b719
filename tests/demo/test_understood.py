"""The page and its API say what a prompt was taken for, and offer what is nearest to what they do not know."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from letters import Letters
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from visitor import button, draw, launched, needs_chromium, open_tab, visiting

from dalle2 import images
from dalle2.__main__ import main
from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.sentence_encoder import SentenceEncoder
from dalle2.serving.api import orders
from dalle2.serving.api.answers import understanding
from dalle2.serving.api.problems import Problem
from dalle2.serving.api.schemas import Interpolation, Mixture
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import Settings
from dalle2.tasks import TASKS
from dalle2.tasks.attention import Attention
from dalle2.tasks.inpaint import Inpaint
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.mix import Mix
from dalle2.tasks.outpaint import Outpaint
from dalle2.tasks.steps import Steps
from dalle2.tasks.text_diff import TextDiff
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.tour import Tour
from dalle2.tasks.variations import Variations
from dalle2.understanding.answer import NearConcept, Understanding, literal
from dalle2.understanding.sentences import NotUnderstood, sentences
from dalle2.understanding.vocabulary import Vocabulary
from demo.understood import understanding_payload


@pytest.fixture(scope="module")
def knowing(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint that knows dogs and cats."""
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
    folder = shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("understood") / "knowing")
    Vocabulary.of(rows, Letters()).write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentenceEncoder, "installed", Letters)
        yield folder


@pytest.fixture(scope="module")
def service(knowing: Path) -> Service:
    return Service.open(str(knowing))


@pytest.fixture(scope="module")
def address(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched(service, tmp_path_factory.mktemp("page")) as address:
        yield address


PICTURE = Image.radial_gradient("L").resize((32, 32)).convert("RGB")
MASK = Image.linear_gradient("L").resize((32, 32))
# Each task of two sentences, so that the same can be asked for in other words.
WORDED = {
    "text_to_image": lambda one, other: TextToImage([one]),
    "variations": lambda one, other: Variations(PICTURE, one),
    "interpolate": lambda one, other: Interpolate([one, PICTURE, other], 3),
    "mix": lambda one, other: Mix([(one, 0.6), (PICTURE, 0.2), (other, 0.2)]),
    "text_diff": lambda one, other: TextDiff(PICTURE, one, other, [0.5]),
    "inpaint": lambda one, other: Inpaint(PICTURE, MASK, prompt=one),
    "outpaint": lambda one, other: Outpaint(PICTURE, prompt=one),
    "steps": lambda one, other: Steps(one),
    "attention": lambda one, other: Attention(one),
    "tour": lambda one, other: Tour(one),
}


def quick(model: UnclipModel, request: Request) -> Settings:
    adapted = request.adapt(model.settings)
    return adapted.changed({name: {"num_inference_steps": 2, "times": 1} for name in adapted.stages})


def unlike(one: Image.Image, other: Image.Image) -> int:
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).max()


@pytest.mark.parametrize("task", WORDED)
def test_every_task_draws_what_its_prompts_are_taken_for_and_its_records_hold_both(service: Service, task: str) -> None:
    model = service.model()
    said, meant = WORDED[task]("狗", "猫，noto风格"), WORDED[task]("dog", "cat, noto style")
    settings = quick(model, said)
    found = said.understood(model)
    drawn, same = (request.draw(model, [3], settings) for request in (found, meant))
    assert len(drawn) == len(same)
    for one, other in zip(drawn, same, strict=True):
        assert unlike(one, other) <= 1
    record = images.read_record(drawn[-1])
    assert record["asked"] == ("dog" if len(said.words) == 1 else {"狗": "dog", "猫，noto风格": "cat, noto style"})
    assert "狗" in str({key: value for key, value in record.items() if key != "asked"})
    again = model.redraw(record, pictures=[PICTURE, MASK])
    assert unlike(again, drawn[-1]) <= 1
    assert images.read_record(again)["asked"] == record["asked"]
    literally = said.draw(model, [3], settings)[-1]
    old = images.read_record(literally)  # as all were once
    assert "asked" not in old
    assert unlike(model.redraw(old, pictures=[PICTURE, MASK]), literally) <= 1


def test_no_task_with_prompts_is_forgotten() -> None:
    wordless = {"reconstruct", "enhance", "dimensions"}
    assert set(WORDED) == {task.name for task in TASKS} - wordless
    assert all(WORDED[name]("a", "b").words[0] == "a" for name in WORDED)


def test_what_is_told() -> None:
    near = NearConcept("2764", "red heart", "红心", 0.9)
    offers = (NearConcept("1f493", "beating heart", "心跳", 0.85), near)
    found = Understanding("love", "red heart, noto style", near, "noto", nearest=offers)
    said = understanding_payload([found])
    assert said["sentence"] == {"en": "I draw: red heart, noto style.", "zh": "我画的是：红心，noto风格。"}
    assert [offer["prompt"] for offer in said["offers"]] == ["beating heart, noto style"]
    assert understanding_payload([literal("love")]) == understanding_payload([]) == {}
    assert understanding_payload([], other_weights=True)["sentence"]["en"].startswith(
        "The checkpoint's weights have changed"
    )


def test_of_several_prompts_each_is_told_behind_its_words() -> None:
    heart, dog = NearConcept("2764", "red heart", "红心", 0.9), NearConcept("1f415", "dog", "狗", 1.0)
    both = [
        Understanding("love", "red heart", heart),
        Understanding("dog", "dog", dog),
        Understanding("狗", "dog", dog),
    ]
    assert sentences(both) == "“love”: I draw: red heart. “狗”: I draw: dog."
    assert sentences(both, "zh") == "“love”：我画的是：红心。“狗”：我画的是：狗。"
    assert [row["prompt"] for row in understanding_payload(both)["prompts"]] == ["love", "dog", "狗"]
    assert sentences(both[1:2]) == sentences([]) == ""


def test_the_service_understands_or_refuses_with_offers(service: Service) -> None:
    assert service.understands()
    request = TextToImage(["狗，noto风格"])
    assert service.understood(request).asked("狗，noto风格") == "dog, noto style"
    assert service.understood(request, literal=True) is request
    with pytest.raises(NotUnderstood, match="I do not know “zzz”") as refusal:
        service.understood(Mix([("dog", 1), ("zzz", 1)]))
    assert not refusal.value.understanding.known


def test_the_command_line_says_what_it_made_of_each_prompt(
    knowing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mixed.png"
    how = ["--checkpoint", str(knowing), "--seed", "1", "--steps", "1", "-o", str(out), "--overwrite"]
    assert main(["mix", "狗=0.6", "猫=0.4", *how]) == 0
    assert "“狗”: I draw: dog. “猫”: I draw: cat." in capsys.readouterr().err
    assert images.read_record(out)["asked"] == {"狗": "dog", "猫": "cat"}
    assert main(["mix", "狗=0.6", "猫=0.4", "--literal", *how]) == 0
    assert "I draw" not in capsys.readouterr().err and "asked" not in images.read_record(out)
    for task in (["steps", "zzz"], ["interpolate", "dog", "zzz"]):
        assert main([*task, "--checkpoint", str(knowing), "--strip", "-o", str(tmp_path / "none.png")]) == 1
        said = capsys.readouterr().err
        assert "I do not know “zzz”" in said and "--literal" in said


def test_the_api_understands_prompts_of_all_tasks(service: Service) -> None:
    order = orders.mixture(service, Mixture(prompt=["狗", "猫"]), [])
    said = understanding(order.request.understandings)
    assert said["sentence"] == "“狗”: I draw: dog. “猫”: I draw: cat."
    assert [row["asked"] for row in said["prompts"]] == ["dog", "cat"]
    assert not orders.mixture(service, Mixture(prompt=["狗", "猫"], literal=True), []).request.understandings
    with pytest.raises(Problem, match="I do not know “zzz”") as problem:
        orders.interpolation(service, Interpolation(prompt=["dog", "zzz"]), [])
    assert (problem.value.param, problem.value.code) == ("prompt", "prompt_not_understood")


def test_style_alone_is_asked_as_it_is_and_said_to_name_no_thing(service: Service) -> None:
    for prompt in ("noto style", "noto风格"):
        found = service.understand(prompt)
        assert (found.asked, found.style) == ("noto style", "noto")
        assert sentences([found]) == "This names no thing, only how it should look."


def test_style_alone_is_all_that_is_asked_where_a_picture_shows_the_thing(service: Service) -> None:
    picture = Image.new("RGB", (32, 32))
    asked = [
        TextDiff(picture, "noto style", "twemoji style"),
        Variations(picture, "noto style"),
        Mix([(picture, 1.0), ("noto style", 0.5)]),
    ]
    for request in asked:
        found = service.understood(request).understandings
        assert found[0].asked == "noto style" and not sentences(found), request.name
    for request in (Mix([("noto style", 1.0)]), Interpolate([picture, "noto style"]), TextToImage(["noto style"])):
        assert "names no thing" in sentences(service.understood(request).understandings), request.name


@needs_chromium
def test_a_visitor_sees_what_was_understood_and_draws_what_is_offered(page: Page) -> None:
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
def test_other_tabs_say_what_they_understood_and_put_an_offer_into_its_own_box(page: Page) -> None:
    open_tab(page, "Interpolate")
    ends = [page.get_by_label(f"Prompt for {name}, instead of a picture") for name in "AB"]
    line = page.locator(".understood >> visible=true")
    ends[0].fill("狗")
    ends[1].fill("tac zzzz")
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("I do not know “tac zzzz”; nearest: ")
    line.get_by_role("button", name="cat").click()
    expect(ends[0]).to_have_value("狗")
    expect(ends[1]).to_have_value("cat")
    expect(page.locator(".status.done >> visible=true")).to_be_visible()
    expect(line).to_contain_text("I draw: dog.")
    page.get_by_label("Use my prompt exactly as written").filter(visible=True).check()
    draw(page)
    expect(line).to_have_count(0)


@needs_chromium
def test_a_link_of_before_is_of_the_very_words_and_says_that_the_weights_are_others(
    browser: Browser, address: str
) -> None:
    path = "/?prompt=狗&seed=3&weights=00000000"
    with visiting(browser, address, path, locale="en-US") as page:
        expect(page.get_by_label("Use my prompt exactly as written")).to_be_checked()
        expect(page.locator(".status.done >> visible=true")).to_be_visible()
        expect(page.locator(".understood")).to_contain_text("The checkpoint's weights have changed since")
    with visiting(browser, address, f"{path}&asked=dog", locale="zh-CN") as page:
        expect(page.locator("#tab-text_to_image .literal input")).not_to_be_checked()


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
def test_suggestions_are_taken_with_the_arrow_keys_and_a_button_surprises(page: Page) -> None:
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
    page.keyboard.insert_text("t")  # as an input method or a phone does, without a key press
    expect(shown).to_have_text(["cat"])
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    page.get_by_role("button", name="Surprise me").click()
    expect(page.locator(".status.done >> visible=true")).to_be_visible()
    assert prompt.input_value() in ("dog", "cat")
    prompt.fill("")
    prompt.press_sequentially("do")
    expect(shown).to_have_text(["dog"])
    page.get_by_label("Use my prompt exactly as written").check()
    draw(page)
    expect(shown).to_have_count(0)  # nobody is typing any more
