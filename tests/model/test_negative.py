"""Negative prompts: none is what it was, one acts wherever a stage is guided, and all of it is in the record."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Page, expect
from tiny_priors import TRAINED, with_prior
from visitor import draw, launched, needs_chromium, send

from dalle2 import images
from dalle2.__main__ import main
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import Settings
from dalle2.tasks.text_to_image import TextToImage

CLOSE = 1e-4


def against(settings: Settings, negative: str | None) -> Settings:
    return dataclasses.replace(settings, negative_prompt=negative)


def unguided(settings: Settings, *stages: str) -> Settings:
    changed = {name: dataclasses.replace(getattr(settings, name), guidance_scale=1.0) for name in stages}
    return dataclasses.replace(settings, **changed)


@pytest.mark.parametrize("nothing", ["", None, "  \n"])
def test_no_negative_prompt_is_what_it_was(model: UnclipModel, quick: Settings, nothing: str | None) -> None:
    plain = model.text_to_image(["a cat"], seeds=[3], settings=quick)[0]
    same = model.text_to_image(["a cat"], seeds=[3], settings=against(quick, nothing))[0]
    assert same.tobytes() == plain.tobytes()
    told = images.read_record(same)
    assert told["settings"].pop("negative_prompt", None) == (None if nothing is None else "")
    assert told == images.read_record(plain)
    assert set(images.read_record(plain)["settings"]) == {"prior", "decoder", "upsampler"}


@pytest.mark.parametrize("kind", TRAINED)
def test_it_acts_in_every_prior_that_is_guided_and_in_the_decoder(
    kind: str,
    three: UnclipModel,
    quick: Settings,
) -> None:
    settings = with_prior(quick, kind, guidance_scale=100.0)
    cats, seeds = ["a cat"] * 8, range(8)  # a tiny prior of codes seldom changes one
    plain, led = (three.embed_prompt(cats, seeds, chosen) for chosen in (settings, against(settings, "a cat")))
    assert torch.equal(plain, led) == (kind == "linear")  # which has no guidance to lead it anywhere
    free = unguided(settings, "prior")
    plain, led = (three.embed_prompt(["a cat"], [1], chosen) for chosen in (free, against(free, "a cat")))
    assert torch.equal(plain, led)
    for chosen, acts in ((settings, True), (unguided(settings, "decoder"), False)):
        how = [three.decode_pixels(plain, [1], ["a cat"], each) for each in (chosen, against(chosen, "a cat"))]
        assert torch.equal(*how) != acts


def test_guided_by_what_it_does_not_say_a_prompt_is_only_itself(model: UnclipModel, quick: Settings) -> None:
    """With both predictions alike, guidance has nothing to add: prediction + scale * 0."""
    guided = model.embed_prompt(["a cat"], [1], against(quick, "a cat"))
    assert torch.allclose(guided, model.embed_prompt(["a cat"], [1], unguided(quick, "prior")), atol=CLOSE)


def test_a_seed_alone_is_third_of_eight(model: UnclipModel, quick: Settings) -> None:
    settings = against(quick, "dog")
    seeds, prompts = list(range(8)), ["a cat", "a dog"] * 4
    many = model.decode_pixels(model.embed_prompt(prompts, seeds, settings), seeds, prompts, settings)
    alone = model.decode_pixels(model.embed_prompt(["a cat"], [2], settings), [2], ["a cat"], settings)
    assert (many[2] - alone[0]).abs().max() <= CLOSE


def test_every_task_reads_it(model: UnclipModel, quick: Settings) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    mask = Image.new("L", photo.size, 255)
    moving = model.settings.for_text_diff(4).changed({"prior": {"num_inference_steps": 4}})
    tasks = {
        "variations": lambda how: model.variations(photo, seeds=[1], settings=how(model.settings)),
        "mix": lambda how: model.mix([("cat", 1.0), ("dog", 0.5)], seeds=[1], settings=how(model.settings)),
        "interpolation": lambda how: model.interpolate(
            [photo, "cat"], frames=[0.5], seed=1, settings=how(model.settings)
        ),
        "text_diff": lambda how: model.text_diff(photo, "dog", seed=1, strengths=[0.6], settings=how(moving)),
        "inpainting": lambda how: model.inpaint(photo, mask, seeds=[1], settings=how(model.settings)),
        "steps": lambda how: model.steps("cat", seed=1, settings=how(model.settings))[-1:],
        "tour": lambda how: model.tour("cat", seed=1, settings=how(model.settings))[-1:],
        "attention": lambda how: model.attention("cat", seed=1, settings=how(model.settings))[:1],
    }
    for name, task in tasks.items():
        (plain,), (led,) = task(lambda settings: settings), task(lambda settings: against(settings, "face"))
        assert plain.tobytes() != led.tobytes(), name
        assert images.read_record(led)["settings"]["negative_prompt"] == "face"


def test_it_stays_when_settings_are_adapted(quick: Settings) -> None:
    told = against(quick, " red ")
    for adapted in (
        told.for_draft(),
        told.for_inversion(),
        told.for_text_diff(),
        told.for_inpainting(),
        told.with_guidance(2.0),
    ):
        assert adapted.negative_prompt == "red"
    assert Settings.from_dict(told.to_dict()) == told


@pytest.mark.parametrize("wrong", ["x" * 1001, "\ud800", 3])
def test_a_bad_one_is_refused(quick: Settings, wrong: object) -> None:
    with pytest.raises(ValueError, match="prompt"):
        against(quick, wrong)


def test_from_the_command_line_into_the_record_and_back(tiny_checkpoint: Path, tmp_path: Path) -> None:
    common = ["--seed", "1", "--checkpoint", str(tiny_checkpoint), "-o", str(tmp_path)]
    assert main(["a", "cat", "--negative", "dog", *common]) == 0
    assert main(["--from", str(tmp_path / "a-cat-1.png"), "-o", str(tmp_path / "again.png")]) == 0
    first, again = (images.open_picture(tmp_path / name) for name in ("a-cat-1.png", "again.png"))
    model = load(tiny_checkpoint)
    drawn = model.text_to_image(["a cat"], seeds=[1], settings=against(model.settings, "dog"))[0]
    assert first.tobytes() == again.tobytes() == drawn.tobytes()
    assert images.read_record(tmp_path / "again.png")["settings"]["negative_prompt"] == "dog"


def test_where_nothing_is_guided_the_command_line_says_so(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (32, 32), "red").save(photo)
    common = ["--negative", "dog", "--checkpoint", str(tiny_checkpoint), "-o", str(tmp_path / "out")]
    for command in (
        ["cat", "--guidance", "1"],
        ["variations", str(photo), "--eta", "0.5"],
        ["reconstruct", str(photo)],
    ):
        assert main([*command, *common]) == 1
        assert "The negative prompt has no effect" in capsys.readouterr().err
    assert main(["cat", "--guidance", "2,1", "--steps", "1", *common]) == 0


def test_the_service_takes_it_beside_the_stages(model: UnclipModel) -> None:
    service = Service(model)
    table = {"negative_prompt": "dog", "prior": {"num_inference_steps": 2}}
    assert service.settings(table).negative_prompt == "dog"
    assert service.settings(table).prior.num_inference_steps == 2

    request = TextToImage(["a cat"])
    flat = {name: {"guidance_scale": 1.0} for name in ("prior", "decoder")}
    with pytest.raises(Refusal, match="no effect"):
        next(service.draw(request, 1, 1, flat | {"negative_prompt": "dog"}))
    with pytest.raises(Refusal, match="1,000 are allowed"):
        next(service.draw(request, 1, 1, {"negative_prompt": "x" * 2000}))


def open_advanced(page: Page) -> None:
    if not page.locator(".choices details[open] >> visible=true").count():
        page.locator(".choices summary >> visible=true").click()


@needs_chromium
def test_on_the_page_it_survives_a_preset_and_comes_back_with_the_settings(page: Page) -> None:
    text = 'dog, "<b>${1}</b>" {{x}}'
    page.locator("#prompt textarea").fill("a cat")
    open_advanced(page)
    field = page.get_by_label("Negative prompt").filter(visible=True)
    field.fill(text)
    field.press("Tab")
    page.get_by_role("button", name="Draft", exact=True).filter(visible=True).click()
    expect(field).to_have_value(text)
    draw(page)
    open_advanced(page)
    field.fill("")
    field.press("Enter")
    expect(page.get_by_role("button", name="Draft", exact=True).filter(visible=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    send(page, "Reuse settings")
    open_advanced(page)
    expect(field).to_have_value(text)
    # Ctrl+Enter draws what stands there now, though the field was never left.
    field.fill("a face")
    with page.expect_request("**/queue/join*") as asked:
        field.press("Control+Enter")
    (table,) = [value for value in asked.value.post_data_json["data"] if isinstance(value, dict)]
    assert table["negative_prompt"] == "a face"


def test_by_the_api(model: UnclipModel, tmp_path: Path) -> None:
    with launched(Service(model), tmp_path) as address:
        client = Client(address, verbose=False)
        settings = {"negative_prompt": "dog"}
        (picture,), *_ = client.predict("a cat", 7, False, 1, settings, api_name="/text_to_image")
        assert picture["record"]["settings"]["negative_prompt"] == "dog"
        (plain,), *_ = client.predict("a cat", 7, False, 1, api_name="/text_to_image")
        assert "negative_prompt" not in plain["record"]["settings"]
