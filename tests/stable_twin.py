"""Tiny random checkpoints of Stable unCLIP in the published layout, and of Karlo's prior for them."""

import json
from pathlib import Path

import tiny
import torch
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from dalle2.families.stable_unclip.layout import Parts

SIDE, FACTOR = 16, 2  # latents a side, and pixels a side of each
# What diffusers' converter wrote in 2023 (convert_from_ckpt.py): no timestep_spacing, which came later.
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.15.0.dev0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}


def parts(seed: int = 5) -> Parts:
    """All parts but the prior's, random, for embeddings of the size of `tiny.parts`."""
    karlo = tiny.parts("epsilon", pad="!")
    torch.manual_seed(seed)
    vocab = tiny.vocabulary()
    text = CLIPTextConfig(
        hidden_size=48,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=len(vocab),
        max_position_embeddings=tiny.CONTEXT,
        bos_token_id=vocab["<|startoftext|>"],
        eos_token_id=vocab["<|endoftext|>"],
        pad_token_id=0,
        hidden_act="gelu",
    )
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=32)
    with torch.no_grad():
        normalizer.mean.normal_(std=0.2)
        normalizer.std.fill_(1.3)
    unet = UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
        attention_head_dim=(2, 4),
        cross_attention_dim=48,
        class_embed_type="projection",
        projection_class_embeddings_input_dim=64,
        use_linear_projection=True,
        upcast_attention=True,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        layers_per_block=1,
        sample_size=SIDE * FACTOR,
    )
    with torch.no_grad():
        unet.conv_out.weight *= tiny.CALM
    return Parts(
        text_encoder=CLIPTextModel(text).eval(),
        tokenizer=tiny.tokenizer("!"),  # Stable Diffusion 2 pads with "!", as Karlo does
        unet=unet.eval(),
        vae=vae.eval(),
        image_normalizer=normalizer.eval(),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        scheduler=PNDMScheduler.from_config(SCHEDULER),
        image_encoder=karlo.image_encoder,
        feature_extractor=karlo.feature_extractor,
    )


def _rename_weights(folder: Path) -> None:
    """As transformers 4 and diffusers 0.14 named them, with a buffer that has been dropped since."""
    (text,) = (folder / "text_encoder").glob("*.safetensors")
    weights = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in load_file(text).items()}
    buffer = {"text_model.embeddings.position_ids": torch.arange(tiny.CONTEXT)[None]}
    save_file(weights | buffer, text, {"format": "pt"})
    (vae,) = (folder / "vae").glob("*.safetensors")
    weights = {}
    for name, value in load_file(vae).items():
        for today, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f"attentions.0.{today}.", f"attentions.0.{before}.")
        weights[name] = value
    assert sum("proj_attn" in name for name in weights) == 4
    save_file(weights, vae, {"format": "pt"})


def write(made: Parts, folder: Path, variant: str | None = None) -> Path:
    """Write it as it was published: a StableUnCLIPImg2ImgPipeline of early 2023, in safetensors."""
    for name, part in made.present().items():
        options = {"variant": variant} if variant and isinstance(part, torch.nn.Module) else {}
        half = isinstance(part, torch.nn.Module) and variant == "fp16"
        (part.half() if half else part).save_pretrained(folder / name, **options)
        if half:
            part.float()
    _rename_weights(folder)
    made.tokenizer.backend_tokenizer.model.save(str(folder / "tokenizer"))
    (folder / "tokenizer" / "tokenizer.json").unlink()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    index = {"_class_name": "StableUnCLIPImg2ImgPipeline", "_diffusers_version": "0.15.0.dev0"}
    index |= {name: [type(part).__module__.split(".")[0], type(part).__name__] for name, part in made.present().items()}
    index["image_normalizer"] = ["stable_diffusion", "StableUnCLIPImageNormalizer"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
