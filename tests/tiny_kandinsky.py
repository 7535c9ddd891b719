"""Tiny random Kandinsky checkpoints in exactly the published layouts, made without a download."""

import json
from pathlib import Path

import tiny
import torch
from diffusers import (
    DDPMScheduler,
    KandinskyV22InpaintPipeline,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
    UNet2DConditionModel,
    VQModel,
)

from dalle2.families.kandinsky import layout

# kandinsky-community/kandinsky-2-2-decoder-inpaint/blob/main/scheduler/scheduler_config.json, and the same in
# kandinsky-2-2-decoder/blob/refs/pr/1. It names no variance_type, so that DDPMScheduler's own is taken, "fixed_small".
PUBLISHED_SCHEDULE = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.17.0.dev0",
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "thresholding": False,
}


def parts(inpainting: bool = False, seed: int = 0) -> layout.Parts:
    """All parts of Kandinsky 2.2, random."""
    clip = tiny.parts("epsilon", seed=seed)
    torch.manual_seed(seed)
    unet, movq = decoder(9 if inpainting else 4), autoencoder()
    with torch.no_grad():  # as `tiny.parts` does, and for the same reason
        unet.conv_out.weight *= tiny.CALM
        movq.decoder.conv_out.weight *= tiny.CALM
    return layout.Parts(
        unet=unet.eval(),
        movq=movq.eval(),
        scheduler=scheduler(),
        prior_image_encoder=clip.image_encoder,
        prior_image_processor=clip.feature_extractor,
        prior_text_encoder=clip.text_encoder,
        prior_tokenizer=clip.tokenizer,
        prior_prior=clip.prior,
        prior_scheduler=tiny.scheduler("sample", clip=10.0),
    )


def scheduler(**changes: object) -> DDPMScheduler:
    return DDPMScheduler.from_config({**PUBLISHED_SCHEDULE, **changes})


def decoder(in_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=in_channels,
        out_channels=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        addition_embed_type="image",
        encoder_hid_dim=32,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=32,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
    )


def autoencoder() -> VQModel:
    return VQModel(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=4,
        vq_embed_dim=4,
        num_vq_embeddings=12,
        norm_num_groups=8,
        norm_type="spatial",
    )


def prior_pipeline(made: layout.Parts) -> KandinskyV22PriorPipeline:
    pipeline = KandinskyV22PriorPipeline(**{name: getattr(made, f"prior_{name}") for name in layout.PRIOR_PARTS})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def decoder_pipeline(made: layout.Parts) -> KandinskyV22Pipeline | KandinskyV22InpaintPipeline:
    kind = KandinskyV22InpaintPipeline if made.repaints else KandinskyV22Pipeline
    pipeline = kind(unet=made.unet, movq=made.movq, scheduler=made.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def twins(made: layout.Parts, folder: Path) -> tuple[Path, Path]:
    """Write the two repositories in which Kandinsky 2.2 is published, named as they are: prior and decoder."""
    prior = folder / "kandinsky-2-2-prior"
    decoder = folder / f"kandinsky-2-2-decoder{'-inpaint' if made.repaints else ''}"
    prior_pipeline(made).save_pretrained(prior)
    decoder_pipeline(made).save_pretrained(decoder)
    (decoder / "scheduler" / "scheduler_config.json").write_text(json.dumps(PUBLISHED_SCHEDULE))
    # Published tokenizers are vocab.json and merges.txt, and the processor has the name of its time.
    made.prior_tokenizer.backend_tokenizer.model.save(str(prior / "tokenizer"))
    (prior / "tokenizer" / "tokenizer.json").unlink()
    index = json.loads((prior / "model_index.json").read_text())
    index["image_processor"] = ["transformers", "CLIPImageProcessor"]
    (prior / "model_index.json").write_text(json.dumps(index))
    return prior, decoder
