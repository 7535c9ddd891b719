"""How the networks are called: written once, for training and for drawing, and as diffusers' pipelines call them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.families import load
from dalle2.families.karlo.stages import decoder_stage, upsampler_stage
from dalle2.families.priors import prior_stage
from dalle2.model import UnclipModel
from dalle2.networks import decoder, diffusion_prior, text_encoder, upsampler
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import Settings
from dalle2.training.clip import ClipTowers
from dalle2.training.decoder import DecoderStage
from dalle2.training.prior import PriorStage
from dalle2.training.recipe import DecoderRecipe, PriorRecipe

PROMPTS = ["a cat face", "cat!", "狗", "dog " * 40]
T = torch.tensor(500)


@pytest.fixture(scope="module")
def towers(model: UnclipModel) -> ClipTowers:
    return ClipTowers(model.parts.text_encoder, model.parts.image_encoder, model.parts.tokenizer)


@pytest.fixture(scope="module")
def text(model: UnclipModel) -> EncodedText:
    return model.prompts.read(PROMPTS)


def batch() -> Batch:
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Batch(pictures, PROMPTS, torch.full((4, 5), -1))


@torch.no_grad()
def test_the_decoder_sees_the_embedding_before_the_text(model: UnclipModel, text: EncodedText) -> None:
    parts, embeddings, x = model.parts, torch.randn(4, 32), torch.randn(4, 3, 16, 16)
    context, addition = parts.text_proj(embeddings, text.embeddings, text.tokens)
    extra = parts.text_proj.config.clip_extra_context_tokens
    mask = torch.cat([torch.ones(4, extra, dtype=torch.bool), text.mask], dim=1)
    theirs = parts.decoder(x, T, context, class_labels=addition, attention_mask=mask).sample
    conditions = decoder.conditions(parts.text_proj, embeddings, text)
    assert torch.equal(decoder.predict(parts.decoder, x, T, **conditions), theirs)
    stage = decoder_stage(parts, embeddings, text)
    assert torch.equal(stage.network(x, T, **stage.conditions), theirs)


@torch.no_grad()
def test_the_prior_is_called_as_diffusers_calls_it(model: UnclipModel, text: EncodedText) -> None:
    prior, x = model.parts.prior, torch.randn(4, 32)
    theirs = prior(x, T, text.embeddings, text.tokens, text.mask).predicted_image_embedding
    assert torch.equal(diffusion_prior.predict(prior, x, T, **diffusion_prior.conditions(text)), theirs)
    stage = prior_stage(prior, model.parts.prior_scheduler.config, text)
    assert torch.equal(stage.network(x, T, **stage.conditions), theirs)
    normed = diffusion_prior.normalise(prior, x)
    torch.testing.assert_close(diffusion_prior.denormalise(prior, normed), prior.post_process_latents(normed))
    torch.testing.assert_close(diffusion_prior.denormalise(prior, normed), x)


@torch.no_grad()
def test_the_upsampler_sees_the_enlarged_picture_behind_the_noise(model: UnclipModel) -> None:
    parts, small, x = model.parts, torch.rand(2, 3, 16, 16), torch.randn(2, 3, 32, 32)
    large = torch.nn.functional.interpolate(small, size=32, mode="bicubic", antialias=True)
    assert torch.equal(upsampler.enlarge(small, 32), large)
    stage = upsampler_stage(parts, small, 32)
    for t, unet in ((T, parts.super_res_first), (torch.tensor(0), parts.super_res_last)):
        theirs = unet(torch.cat([x, large], dim=1), t).sample
        assert torch.equal(upsampler.predict(unet, x, t, large), theirs)
        assert torch.equal(stage.network(x, t, **stage.conditions), theirs)


@torch.no_grad()
def test_training_reads_prompts_as_drawing_does(towers: ClipTowers, model: UnclipModel, text: EncodedText) -> None:
    together = towers.read(PROMPTS)
    assert all(torch.equal(theirs, ours) for theirs, ours in zip(together, text, strict=True))
    torch.testing.assert_close(towers.embed_texts(PROMPTS), text.embeddings)
    # As the library's own tokenizer cuts and pads them.
    length = model.prompts.tokenizer.context
    ids = model.parts.tokenizer(PROMPTS, padding="max_length", max_length=length, truncation=True)
    ours, mask = model.prompts.tokenizer.pad(model.prompts.tokenizer.tokenize(PROMPTS), length)
    assert ids.input_ids == ours.tolist() and ids.attention_mask == mask.int().tolist()


def test_training_predicts_as_drawing_does(towers: ClipTowers, model: UnclipModel, text: EncodedText) -> None:
    """The losses of both stages, worked out again with what draws."""
    pictures, parts = batch(), model.parts
    with torch.no_grad():
        embeddings = towers.embed_pictures(pictures.pictures)
        plan = PriorRecipe(width=32, head_dim=16, layers=1, text_drop=0.0)
        prior = PriorStage(plan, towers, embeddings.mean(0), embeddings.std(0)).eval()
        found = prior(pictures, Randomness(0, "prior", 0, 4))
        randomness = Randomness(0, "prior", 0, 4)
        randomness.coins()
        clean = (embeddings - embeddings.mean(0)) / embeddings.std(0)
        timesteps = randomness.integers(1000)
        noisy = prior.scheduler.add_noise(clean, randomness.normal(32), timesteps)
        stage = prior_stage(prior.network, prior.scheduler.config, text)
        guess = stage.network(noisy, timesteps, **stage.conditions)
        torch.testing.assert_close(found["error"], ((guess - clean) ** 2).mean())

        plan = DecoderRecipe(picture_size=16, channels=(32, 64), head_dim=16, attention_from=1, time_embedding_dim=64)
        plan = plan.model_copy(update={"embedding_noise": 0.0, "text_drop": 0.0, "embedding_drop": 0.0, "augment": 0.0})
        trained = DecoderStage(plan, towers, embeddings.std(0)).eval()
        trained.network.conv_out.weight.normal_(std=0.1)  # zeros at the start
        found = trained(pictures, Randomness(0, "decoder", 0, 4))
        randomness = Randomness(0, "decoder", 0, 4)
        for _ in range(2):
            randomness.coins()
        randomness.normal(32)
        timesteps = randomness.integers(1000)
        clean = torch.nn.functional.interpolate(pictures.pictures, (16, 16), mode="area")
        noisy = trained.scheduler.add_noise(clean, randomness.normal(3, 16, 16), timesteps)
        parts = dataclasses.replace(parts, decoder=trained.network, text_proj=trained.text_projection)
        stage = decoder_stage(parts, embeddings, text)
        guess = stage.network(noisy, timesteps, **stage.conditions)[:, :3]
        errors = ((guess - clean) ** 2).flatten(1).mean(1)
        for low in range(0, 1000, 200):
            inside = (timesteps >= low) & (timesteps < low + 200)
            torch.testing.assert_close(found[f"error_{low}"], (errors * inside).sum() / inside.sum().clamp(min=1))


@pytest.mark.parametrize(("negative", "texts"), [("", 3), ("a dog", 2)])
def test_each_text_is_encoded_once(negative: str, texts: int, tiny_checkpoint: Path, quick: Settings) -> None:
    """Not once by the prior and again by the decoder, nor once for each of the copies."""
    model, rows = load(tiny_checkpoint), []
    model.parts.text_encoder.register_forward_hook(lambda _, given, __: rows.extend(given[0].tolist()))
    settings = dataclasses.replace(quick, negative_prompt=negative)
    together = model.text_to_image(
        ["a cat", "a cat", "a dog", "a cat"], seeds=[1, 2, 3, 4], settings=settings, literal=True
    )
    assert len(rows) == texts and len({tuple(row) for row in rows}) == texts
    (alone,) = load(tiny_checkpoint).text_to_image(["a dog"], seeds=[3], settings=settings, literal=True)
    assert np.abs(np.asarray(alone, int) - np.asarray(together[2], int)).max() <= 1


def test_a_text_is_the_same_in_whichever_batch(tiny_checkpoint: Path) -> None:
    first, second = load(tiny_checkpoint), load(tiny_checkpoint)
    together, alone = first.prompts.read(PROMPTS), second.prompts.read(PROMPTS[2:3])
    assert torch.equal(together.tokens[2:3], alone.tokens) and torch.equal(together.mask[2:3], alone.mask)
    torch.testing.assert_close(together.embeddings[2:3], alone.embeddings)
    assert together.mask.shape[1] == tiny.CONTEXT


def test_more_texts_than_are_remembered_are_read(model: UnclipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder, "REMEMBERED", 3)
    prompts = [f"dog {'cat ' * number}" for number in range(7)]
    first, again = model.prompts.read(prompts, guided=True), model.prompts.read(prompts, guided=True)
    assert len(model.prompts._encoded) == 3
    for rows in zip(first, again, strict=True):
        torch.testing.assert_close(*rows)
