"""The values that Karlo was published with, each with its source, and its true-size networks without their weights."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel
from transformers import CLIPTokenizer

from benchmarks.published_sizes import DECODER, SCHEDULERS, UPSAMPLER
from dalle2 import sampling
from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.networks.text_projection import TextProjection
from dalle2.settings import DecoderSettings, PriorSettings, Settings, UpsamplerSettings

# kakaobrain/karlo, README.md, "#param": 1B, 900M and 700M + 700M.
SIZES = {
    "prior": (PriorTransformer, 1.0e9, 0.03),
    "decoder": (lambda: UNet2DConditionModel(**DECODER), 0.9e9, 0.03),
    "upsampler": (lambda: UNet2DModel(**UPSAMPLER), 0.7e9, 0.03),
}


def test_the_twin_has_the_published_schedulers_and_pads_with_an_exclamation_mark(karlo_text: Path) -> None:
    for name, (prediction, variance, clip) in SCHEDULERS.items():
        said = json.loads((karlo_text / name / "scheduler_config.json").read_text())
        assert (said["prediction_type"], said["variance_type"], said["clip_sample_range"]) == (
            prediction,
            variance,
            clip,
        )
        assert said["num_train_timesteps"] == 1000 and said["clip_sample"] and "beta_schedule" not in said
        assert sampling.noise_schedule(said)["beta_schedule"] == "squaredcos_cap_v2"
        # As UnCLIPScheduler spaces them: from the noisiest to none at all.
        steps = sampling.build_scheduler(said, "unclip", 25).timesteps
        assert steps[[0, 1, -2, -1]].tolist() == [999, 957, 42, 0]
    pad = CLIPTokenizer.from_pretrained(karlo_text / "tokenizer").pad_token_id
    assert pad == 0  # text_encoder() of the script says so of "!"


@pytest.mark.parametrize("part", SIZES)
def test_networks_of_the_published_configs_have_the_published_sizes(part: str) -> None:
    build, published, rounding = SIZES[part]
    with torch.device("meta"):
        network = build()
        extra = TextProjection(time_embed_dim=1280, cross_attention_dim=1536) if part == "decoder" else None
    count = sum(parameter.numel() for one in (network, extra) if one for parameter in one.parameters())
    assert abs(count - published) <= rounding * published


def test_the_defaults_are_karlos_fast_ones() -> None:
    """README.md: 25 steps of the prior, 25 (fast) of the decoder and 7 of the upsampler, guidance 4 and 8."""
    assert (
        Settings(PriorSettings(25, guidance_scale=4.0), DecoderSettings(25, guidance_scale=8.0), UpsamplerSettings(7))
        == KARLO_SETTINGS
    )
