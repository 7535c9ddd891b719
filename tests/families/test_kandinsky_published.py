"""What the published Kandinsky and ECLIPSE repositories say, and that networks of that size are what they weigh.

The values are the hub's own files, as its pages show them (HUB/REPOSITORY/blob/main/PART/config.json, and /tree/main
for sizes). Where such a page was not found, a fine-tuned copy's is cited, whose config names the original; values
that only such a copy shows are marked.
"""

import pytest
import tiny_kandinsky
import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from benchmarks.published_sizes import MOVQ, PRIOR21, PRIOR22, SCHEDULE22, TEXT22, UNET21, UNET22, VISION22
from dalle2 import sampling
from dalle2.families.kandinsky.model import KANDINSKY22_SETTINGS
from dalle2.networks.eclipse_prior import EclipsePrior

# ECLIPSE-Community/ECLIPSE_KandinskyV22_Prior and ECLIPSE-Community/ECLIPSE_Karlo_Prior, config.json of both.
ECLIPSE = {
    "num_attention_heads": 16,
    "attention_head_dim": 32,
    "num_layers": 10,
    "num_embeddings": 77,
    "additional_embeddings": 3,
}

# kandinsky-2-1/text_encoder, as 004T/StableXlL/text_encoder says, "Duplicate from kandinsky-community/kandinsky-2-1".
TEXT21 = MCLIPConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_attention_heads=16,
    num_hidden_layers=24,
    max_position_embeddings=514,
    type_vocab_size=1,
    vocab_size=250002,
    transformerDimensions=1024,
    numDims=768,
)

# Weights on the hub, in gigabytes, and in how many bytes a number is kept there.
SIZES = {
    "prior 2.2": (lambda: PriorTransformer(**PRIOR22), 4.10, 4),  # kandinsky-2-2-prior/tree/main/prior
    "prior 2.1": (lambda: PriorTransformer(**PRIOR21), 4.09, 4),  # kandinsky-2-1-prior/tree/refs/pr/5/prior
    "unet 2.2": (lambda: UNet2DConditionModel(**UNET22), 5.01, 4),  # kandinsky-2-2-decoder/tree/main/unet
    # kandinsky-2-2-decoder-inpaint/tree/refs/pr/4/unet
    "unet 2.2 inpaint": (lambda: UNet2DConditionModel(**{**UNET22, "in_channels": 9}), 5.01, 4),
    "unet 2.1": (lambda: UNet2DConditionModel(**UNET21), 4.91, 4),  # kandinsky-2-1/tree/refs/pr/3/unet
    "movq": (lambda: VQModel(**MOVQ), 0.271, 4),  # dreamlike-art/kandinsky-2.1/tree/main, movq_final
    "text encoder 2.2": (
        lambda: CLIPTextModelWithProjection(CLIPTextConfig(**TEXT22)),
        2.78,
        4,
    ),  # kandinsky-2-2-prior/tree/main
    "image encoder 2.2": (
        lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION22)),
        3.69,
        2,
    ),  # kept as torch.HalfStorage
    "text encoder 2.1": (lambda: MultilingualCLIP(TEXT21), 2.24, 4),  # dreamlike-art/kandinsky-2.1, text_encoder
    "ECLIPSE": (lambda: EclipsePrior(**ECLIPSE, embedding_dim=1280), 0.137, 4),  # ECLIPSE_KandinskyV22_Prior/tree/main
    "ECLIPSE Karlo": (lambda: EclipsePrior(**ECLIPSE, embedding_dim=768), 0.133, 4),  # ECLIPSE_Karlo_Prior/blob/main
}


@pytest.mark.parametrize("part", SIZES)
def test_networks_of_the_published_configs_weigh_what_the_files_do(part: str) -> None:
    build, gigabytes, width = SIZES[part]
    with torch.device("meta"):
        network = build()
    weight = sum(parameter.numel() for parameter in network.parameters()) * width / 1e9
    assert abs(weight - gigabytes) < max(0.006, 0.005 * gigabytes)


def test_the_twin_has_the_published_schedules() -> None:
    """A scheduler that does not take what is predicted of the variance, and no step at t = 0."""
    published = SCHEDULE22
    made = tiny_kandinsky.parts()
    assert made.scheduler.config.variance_type == "fixed_small" and not made.scheduler.config.clip_sample
    assert {name: made.scheduler.config[name] for name in ("beta_start", "beta_end", "steps_offset")} == {
        name: published[name] for name in ("beta_start", "beta_end", "steps_offset")
    }
    steps = sampling.build_scheduler(made.scheduler.config, "ddpm", 50).timesteps
    assert steps[[0, 1, -1]].tolist() == [981, 961, 1]
    # kandinsky-2-2-prior/blame/40cd651/scheduler/scheduler_config.json, which names no beta_schedule.
    assert made.prior_scheduler.config.clip_sample_range == 10.0
    assert made.prior_scheduler.config.prediction_type == "sample"


def test_settings_are_those_of_the_authors() -> None:
    """ai-forever/Kandinsky-2, kandinsky2/kandinsky2_2_model.py, generate_text2img."""
    prior, decoder = KANDINSKY22_SETTINGS.prior, KANDINSKY22_SETTINGS.decoder
    assert (prior.num_inference_steps, prior.guidance_scale) == (25, 4)
    assert (decoder.num_inference_steps, decoder.guidance_scale, decoder.scheduler) == (50, 4, "ddpm")
