"""Kandinsky 2.1: as 2.2, with a decoder that reads the prompt too, in many languages."""

from pathlib import Path

import numpy as np
import pytest
import tiny_kandinsky
import torch
from diffusers import KandinskyCombinedPipeline
from PIL import Image
from test_kandinsky import PICTURE, PROMPTS, QUICK, SEEDS, TOLERANCE, chosen, our_text_to_image, pixels

from dalle2 import images
from dalle2.families import load
from dalle2.families.kandinsky.load import save
from dalle2.model import UnclipModel, generators
from dalle2.pixels import KnownPixels
from dalle2.settings import Settings

DDIM = {"decoder": {"scheduler": "ddim"}}


def opened(folder: Path, inpainting: bool) -> UnclipModel:
    made = tiny_kandinsky.parts(inpainting, seed=4, version="2.1")
    model = load(tiny_kandinsky.twins(made, folder)[1])  # which finds its prior
    assert model.settings.decoder.scheduler == "ddim" and model.settings.decoder.num_inference_steps == 50
    model.settings = QUICK.changed(DDIM)
    return model


@pytest.fixture(scope="module")
def kandinsky(tmp_path_factory: pytest.TempPathFactory) -> UnclipModel:
    return opened(tmp_path_factory.mktemp("kandinsky21"), inpainting=False)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> UnclipModel:
    return opened(tmp_path_factory.mktemp("painter21"), inpainting=True)


def theirs(
    model: UnclipModel,
    prompts: list[str],
    seeds: list[int],
    settings: Settings,
    picture: Image.Image | None = None,
    **more,
) -> np.ndarray:
    """What diffusers' pipelines draw, of the prompts, or of a picture beside them."""
    noise, negative = generators(seeds), settings.negative_prompt
    prior = tiny_kandinsky.prior_pipeline(model.parts)
    against = None if negative is None else [negative] * len(prompts)
    if picture is None:
        embeddings, opposite = prior(
            prompts,
            negative_prompt=against,
            generator=noise if negative is None else noise + generators(seeds),
            num_inference_steps=3,
            guidance_scale=settings.prior.guidance_scale,
        ).to_tuple()
    else:
        seen = prior.interpolate([picture], [1.0], num_inference_steps=3)
        rows = (seen.image_embeds, seen.negative_image_embeds)
        embeddings, opposite = (row.expand(len(prompts), -1) for row in rows)
    return tiny_kandinsky.decoder_pipeline(model.parts)(
        prompts,
        image_embeds=embeddings,
        negative_image_embeds=opposite,
        negative_prompt=against,
        generator=noise,
        height=32,
        width=32,
        num_inference_steps=4,
        guidance_scale=settings.decoder.guidance_scale,
        output_type="np",
        **more,
    ).images


@pytest.mark.parametrize("negative", [None, "", "a dog"])
def test_text_to_image_is_diffusers_own(kandinsky: UnclipModel, negative: str | None) -> None:
    for count in (1, 2):
        for guidance in (1.0, 4.0):
            asked = kandinsky, PROMPTS[:count], SEEDS[:count], chosen(guidance, negative).changed(DDIM)
            ours = our_text_to_image(*asked)
            assert ours.std() > 0.01 and np.abs(ours - theirs(*asked)).max() <= TOLERANCE


def test_a_variation_is_diffusers_own(kandinsky: UnclipModel) -> None:
    """With a prompt beside the picture, and without one."""
    for prompt, count, guidance in (("a cat", 2, 4.0), ("", 2, 4.0), ("a cat", 1, 1.0), ("", 1, 4.0)):
        settings, prompts, seeds = chosen(guidance).changed(DDIM), [prompt] * count, SEEDS[:count]
        embeddings = kandinsky.embed_image([PICTURE]).expand(count, -1)
        ours = pixels(kandinsky, embeddings, seeds, prompts if prompt else None, settings)
        assert np.abs(ours - theirs(kandinsky, prompts, seeds, settings, PICTURE)).max() <= TOLERANCE


def test_inpainting_is_diffusers_own(painter: UnclipModel) -> None:
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (8, 6, 20, 24))
    known = KnownPixels(images.to_tensor([PICTURE]), torch.from_numpy(np.array(mask)).float()[None, None] / 255)
    for count, guidance, negative in ((1, 4.0, None), (2, 4.0, None), (1, 1.0, None), (2, 4.0, "a dog"), (1, 4.0, "")):
        settings, noise = chosen(guidance, negative).changed(DDIM), generators(SEEDS[:count])
        embeddings = painter.embed_prompt(PROMPTS[:count], noise, settings)
        ours = pixels(painter, embeddings, noise, PROMPTS[:count], settings, known=known)
        more = {"image": [PICTURE] * count, "mask_image": [mask] * count}
        assert np.abs(ours - theirs(painter, PROMPTS[:count], SEEDS[:count], settings, **more)).max() <= TOLERANCE


def test_the_decoder_reads_many_languages(kandinsky: UnclipModel) -> None:
    """The prior's CLIP reads English, the decoder all that its vocabulary has."""
    embedding = kandinsky.embed_prompt(["a cat"], [1])
    drawn = [kandinsky.decode_pixels(embedding, [1], [prompt]) for prompt in ("черный кот", "黑猫", "a cat", "")]
    for place, one in enumerate(drawn):
        assert all((one - other).abs().max() > 1e-3 for other in drawn[:place])


def test_a_seed_alone_is_third_of_eight(kandinsky: UnclipModel) -> None:
    settings, prompts = chosen(4.0, "a dog").changed(DDIM), ["a cat", "a dog"] * 4
    many = our_text_to_image(kandinsky, prompts, list(range(8)), settings)
    assert np.abs(many[2] - our_text_to_image(kandinsky, prompts[2:3], [2], settings)[0]).max() <= TOLERANCE


def test_what_we_save_opens_in_diffusers_and_here(kandinsky: UnclipModel, tmp_path: Path) -> None:
    saved = save(kandinsky, tmp_path / "saved")
    stock = KandinskyCombinedPipeline.from_pretrained(saved, local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    settings = QUICK.changed(DDIM)
    drawn = stock(
        PROMPTS,
        num_inference_steps=4,
        prior_num_inference_steps=3,
        height=32,
        width=32,
        generator=generators(SEEDS),
        output_type="np",
    ).images
    assert np.abs(our_text_to_image(load(saved), PROMPTS, SEEDS, settings) - drawn).max() <= TOLERANCE


def test_a_decoder_of_the_other_version_is_told(kandinsky: UnclipModel, tmp_path: Path) -> None:
    _, decoder = tiny_kandinsky.twins(kandinsky.parts, tmp_path)
    (decoder / "tokenizer" / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match="holds no vocabulary"):
        load(decoder)
    (decoder / "text_encoder").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="unet reads text, but its folder has no text_encoder"):
        load(decoder)
