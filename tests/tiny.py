"""Tiny random checkpoints in Karlo's layout, made without a download, in sizes like diffusers' own tests."""

import json
from pathlib import Path

import torch
from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DConditionModel, UNet2DModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from dalle2.families.karlo import layout
from dalle2.networks.text_projection import TextProjection

MERGES = ["c a", "ca t</w>", "f a", "fa c", "fac e</w>", "a t", "d o", "do g</w>"]
CONTEXT = 24
# A random network under guidance is chaotic: 1e-7 grows to 0.05 in 25 steps, between two memory formats of diffusers'
# own pipeline too. A trained one is not; a small last layer calms ours down. The first step divides a predicted noise,
# and so its rounding, by sqrt(alpha_bar) = 5e-5.
CALM = 0.1
CALM_NOISE = 0.001


def byte_letters() -> list[str]:
    """The 256 letters of byte-level BPE in CLIP's order, which begins with "!"."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(byte) for byte in visible]
    letters += [chr(256 + index) for index in range(256 - len(visible))]
    assert set(letters) == set(ByteLevel.alphabet())
    return letters


def vocabulary() -> dict[str, int]:
    """CLIP's vocabulary in small: bytes, bytes at a word's end, merges, start, end."""
    letters = byte_letters()
    words = letters + [f"{letter}</w>" for letter in letters] + [merge.replace(" ", "") for merge in MERGES]
    return {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


def tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """Karlo pads with "!", whose id is 0; our own checkpoint with the end token."""
    merges = [tuple(merge.split()) for merge in MERGES]
    return CLIPTokenizer(vocab=vocabulary(), merges=merges, pad_token=pad, model_max_length=CONTEXT)


def scheduler(prediction: str, learned: bool = False, clip: float = 1.0) -> UnCLIPScheduler:
    variance = "learned_range" if learned else "fixed_small_log"
    return UnCLIPScheduler(variance_type=variance, clip_sample_range=clip, prediction_type=prediction)


def parts(prediction: str = "sample", pad: str = "<|endoftext|>", seed: int = 0) -> layout.Parts:
    """All parts, random; the decoder and the upsampler predict "sample" (ours) or "epsilon" (Karlo)."""
    torch.manual_seed(seed)
    vocab = vocabulary()
    clip = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    text = CLIPTextConfig(
        **clip,
        projection_dim=32,
        vocab_size=len(vocab),
        max_position_embeddings=CONTEXT,
        bos_token_id=vocab["<|startoftext|>"],
        eos_token_id=vocab["<|endoftext|>"],
        pad_token_id=vocab["<|endoftext|>"],
    )
    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1, num_embeddings=CONTEXT
    )
    with torch.no_grad():  # zeros would wipe the embedding out
        prior.clip_std.fill_(1.3)
        prior.clip_mean.normal_(std=0.2)
        prior.positional_embedding.normal_(std=0.2)
    project = TextProjection(clip_embeddings_dim=32, time_embed_dim=128, cross_attention_dim=100)
    with torch.no_grad():
        project.learned_classifier_free_guidance_embeddings.normal_()
    networks = {"decoder": decoder(), "super_res_first": upsampler(), "super_res_last": upsampler()}
    with torch.no_grad():
        for network in networks.values():
            network.conv_out.weight *= CALM_NOISE if prediction == "epsilon" else CALM
    return layout.Parts(
        text_encoder=CLIPTextModelWithProjection(text).eval(),
        tokenizer=tokenizer(pad),
        text_proj=project.eval(),
        **{name: network.eval() for name, network in networks.items()},
        decoder_scheduler=scheduler(prediction, learned=True),
        super_res_scheduler=scheduler(prediction),
        prior=prior.eval(),
        prior_scheduler=scheduler("sample", clip=5.0),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(**clip, projection_dim=32, image_size=32, patch_size=8)
        ).eval(),
        feature_extractor=CLIPImageProcessor(crop_size=32, size=32),
    )


def decoder() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=3,
        out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=100,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="identity",
    )


def upsampler() -> UNet2DModel:
    return UNet2DModel(
        sample_size=32,
        in_channels=6,
        out_channels=3,
        down_block_types=("ResnetDownsampleBlock2D", "ResnetDownsampleBlock2D"),
        up_block_types=("ResnetUpsampleBlock2D", "ResnetUpsampleBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
    )


def karlo_twin(made: layout.Parts, folder: Path, variant: str | None = None, task: str = "text") -> Path:
    """The layout in which Karlo was published: .bin weights, old names in the index, no dalle2.json.

    `task` is "text" (karlo-v1-alpha, without an image encoder) or "variations" (without a prior).
    """
    dropped = {"text": {"image_encoder", "feature_extractor"}, "variations": {"prior", "prior_scheduler"}}[task]
    index = {"_class_name": "UnCLIPPipeline" if task == "text" else "UnCLIPImageVariationPipeline"}
    index["_diffusers_version"] = "0.11.0.dev0"
    for name, part in made.present().items():
        if name in dropped:
            continue
        part_folder = folder / name
        part_folder.mkdir(parents=True)
        if not isinstance(part, torch.nn.Module):
            part.save_pretrained(part_folder)
        else:
            part.config.save_pretrained(part_folder) if hasattr(part.config, "save_pretrained") else part.save_config(
                part_folder
            )
            stem = "pytorch_model" if "encoder" in name else "diffusion_pytorch_model"
            state = {key: value.clone() for key, value in part.state_dict().items()}
            if name == "text_encoder":  # a buffer that transformers wrote then, and has dropped since
                state["text_model.embeddings.position_ids"] = torch.arange(CONTEXT)[None]
            if variant:
                state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
            torch.save(state, part_folder / f"{stem}{'.' + variant if variant else ''}.bin")
        index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    index["text_proj"] = ["unclip", "UnCLIPTextProjModel"]
    if "feature_extractor" in index:
        index["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]
    for file in folder.glob("*/scheduler_config.json"):  # beta_schedule was not an argument in 2022
        config = json.loads(file.read_text())
        config.pop("beta_schedule", None)
        file.write_text(json.dumps(config))
    # Published tokenizers are vocab.json and merges.txt.
    made.tokenizer.backend_tokenizer.model.save(str(folder / "tokenizer"))
    (folder / "tokenizer" / "tokenizer.json").unlink(missing_ok=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
