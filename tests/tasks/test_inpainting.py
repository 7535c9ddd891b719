"""White is repainted: masks in both conventions, kept pixels to the last level, pictures grown and enlarged."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import images, sampling
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from dalle2.stage_settings import SCHEDULERS, SINGLE_STEP, DecoderSettings
from dalle2.tasks.outpaint import Outpaint

SIDE = 32
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))


@pytest.fixture
def left() -> Image.Image:
    """A mask whose left half is repainted."""
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    return mask


@pytest.fixture
def painting(quick: Settings) -> Settings:
    return dataclasses.replace(quick, decoder=DecoderSettings(4, guidance_scale=2.0, times=2))


def change(new: Image.Image, old: Image.Image) -> np.ndarray:
    """The largest change of each pixel, (height, width)."""
    return np.abs(np.asarray(new).astype(int) - np.asarray(old)).max(2)


def encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("prompt", [None, "a cat"])
def test_black_is_kept_to_the_last_level(
    prompt: str | None, model: UnclipModel, left: Image.Image, painting: Settings
) -> None:
    drawn = model.inpaint(PICTURE, left, seeds=[1, 2], prompt=prompt, settings=painting)
    for picture in drawn:
        changed = change(picture, PICTURE)
        assert changed[:, SIDE // 2 :].max() == 0
        assert (changed[:, : SIDE // 2] > 0).mean() > 0.9
    assert (change(*drawn)[:, : SIDE // 2] > 0).any()
    record = images.read_record(drawn[1])
    assert (record["task"], record["seed"], record["prompt"]) == ("inpaint", 2, prompt or "")
    assert record["settings"]["decoder"]["times"] == 2 and record["mask"].startswith("sha256:")


def test_the_upsampler_keeps_the_known_pixels_itself(
    model: UnclipModel, left: Image.Image, painting: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    composite = Image.composite
    monkeypatch.setattr(Image, "composite", lambda new, old, mask: seen.append(new) or composite(new, old, mask))
    model.inpaint(PICTURE, left, seeds=[1], settings=painting)
    assert change(seen[0], PICTURE)[:, SIDE // 2 :].max() <= 1


def test_an_empty_mask_gives_the_picture_back(model: UnclipModel) -> None:
    (same,) = model.inpaint(PICTURE, Image.new("L", PICTURE.size, 0), seeds=[1])
    assert change(same, PICTURE).max() == 0
    wide = Image.new("RGB", (64, 40), (1, 2, 3))
    (square,) = model.inpaint(wide, Image.new("1", wide.size, 0), seeds=[1])
    assert square.size == (SIDE, SIDE) and square.getpixel((0, 0)) == (1, 2, 3)


def test_a_mark_of_which_nothing_is_left_is_refused(model: UnclipModel) -> None:
    """It gave the picture back as it was, and said nothing."""
    picture, mask = PICTURE.resize((1024, 1024)), Image.new("L", (1024, 1024), 0)
    mask.putpixel((700, 300), 255)
    with pytest.raises(ValueError, match="too small: of the 32 × 32 pixels that this checkpoint draws"):
        model.inpaint(picture, mask, seeds=[1])


def test_a_full_mask_keeps_nothing(model: UnclipModel, quick: Settings) -> None:
    """With every pixel repainted and each step taken once, it is text to image."""
    (drawn,) = model.inpaint(PICTURE, Image.new("L", PICTURE.size, 255), seeds=[5], prompt="a cat", settings=quick)
    assert change(drawn, model.text_to_image(["a cat"], seeds=[5], settings=quick)[0]).max() <= 1


def test_grey_blends(model: UnclipModel, painting: Settings) -> None:
    (full,) = model.inpaint(PICTURE, Image.new("L", PICTURE.size, 255), seeds=[1], settings=painting)
    (half,) = model.inpaint(PICTURE, Image.new("L", PICTURE.size, 128), seeds=[1], settings=painting)
    assert change(half, PICTURE).mean() < change(full, PICTURE).mean()


def test_masks_in_both_conventions(left: Image.Image, tmp_path: Path) -> None:
    """In OpenAI's API the transparent is repainted; here the white is."""
    alpha = PICTURE.copy()
    alpha.putalpha(left.point(lambda level: 255 - level))
    assert images.open_mask(encoded(alpha)).tobytes() == left.tobytes()
    assert images.open_mask(encoded(left)).tobytes() == left.tobytes()
    opaque = left.convert("RGBA")  # a full alpha channel says nothing
    assert images.open_mask(encoded(opaque)).tobytes() == left.tobytes()
    file = tmp_path / "mask.png"
    left.convert("1").save(file)
    assert images.open_mask(file).tobytes() == left.tobytes()
    with pytest.raises(ValueError, match="transparent in places"):
        images.to_mask(alpha)


def test_bad_masks_are_refused(model: UnclipModel, left: Image.Image) -> None:
    with pytest.raises(ValueError, match="10 × 10 pixels and the picture 32 × 32"):
        model.inpaint(PICTURE, Image.new("L", (10, 10), 255), seeds=[1])
    with pytest.raises(ValueError, match="at most"):
        images.open_mask(encoded(Image.new("1", (20000, 20000))))
    with pytest.raises(ValueError, match="not a picture"):
        images.open_mask(b"no mask")
    with pytest.raises(ValueError, match="at least one seed"):
        model.inpaint(PICTURE, left, seeds=[])
    with pytest.raises(ValueError, match="empty"):
        model.inpaint(PICTURE, left, seeds=[1], prompt=" ")
    corner = Image.new("L", (2 * SIDE, SIDE), 0)
    corner.paste(255, (0, 0, SIDE // 4, SIDE))
    with pytest.raises(ValueError, match="outside of the picture's middle square"):
        model.inpaint(PICTURE.resize(corner.size), corner, seeds=[1])


@pytest.mark.parametrize("picture", [Image.new("RGB", (1, 1)), Image.new("RGBA", (3, 90)), Image.new("LA", (70, 5))])
def test_pictures_of_any_kind(picture: Image.Image, model: UnclipModel, painting: Settings) -> None:
    (drawn,) = model.inpaint(picture, Image.new("L", picture.size, 255), seeds=[1], settings=painting)
    (grown,) = model.outpaint(picture, seeds=[1], settings=painting)
    (large,) = model.enhance([picture], seeds=[1], settings=painting)
    (back,) = model.reconstruct([picture], seeds=[1], settings=painting.for_inversion(2))
    assert drawn.size == grown.size == large.size == back.size == (SIDE, SIDE)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_known_pixels_take_the_known_way(name: str) -> None:
    """With whichever scheduler, and also when each step is taken again."""
    config = {"num_train_timesteps": 1000, "variance_type": "fixed_small_log"}
    known = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    repaint = torch.zeros(1, 1, 4, 4)
    repaint[..., :2] = 1
    for times in (1, 4) if name in SINGLE_STEP else (1,):
        scheduler = sampling.build_scheduler(config, name, 6)
        denoise = sampling.keep(lambda x, t: torch.tanh(x), known, repaint)
        noise = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        start = sampling.draw_noise((3, 4, 4), noise, torch.device("cpu"))
        drawn = sampling.sample(denoise, scheduler, start, noise, lambda *_: None, times)
        # What pndm averages is of several noise levels, and brings known pixels back to about where they were.
        assert (drawn - known)[..., 2:].abs().max() < (2e-2 if name == "pndm" else 1e-3)
        assert (drawn - known)[..., :2].abs().max() > 0.1


@pytest.mark.parametrize("name", SINGLE_STEP)
def test_taking_steps_again_keeps_the_noise_level(name: str) -> None:
    """A perfect denoiser sees, at each timestep, its picture at just that timestep's noise level."""
    config = {"num_train_timesteps": 1000, "variance_type": "fixed_small_log"}
    scheduler = sampling.build_scheduler(config, name, 8)
    calls: list[tuple[int, float]] = []

    def blank(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append((int(t), x.var().item()))
        return torch.zeros_like(x)

    noise = [torch.Generator().manual_seed(3)]
    start = sampling.draw_noise((3, 64, 64), noise, torch.device("cpu"))
    sampling.sample(blank, scheduler, start, noise, lambda *_: None, 3)
    assert len(calls) == 7 * 3 + 1
    if name == "ddim":  # the ancestral schedulers' fixed small variance is the least that is right
        for t, variance in calls:
            assert variance == pytest.approx(1 - scheduler.alphas_cumprod[t].item(), rel=0.08)


def test_steps_of_a_solver_are_not_taken_again() -> None:
    with pytest.raises(ValueError, match="times must be 1 with unipc"):
        DecoderSettings(4, scheduler="unipc", times=2)
    with pytest.raises(ValueError, match="times must be a whole number"):
        DecoderSettings(4, times=0)


def test_outpainting_keeps_the_picture(model: UnclipModel, painting: Settings) -> None:
    (drawn,) = model.outpaint(
        PICTURE, seeds=[1], prompt="a cat", settings=painting, share=0.5, anchor=(0, 1), blend=False
    )
    canvas, mask = images.surround(PICTURE, SIDE, 0.5, (0, 1))
    changed = change(drawn, canvas)
    assert mask.getpixel((0, SIDE - 1)) == 0 and mask.getpixel((SIDE - 1, 0)) == 255
    assert changed[SIDE // 2 :, : SIDE // 2].max() == 0 and changed[: SIDE // 2].max() > 0
    small = images.square(PICTURE, SIDE // 2)
    assert drawn.crop((0, SIDE // 2, SIDE // 2, SIDE)).tobytes() == small.tobytes()
    assert images.read_record(drawn)["task"] == "outpaint"
    for options, expected in (({"share": 1}, "share"), ({"share": 0.0}, "share"), ({"anchor": (0, 2)}, "anchor")):
        with pytest.raises(ValueError, match=expected):
            model.outpaint(PICTURE, seeds=[1], **options)


def test_a_blended_picture_fades_at_its_inner_edges(model: UnclipModel, painting: Settings) -> None:
    (drawn,) = model.outpaint(PICTURE, seeds=[1], prompt="a cat", settings=painting, share=0.5, anchor=(0, 1))
    mask = np.asarray(Outpaint(PICTURE, 0.5, (0, 1)).canvas(SIDE).mask)
    half = SIDE // 2
    assert mask[:half].min() == mask[:, half:].min() == 255
    assert mask[half + 3 :, : half - 3].max() == 0  # to the left and below there is nothing to blend with
    assert 0 < mask[half, 0] < 255 and 0 < mask[SIDE - 1, half - 1] < 255
    kept = images.square(PICTURE, half).crop((0, 3, half - 3, half))
    assert drawn.crop((0, half + 3, half - 3, SIDE)).tobytes() == kept.tobytes()
    record = images.read_record(drawn)
    assert record["blend"] is True
    old = {key: value for key, value in record.items() if key != "blend"}
    given = {record["picture"]: PICTURE}
    assert Outpaint.from_record(record, given).blend and not Outpaint.from_record(old, given).blend


def test_of_a_picture_on_an_even_background_only_the_subject_stays() -> None:
    heart = Image.new("RGB", (64, 64), "white")
    heart.paste((200, 0, 0), (16, 16, 48, 48))
    canvas, mask = Outpaint(heart, 0.5, (0.5, 0.5)).canvas(64)
    levels = np.asarray(mask)
    assert levels[32, 32] == 0 and levels[18, 18] == levels[5, 5] == 255
    assert 0.2 * 32 * 32 < (levels < 128).sum() < 0.3 * 32 * 32
    assert canvas.getpixel((32, 32)) == (200, 0, 0)


def test_enhancement_is_the_upsampler_alone(model: UnclipModel, quick: Settings) -> None:
    small = images.square(PICTURE, 16)
    (large,) = model.enhance([small], seeds=[4], settings=quick)
    assert large.size == (SIDE, SIDE) and images.read_record(large)["task"] == "enhance"
    (direct,) = images.to_pictures(model.upsample(images.to_tensor([small]), [4], quick))
    assert large.tobytes() == direct.tobytes()
    assert model.enhance([Image.new("RGBA", (5, 9))], seeds=[4], settings=quick)[0].size == (SIDE, SIDE)
    with pytest.raises(ValueError, match="give a smaller one"):
        model.enhance([PICTURE], seeds=[4])
    with pytest.raises(ValueError, match="as many seeds"):
        model.enhance([small], seeds=[4, 5])


@pytest.mark.parametrize("fixture", ["karlo_text", "karlo_variations"])
def test_karlo_can(fixture: str, left: Image.Image, painting: Settings, request: pytest.FixtureRequest) -> None:
    model = load(request.getfixturevalue(fixture))
    prompt, missing = ("a cat", None) if fixture == "karlo_text" else (None, "a cat")
    (drawn,) = model.inpaint(PICTURE, left, seeds=[1], prompt=prompt, settings=painting)
    assert change(drawn, PICTURE)[:, SIDE // 2 :].max() == 0
    with pytest.raises(ValueError, match="cannot do"):
        model.inpaint(PICTURE, left, seeds=[1], prompt=missing, settings=painting)
