"""The paper's manipulations on the page: restyle, retouch, extend, enhance, explain, and keeping the composition."""

from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Page, expect
from visitor import button, choose, choose_steps, draw, needs_chromium, open_tab, send, shown

from dalle2 import images
from dalle2.model import UnclipModel
from dalle2.requests import ANY_PICTURE
from dalle2.serving.drawing import Drawing
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_mask
from dalle2.tasks.inpaint import Inpaint
from dalle2.tasks.outpaint import Outpaint
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.tasks.variations import Variations
from demo.answers import answers
from demo.pictures import Pictures

# Few steps, also where the task would take fifty.
SHORT = {"decoder": {"num_inference_steps": 2}, "upsampler": {"num_inference_steps": 2}}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture wider than high."""
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square mask, as the brush makes it: the right half is repainted."""
    path = tmp_path_factory.mktemp("mask") / "mask.png"
    picture = Image.new("RGB", (64, 64))
    picture.paste("white", (32, 0, 64, 64))
    picture.save(path)
    return path


def own(page: Page, photo: Path) -> None:
    """Give the open tab this picture."""
    page.locator(".own-picture >> visible=true").first.locator("input[type=file]").first.set_input_files(photo)
    shown(page)


def wiped(page: Page) -> None:
    """A slider lays the picture that it was made from over the result, which alone is seen at first."""
    before = page.locator(".pictures .before >> visible=true")
    expect(before).to_have_count(1)
    source = page.locator(".own-picture img >> visible=true").first.get_attribute("src")
    assert source.split("/")[-1] in before.evaluate("before => getComputedStyle(before).backgroundImage")
    slider = page.get_by_label("Before over after").filter(visible=True)
    for now, covered in ((None, "100%"), ("50", "50%"), ("100", "0%")):
        if now:
            slider.fill(now)
        assert before.evaluate("before => getComputedStyle(before).clipPath").split() == [
            "inset(0px",
            covered,
            "0px",
            "0px)",
        ]


@needs_chromium
def test_a_result_is_restyled_by_words(page: Page) -> None:
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    draw(page)
    send(page, "Restyle")
    assert shown(page)
    page.get_by_label("What it should become").fill("a dog")
    choose(page, "Number of pictures", 3)
    page.get_by_role("button", name="Fast", exact=True).filter(visible=True).click()
    strengths = draw(page)
    expect(strengths).to_have_count(3)
    captions = strengths.locator("img").evaluate_all("pictures => pictures.map(picture => picture.alt)")
    assert captions == ["Strength 0", "Strength 0.5", "Strength 1"]
    result = page.locator(".film figure.chosen .open img")
    expect(result).to_have_attribute("alt", "Strength 1")  # and not where it began
    box = result.bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=1) and box["width"] > 300
    expect(page.get_by_label("Frame", exact=True)).to_have_attribute("aria-valuetext", "Strength 1")
    wiped(page)
    page.get_by_label("Text diff by slerp, as in the paper").check()
    expect(page.get_by_label("number input for Maximum strength")).to_have_value("0.5")


def test_a_frame_that_is_signed_while_others_are_drawn_is_still_a_preview() -> None:
    frames = tuple(Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue"))
    for frame, strength in zip(frames, (0, 0.5, 1), strict=True):
        images.write_record(frame, {"task": "text_diff", "seed": 0, "strength": strength})
    drawings = Drawing((0,), (), frames[:2]), Drawing((0,), (), frames, finished=True)
    told = answers(iter(drawings), "Strength", None, lambda record: f"Strength {record['strength']}")
    preview, done = [Pictures(render=False).postprocess(pictures).model_dump() for pictures, _, _ in told]
    assert [(picture["record"], picture["caption"]) for picture in preview] == [(None, "Strength …")] * 2
    assert [picture["caption"] for picture in done] == ["Strength 0", "Strength 0.5", "Strength 1"]
    assert all(picture["record"] for picture in done)


@needs_chromium
def test_what_is_painted_over_is_drawn_anew(page: Page, photo: Path) -> None:
    open_tab(page, "Retouch")
    own(page, photo)
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("Nothing is marked yet")
    canvas = page.locator(".brush canvas")
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    with page.expect_response("**/upload*"):
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] - 20)
        page.mouse.up()
    choose(page, "Number of pictures", 1)
    choose_steps(page, 3)
    (drawn,) = draw(page).locator("img").all()
    wiped(page)
    pixels = drawn.evaluate(
        """async picture => {
          await picture.decode();
          const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
          const context = canvas.getContext("2d");
          context.drawImage(picture, 0, 0);
          return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    found = np.array(pixels, np.uint8).reshape(32, 32, 4)[..., :3]
    before = np.asarray(images.square(Image.open(photo).convert("RGB"), 32))
    changed = (found != before).any(-1)
    assert not changed[:, :13].any() and changed[8:24, 22:26].all()
    page.locator(".brush").get_by_role("button", name="Clear").click()
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("Nothing is marked yet")


MASK = """async (value) => {
  const canvas = document.querySelector(".brush canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, 512, 512);
  return data.filter((alpha, i) => i % 4 === 3 && alpha > 0).length / 512 / 512;
}"""


@needs_chromium
def test_a_region_is_marked_by_keyboard_erased_and_undone(page: Page, photo: Path) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_tab(page, "Retouch")
    own(page, photo)
    brush, canvas = page.locator(".brush"), page.locator(".brush canvas")
    expect(canvas).to_be_visible()
    expect(button(page, "draw")).to_be_in_viewport(ratio=1)  # above the fold
    brush.locator("summary").press("Enter")
    for name, value in (("Left %", "50"), ("Top %", "0"), ("Width %", "50"), ("Height %", "100")):
        brush.get_by_label(name).fill(value)
    with page.expect_response("**/upload*"):
        brush.get_by_role("button", name="Mark it").press("Enter")
    assert page.evaluate(MASK) == 0.5
    box = canvas.bounding_box()
    brush.get_by_role("button", name="Eraser").click()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 10)
    with page.expect_response("**/upload*"):
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] - 10)
        page.mouse.up()
    assert 0.3 < page.evaluate(MASK) < 0.47
    with page.expect_response("**/upload*"):
        brush.get_by_role("button", name="Undo").click()
    assert page.evaluate(MASK) == 0.5
    zoom = brush.get_by_label("Zoom")
    zoom.press("End")
    assert canvas.bounding_box()["width"] == pytest.approx(4 * box["width"], rel=0.02)
    zoom.press("Home")
    choose(page, "Number of pictures", 1)
    choose_steps(page, 2)
    expect(draw(page)).to_have_count(1)
    brush.get_by_role("button", name="Undo").click()
    expect(brush.get_by_role("button", name="Undo")).to_be_disabled()
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("Nothing is marked yet")


@needs_chromium
def test_a_film_is_shown_whole_and_its_frames_named(page: Page) -> None:
    open_tab(page, "Explain")
    page.get_by_label("Which part of the picture belongs to which word?").check()
    page.get_by_label("Prompt", exact=True).filter(visible=True).fill("a cat, dog")
    pictures = draw(page)
    large = pictures.first.locator("img").bounding_box()
    assert large["width"] == pytest.approx(large["height"], abs=1)
    names = page.locator(".film small >> visible=true")
    expect(names).to_have_text(["a cat, dog", "a", "cat", "dog"])  # no comma


@needs_chromium
def test_a_picture_is_extended_and_enlarged(page: Page, photo: Path) -> None:
    open_tab(page, "Extend")
    own(page, photo)
    choose(page, "Number of pictures", 1)
    expect(draw(page)).to_have_count(1)
    # What this checkpoint draws it cannot enlarge any further than downloads do; a small picture it can.
    expect(page.get_by_role("menuitem", name="Enhance", exact=True)).to_have_count(0)
    open_tab(page, "Enhance")
    large, small = photo.with_name("large.png"), photo.with_name("small.png")
    Image.new("RGB", (50, 40), "teal").save(large)
    own(page, large)
    button(page, "draw").click()
    expect(page.locator(".status.refused >> visible=true")).to_contain_text("at most 32")
    Image.new("RGB", (16, 20), "teal").save(small)
    own(page, small)
    expect(draw(page)).to_have_count(1)
    wiped(page)


@needs_chromium
def test_each_question_is_answered(page: Page, photo: Path) -> None:
    open_tab(page, "Explain")
    page.get_by_label("Prompt", exact=True).filter(visible=True).fill("a cat")
    page.locator(".stages-told summary").filter(visible=True).click()
    expect(page.locator(".stages-told").filter(visible=True)).to_contain_text("Words become a place on a map.")
    tour = draw(page)
    said = tour.locator("img").evaluate_all("pictures => pictures.map(picture => picture.alt)")
    assert next(text for text in said if text[0] == "4") == "4. Drawing, step 1/4"
    assert said[0].startswith("1. The words alone") and [text[0] for text in said] == sorted(text[0] for text in said)
    page.get_by_label("What is predicted at each denoising step?").check()
    expect(draw(page)).to_have_count(7)  # four steps of the decoder, three of the upsampler
    page.get_by_label("Which part of the picture belongs to which word?").check()
    pictures = draw(page)
    captions = pictures.locator("img").evaluate_all("pictures => pictures.map(picture => picture.alt)")
    assert captions == ["a cat", "a", "cat"]
    page.get_by_label("What do the principal components of its embedding add?").check()
    expect(page.get_by_label("Prompt", exact=True).filter(visible=True)).to_have_count(0)
    own(page, photo)
    expect(draw(page)).to_have_count(10)


@needs_chromium
def test_the_composition_is_kept_and_its_settings_come_back(page: Page, photo: Path) -> None:
    open_tab(page, "Variations")
    own(page, photo)
    page.get_by_label("Keep the composition").check()
    choose(page, "Amount of change (eta): 0 reproduces the picture", 0.25)
    choose(page, "Number of pictures", 1)
    page.get_by_role("button", name="Fast", exact=True).filter(visible=True).click()
    page.locator(".choices summary >> visible=true").click()
    expect(page.locator('.choices [data-stage="decoder"][data-key="scheduler"] >> visible=true')).to_have_count(0)
    draw(page)
    page.get_by_label("Keep the composition").uncheck()
    send(page, "Reuse settings")
    expect(page.get_by_label("Keep the composition")).to_be_checked()
    expect(page.get_by_label("number input for Amount of change (eta): 0 reproduces the picture")).to_have_value("0.25")


def test_the_api_restyles_and_keeps_the_composition(client: Client, photo: Path) -> None:
    how = {"seed": 3, "random_seed": False, "settings": SHORT}
    for way in ("prior", "slerp"):
        moved, _, _ = client.predict(
            handle_file(photo), "a dog", "a cat", 0.4, 3, way=way, api_name="/text_diff", **how
        )
        assert [picture["record"]["strength"] for picture in moved] == [0, 0.2, 0.4]
        assert moved[0]["record"]["way"] == way
    assert (moved[0]["record"]["new"], moved[0]["record"]["old"]) == ("a dog", "a cat")
    kept = {"keep_composition": True, "eta": 0.25, "count": 1}
    (varied,), _, _ = client.predict(handle_file(photo), api_name="/variations", **kept, **how)
    assert varied["record"]["inverted"] and varied["record"]["settings"]["decoder"]["eta"] == 0.25
    how["settings"] = varied["record"]["settings"]  # as "Reuse settings" gives them
    (again,), _, _ = client.predict(handle_file(photo), api_name="/variations", **kept, **how)
    assert again["record"] == varied["record"]


def test_the_api_repaints_and_enlarges(client: Client, photo: Path, mask: Path) -> None:
    how = {"seed": 3, "random_seed": False, "settings": SHORT}
    (painted,), _, _ = client.predict(
        handle_file(photo), handle_file(mask), "a dog", count=1, api_name="/inpaint", **how
    )
    before = np.asarray(images.square(Image.open(photo).convert("RGB"), 32))
    changed = (np.asarray(Image.open(painted["image"])) != before).any(-1)
    assert not changed[:, :13].any() and changed[:, 20:].any()
    place = {"share": 0.5, "across": 0, "down": 1}
    (around,), _, _ = client.predict(handle_file(photo), count=1, api_name="/outpaint", **place, **how)
    assert (around["record"]["share"], around["record"]["anchor"]) == (0.5, [0, 1])
    small = photo.with_name("small.png")
    Image.open(photo).resize((20, 16)).save(small)
    (large,), _, _ = client.predict(handle_file(small), 512, api_name="/enhance", **how)
    assert Image.open(large["image"]).size == (512, 512) and large["record"]["task"] == "enhance"


def test_the_api_explains(client: Client, photo: Path) -> None:
    steps, _, state = client.predict("steps", "a cat", settings=SHORT, api_name="/explain")
    assert [picture["record"]["stage"] for picture in steps] == ["decoder"] * 2 + ["upsampler"] * 2
    assert state["state"] == "done"
    tour, _, state = client.predict("tour", "a cat", settings=SHORT, api_name="/explain")
    said = [picture["caption"] for picture in tour]
    assert [text[0] for text in dict.fromkeys(text[:2] for text in said)] == list("123456")
    assert said[0].startswith("1. The words alone") and said[-1] == "6. From 32 of 32 numbers"
    looked, _, _ = client.predict("attention", "a cat", settings=SHORT, api_name="/explain")
    assert [picture["record"]["word"] for picture in looked] == ["", "a", "cat"]
    axes, _, _ = client.predict(
        "dimensions", picture=handle_file(photo), settings=SHORT, seed=3, random_seed=False, api_name="/explain"
    )
    assert [picture["record"]["axes"] for picture in axes][:4] == [0, 1, 2, 4]


@needs_chromium
def test_a_picture_is_told_in_words(page: Page, photo: Path) -> None:
    choose(page, "Number of pictures", 1)
    page.get_by_label("Prompt", exact=True).fill("a cat face")
    draw(page)
    send(page, "Describe")
    assert shown(page)
    draw(page)
    expect(page.locator(".captions").filter(visible=True).first).to_contain_text("style")
    expect(page.locator("button.draw >> visible=true")).to_have_count(1)


def test_the_api_describes(client: Client, photo: Path) -> None:
    table, state = client.predict(handle_file(photo), 3, api_name="/caption")
    assert state["state"] == "done" and len(table["data"]) == 3
    captions, scores = zip(*table["data"], strict=True)
    assert all("style" in caption for caption in captions) and list(scores) == sorted(scores, reverse=True)
    arguments = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/caption"]["parameters"]
    assert [argument["parameter_name"] for argument in arguments] == ["picture", "num", "checkpoint"]


@pytest.mark.parametrize(
    "endpoint, arguments, sentence",
    [
        ("/text_diff", {"picture": None, "new": "a dog"}, "There is no picture yet"),
        ("/text_diff", {"new": " "}, '"What it should become" is empty'),
        ("/text_diff", {"new": "a dog", "count": 10_000}, "24"),
        ("/text_diff", {"new": "a dog", "strongest": 3}, "greater than maximum value 1"),
        ("/text_diff", {"new": "a dog", "settings": {"decoder": {"scheduler": "unipc"}}}, "Only plain DDIM"),
        ("/variations", {"keep_composition": True, "eta": 2}, "greater than maximum value 1"),
        ("/inpaint", {}, "Nothing is marked yet"),
        ("/inpaint", {"settings": {"decoder": {"times": 50}}}, "at most 10 times|Nothing is marked"),
        ("/outpaint", {"share": 0}, "0.2"),
        ("/outpaint", {"settings": {"decoder": {"times": 50}}}, "at most 10 times"),
        ("/enhance", {"size": 900_000}, "1024|512"),
        ("/explain", {"question": "steps"}, "The prompt is empty"),
        ("/explain", {"question": "dimensions", "picture": None}, "There is no picture yet"),
        ("/caption", {"picture": None}, "There is no picture yet"),
        ("/caption", {"num": 21}, "20"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(
    client: Client, photo: Path, endpoint: str, arguments: dict[str, object], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**({"picture": handle_file(photo)} | arguments), api_name=endpoint)


def test_settings_fit_the_task(model: UnclipModel) -> None:
    service = Service(model)
    back_and_forth, painting = Variations(ANY_PICTURE, eta=0.5), Outpaint(ANY_PICTURE)
    kinds = (ANY_PROMPT, back_and_forth, painting)
    free, back, over = (service.settings("default", None, like).decoder for like in kinds)
    assert free == model.settings.decoder
    assert (back.num_inference_steps, back.scheduler, back.guidance_scale) == (50, "ddim", 1)
    assert (over.num_inference_steps, over.times, over.guidance_scale) == (25, 3, free.guidance_scale)
    assert (over.scheduler, over.eta) == ("ddim", 0)
    assert service.settings("best", None, back_and_forth).decoder.num_inference_steps == 100
    record = {"decoder": {"num_inference_steps": 4, "eta": 0.5}}
    assert service.settings(record, None, back_and_forth).decoder.invertible


@pytest.mark.parametrize("prompt", [None, "a red heart on a light blue background"])
def test_the_embedded_checkpoint_paints_neither_grey_nor_black(prompt: str | None) -> None:
    service = Service.open()
    model = service.model()
    (heart,) = model.text_to_image(["a red heart on a light blue background"], seeds=[2])
    right = Image.new("L", heart.size)
    right.paste(255, (heart.width // 2, 0, *heart.size))
    settings = service.settings("fast", None, Inpaint(heart, right, prompt=prompt))
    (painted,) = model.inpaint(heart, right, seeds=[7], prompt=prompt, settings=settings)
    before, after = (np.asarray(picture)[:, heart.width // 2 :].astype(int) for picture in (heart, painted))
    assert np.abs(after.mean((0, 1)) - before.mean((0, 1))).max() < 40


def test_a_mask_is_checked_like_any_upload(tmp_path: Path) -> None:
    wide = Image.new("RGB", (8, 4))
    (tmp_path / "words.png").write_text("no picture")
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    for path, sentence in [(None, "Nothing is marked"), ("words.png", "not a picture"), ("black.png", "Nothing is")]:
        with pytest.raises(Refusal, match=sentence):
            open_mask(path and str(tmp_path / path), wide)
    with pytest.raises(Refusal, match="paint it again"):
        open_mask(str(tmp_path / "gone.png"), wide)
    Image.new("L", (16, 16), 255).save(tmp_path / "white.png")
    assert np.asarray(open_mask(str(tmp_path / "white.png"), wide)).tolist() == [[0, 0, *[255] * 4, 0, 0]] * 4
