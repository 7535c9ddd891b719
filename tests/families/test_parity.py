"""Our pictures equal those of diffusers' own pipelines on the same weights, seeds and settings."""

import dataclasses
import importlib
from pathlib import Path
from types import ModuleType

import diffusers
import numpy as np
import pytest
import tiny
import torch
from diffusers import UnCLIPImageVariationPipeline, UnCLIPPipeline
from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel
from PIL import Image

from dalle2 import images
from dalle2.families import EMBEDDED, load
from dalle2.families.karlo import layout
from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.model import UnclipModel, generators
from dalle2.settings import Settings
from dalle2.stage_settings import DecoderSettings, StageSettings

TOLERANCE = 1e-4
SEEDS = [7, 2**32 - 1, 0]
PROMPTS = [
    "a cat face, twemoji style",
    "狗",
    "Two dogs and a cat that are far too many for this context of words",
]

# Karlo's defaults; and for random networks that predict clean pictures less guidance, or they are chaotic.
LONG = {
    "epsilon": KARLO_SETTINGS,
    "sample": dataclasses.replace(KARLO_SETTINGS, decoder=DecoderSettings(25, guidance_scale=3.0)),
}


def stock_text_pipeline(model: UnclipModel) -> UnCLIPPipeline:
    return UnCLIPPipeline(**stock_parts(model, without={"image_encoder", "feature_extractor"}))


def stock_variation_pipeline(model: UnclipModel) -> UnCLIPImageVariationPipeline:
    return UnCLIPImageVariationPipeline(**stock_parts(model, without={"prior", "prior_scheduler"}))


def stock_parts(model: UnclipModel, without: set[str]) -> dict[str, object]:
    """The model's parts, with diffusers' own text projection in the place of ours."""
    parts = {name: part for name, part in model.parts.present().items() if name not in without}
    ours = parts["text_proj"]
    theirs = UnCLIPTextProjModel(**{key: value for key, value in ours.config.items() if not key.startswith("_")})
    theirs.load_state_dict(ours.state_dict())
    return parts | {"text_proj": theirs.eval()}


def pixels(model: UnclipModel, embeddings: torch.Tensor, *rest: object) -> np.ndarray:
    """(n, size, size, 3) in [0, 1], as diffusers' output_type "np"."""
    drawn = model.decode_pixels(embeddings, *rest)
    return (drawn * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def our_text_to_image(model: UnclipModel, prompts: list[str], seeds: list[int], settings: Settings) -> np.ndarray:
    noise = generators(seeds)
    return pixels(model, model.embed_prompt(prompts, noise, settings), noise, prompts, settings)


def their_text_to_image(
    pipeline: UnCLIPPipeline, prompts: list[str], seeds: list[int], settings: Settings
) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        prompts,
        generator=generators(seeds),
        prior_num_inference_steps=settings.prior.num_inference_steps,
        decoder_num_inference_steps=settings.decoder.num_inference_steps,
        super_res_num_inference_steps=settings.upsampler.num_inference_steps,
        prior_guidance_scale=settings.prior.guidance_scale,
        decoder_guidance_scale=settings.decoder.guidance_scale,
        output_type="np",
    ).images


def their_variations(
    model: UnclipModel, pictures: list[Image.Image], seeds: list[int], settings: Settings
) -> np.ndarray:
    pipeline = stock_variation_pipeline(model)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        pictures,
        generator=generators(seeds),
        decoder_num_inference_steps=settings.decoder.num_inference_steps,
        super_res_num_inference_steps=settings.upsampler.num_inference_steps,
        decoder_guidance_scale=settings.decoder.guidance_scale,
        output_type="np",
    ).images


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("defaults", ["quick", "long"])
def test_text_to_image(prediction: str, defaults: str, quick: Settings, tmp_path: Path) -> None:
    made = tiny.parts(prediction, seed=3)
    model = load(layout.write(made, tmp_path / "checkpoint", {}))
    settings = quick if defaults == "quick" else LONG[prediction]
    ours = our_text_to_image(model, PROMPTS, SEEDS, settings)
    theirs = their_text_to_image(stock_text_pipeline(model), PROMPTS, SEEDS, settings)
    assert ours.shape == (3, 32, 32, 3) and ours.std() > 0.01
    assert np.abs(ours - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("count", [1, 2])
def test_one_picture_and_two_are_diffusers_own(
    count: int, guidance: float, model: UnclipModel, quick: Settings
) -> None:
    settings = quick.changed({stage: {"guidance_scale": guidance} for stage in ("prior", "decoder")})
    prompts, seeds, picture = PROMPTS[:count], SEEDS[:count], Image.linear_gradient("L").convert("RGB")
    ours = our_text_to_image(model, prompts, seeds, settings)
    theirs = their_text_to_image(stock_text_pipeline(model), prompts, seeds, settings)
    assert ours.shape[0] == count and np.abs(ours - theirs).max() <= TOLERANCE
    ours = pixels(model, model.embed_image([picture] * count), seeds, None, settings)
    assert np.abs(ours - their_variations(model, [picture] * count, seeds, settings)).max() <= TOLERANCE


def test_text_to_image_gives_those_pixels(model: UnclipModel, quick: Settings) -> None:
    drawn = model.text_to_image(PROMPTS, seeds=SEEDS, settings=quick)
    expected = our_text_to_image(model, PROMPTS, SEEDS, quick)
    for picture, wanted in zip(drawn, expected, strict=True):
        assert np.abs(np.asarray(picture) / 255 - wanted).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_variations"])
def test_variations(fixture: str, quick: Settings, request: pytest.FixtureRequest) -> None:
    model = load(request.getfixturevalue(fixture))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
    embeddings = model.embed_image([picture]).expand(len(SEEDS), -1)
    ours = pixels(model, embeddings, SEEDS, None, quick)
    theirs = their_variations(model, [picture] * len(SEEDS), SEEDS, quick)
    assert np.abs(ours - theirs).max() <= TOLERANCE


@pytest.fixture
def unclip_alias(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What lets diffusers >= 0.38 find the class where diffusers <= 0.37 has it."""
    module = importlib.import_module("diffusers.pipelines.deprecated.unclip")
    monkeypatch.setattr(diffusers.pipelines, "unclip", module, raising=False)
    return module


@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_text"])
def test_stock_diffusers_opens_the_folder(
    fixture: str, quick: Settings, request: pytest.FixtureRequest, unclip_alias: ModuleType
) -> None:
    folder = request.getfixturevalue(fixture)
    pipeline = UnCLIPPipeline.from_pretrained(folder, local_files_only=True)
    for network in (pipeline.decoder, pipeline.super_res_first, pipeline.super_res_last):
        # As ours. The other format rounds otherwise, and the first step of a network that predicts noise
        # divides its rounding errors by sqrt(alpha_bar) = 5e-5.
        network.to(memory_format=torch.channels_last)
    ours = our_text_to_image(load(folder), PROMPTS, SEEDS, quick)
    assert np.abs(ours - their_text_to_image(pipeline, PROMPTS, SEEDS, quick)).max() <= TOLERANCE


def test_stock_diffusers_opens_a_saved_variation_checkpoint(
    karlo_variations: Path, tmp_path: Path, unclip_alias: ModuleType
) -> None:
    model = load(karlo_variations)
    saved = layout.write(model.parts, tmp_path / "saved", {})
    pipeline = UnCLIPImageVariationPipeline.from_pretrained(saved, local_files_only=True)
    picture = Image.new("RGB", (32, 32), (200, 30, 90))
    theirs = pipeline._encode_image(picture, "cpu", 1)
    assert torch.allclose(load(saved).embed_image([picture]), theirs, atol=1e-6)


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="the embedded checkpoint is not in this tree yet")
def test_embedded_checkpoint() -> None:
    model = load(EMBEDDED)
    default = model.settings
    # diffusers' pipeline knows one scheduler and one candidate only, and always guides the whole way.
    settings = Settings(
        prior=_as_stock(default.prior),
        decoder=_as_stock(default.decoder),
        upsampler=_as_stock(default.upsampler),
    )
    prompts = ["a cat face, twemoji style", "一只狗"]
    ours = our_text_to_image(model, prompts, [7, 8], settings)
    theirs = their_text_to_image(stock_text_pipeline(model), prompts, [7, 8], settings)
    assert np.abs(ours - theirs).max() <= TOLERANCE
    picture = images.to_pictures(torch.from_numpy(ours).permute(0, 3, 1, 2) * 2 - 1)[0]
    ours = pixels(model, model.embed_image([picture]), [7], None, settings)
    theirs = their_variations(model, [picture], [7], settings)
    assert np.abs(ours - theirs).max() <= TOLERANCE


def _as_stock(stage: StageSettings) -> StageSettings:
    stock = {"scheduler": "unclip", "guidance_interval": (0.0, 1.0), "candidates": 1}
    return dataclasses.replace(stage, **{name: value for name, value in stock.items() if hasattr(stage, name)})
