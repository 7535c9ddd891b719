"""Tiny random Kandinsky checkpoints in exactly the published layouts, made without a download."""

import json
from pathlib import Path

import tiny
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    KandinskyInpaintPipeline,
    KandinskyPipeline,
    KandinskyPriorPipeline,
    KandinskyV22InpaintPipeline,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
    UNet2DConditionModel,
    VQModel,
)
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from transformers import XLMRobertaTokenizer

from benchmarks.published_sizes import SCHEDULE22
from dalle2.families.kandinsky import layout

# A tiny vocabulary of XLM-RoBERTa's kind: the special tokens, the beginning of a word, and letters of some languages.
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz", *"котчерный", *"猫黑", "<mask>"]

# As diffusers wrote it then.
PUBLISHED_SCHEDULE = {"_class_name": "DDPMScheduler", "_diffusers_version": "0.17.0.dev0", **SCHEDULE22}


def parts(inpainting: bool = False, seed: int = 0, version: str = "2.2") -> layout.Parts:
    """All parts, random."""
    clip = tiny.parts("epsilon", seed=seed)
    torch.manual_seed(seed)
    text = {} if version == "2.2" else {"text_encoder": multilingual(), "tokenizer": tokenizer()}
    unet, movq = decoder(9 if inpainting else 4, reads=bool(text)), autoencoder()
    with torch.no_grad():  # as `tiny.parts` does, and for the same reason
        unet.conv_out.weight *= tiny.CALM
        movq.decoder.conv_out.weight *= tiny.CALM
    return layout.Parts(
        unet=unet.eval(),
        movq=movq.eval(),
        scheduler=DDIMScheduler.from_config(PUBLISHED_SCHEDULE) if text else scheduler(),
        prior_image_encoder=clip.image_encoder,
        prior_image_processor=clip.feature_extractor,
        prior_text_encoder=clip.text_encoder,
        prior_tokenizer=clip.tokenizer,
        prior_prior=clip.prior,
        prior_scheduler=tiny.scheduler("sample", clip=10.0),
        **text,
    )


def multilingual() -> MultilingualCLIP:
    sizes = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    dims = {"transformerDimensions": 32, "numDims": 32}
    config = MCLIPConfig(**sizes, **dims, vocab_size=len(PIECES), max_position_embeddings=80, pad_token_id=1)
    return MultilingualCLIP(config).eval()


def tokenizer() -> XLMRobertaTokenizer:
    return XLMRobertaTokenizer(vocab=[(piece, -float(rank)) for rank, piece in enumerate(PIECES)], model_max_length=512)


def scheduler(**changes: object) -> DDPMScheduler:
    return DDPMScheduler.from_config({**PUBLISHED_SCHEDULE, **changes})


def decoder(in_channels: int, reads: bool = False, dim: int = 32) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=in_channels,
        out_channels=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(32, 64),
        layers_per_block=1,
        addition_embed_type="text_image" if reads else "image",
        encoder_hid_dim=dim,
        encoder_hid_dim_type="text_image_proj" if reads else "image_proj",
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


def prior_pipeline(made: layout.Parts) -> KandinskyV22PriorPipeline | KandinskyPriorPipeline:
    kind = KandinskyPriorPipeline if made.text_encoder else KandinskyV22PriorPipeline
    pipeline = kind(**{name: getattr(made, f"prior_{name}") for name in layout.PRIOR_PARTS})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def decoder_pipeline(made: layout.Parts) -> DiffusionPipeline:
    kinds = (KandinskyV22Pipeline, KandinskyV22InpaintPipeline, KandinskyPipeline, KandinskyInpaintPipeline)
    text = {name: getattr(made, name) for name in layout.TEXT_PARTS} if made.text_encoder else {}
    kind = kinds[2 * bool(text) + made.repaints]
    pipeline = kind(unet=made.unet, movq=made.movq, scheduler=made.scheduler, **text)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def twins(made: layout.Parts, folder: Path) -> tuple[Path, Path]:
    """Write the two repositories in which Kandinsky is published, named as they are: prior and decoder."""
    name, kind = ("kandinsky-2-1", "DDIMScheduler") if made.text_encoder else ("kandinsky-2-2", "DDPMScheduler")
    prior = folder / f"{name}-prior"
    decoder = folder / f"{name}{'' if made.text_encoder else '-decoder'}{'-inpaint' if made.repaints else ''}"
    prior_pipeline(made).save_pretrained(prior)
    decoder_pipeline(made).save_pretrained(decoder)
    (decoder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({**PUBLISHED_SCHEDULE, "_class_name": kind})
    )
    if made.text_encoder:  # as transformers 4.17 wrote it
        _rewrite(decoder / "text_encoder" / "config.json", {"model_type": "xlm-roberta"})
        text = {
            "text_encoder": ["kandinsky", "MultilingualCLIP"],
            "tokenizer": ["transformers", "XLMRobertaTokenizerFast"],
        }
        _rewrite(decoder / "model_index.json", text)
    # Published tokenizers are vocab.json and merges.txt, and the processor has the name of its time.
    made.prior_tokenizer.backend_tokenizer.model.save(str(prior / "tokenizer"))
    (prior / "tokenizer" / "tokenizer.json").unlink()
    _rewrite(prior / "model_index.json", {"image_processor": ["transformers", "CLIPImageProcessor"]})
    return prior, decoder


def _rewrite(file: Path, changes: dict[str, object]) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
