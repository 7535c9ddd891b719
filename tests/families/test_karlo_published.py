"""The values that Karlo was published with, each with its source, and its true-size networks without their weights."""

import pytest
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, UNet2DModel

from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.networks.text_projection import TextProjection
from dalle2.settings import DecoderSettings, PriorSettings, Settings, UpsamplerSettings

# diffusers, scripts/convert_kakao_brain_unclip_to_diffusers.py: the configs that it gives to the networks.
CHANNELS = {"block_out_channels": (320, 640, 960, 1280), "layers_per_block": 3}
DECODER = {
    **CHANNELS,
    "resnet_time_scale_shift": "scale_shift",
    "sample_size": 64,
    "in_channels": 3,
    "out_channels": 6,
    "down_block_types": ("ResnetDownsampleBlock2D", *["SimpleCrossAttnDownBlock2D"] * 3),
    "up_block_types": (*["SimpleCrossAttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "cross_attention_dim": 1536,
    "attention_head_dim": 64,
    "class_embed_type": "identity",
}
UPSAMPLER = {
    **CHANNELS,
    "sample_size": 256,
    "in_channels": 6,
    "out_channels": 3,
    "down_block_types": ["ResnetDownsampleBlock2D"] * 4,
    "up_block_types": ["ResnetUpsampleBlock2D"] * 4,
    "add_attention": False,
}

# kakaobrain/karlo, README.md, "#param": 1B, 900M and 700M + 700M.
SIZES = {
    "prior": (PriorTransformer, 1.0e9, 0.03),
    "decoder": (lambda: UNet2DConditionModel(**DECODER), 0.9e9, 0.03),
    "upsampler": (lambda: UNet2DModel(**UPSAMPLER), 0.7e9, 0.03),
}


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
