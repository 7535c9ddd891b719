"""The checkpoints of `benchmarks.gpu`: the embedded one, and random weights in Karlo's and Kandinsky 2.2's sizes.

Each is made in the device's memory, for no disk writes Karlo in seconds, and drawn from by diffusers' pipelines and by
ours, at the same steps and under the same guidance.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    DDPMScheduler,
    KandinskyV22Pipeline,
    KandinskyV22PriorPipeline,
    PriorTransformer,
    UnCLIPPipeline,
    UnCLIPScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from benchmarks import published_sizes as sizes
from benchmarks.text_to_image import PROMPT, diffusers_pipeline
from dalle2.families import EMBEDDED, load
from dalle2.families.description import Description
from dalle2.families.family_model import Checkpoint
from dalle2.families.kandinsky import layout as kandinsky_layout
from dalle2.families.kandinsky.model import KANDINSKY22_SETTINGS, KandinskyModel
from dalle2.families.karlo import layout as karlo_layout
from dalle2.families.karlo.abilities import KARLO_SETTINGS
from dalle2.families.karlo.model import KarloModel
from dalle2.networks.text_projection import TextProjection
from dalle2.settings import Settings

Draw = Callable[[], object]  # one picture
STEPS = 25  # of Kandinsky's decoder, whose authors' 50 take too long here
FEW = 2  # of each stage, in rehearsal
_KARLO_S = {
    "prior": "prior",
    "decoder": "decoder",
    "upsampler": "super_res",
}  # stages, as diffusers' pipeline names them
TINY = {
    "block_out_channels": (32, 32, 64, 64),
    "layers_per_block": 1,
    "sample_size": 16,
    "attention_head_dim": 8,
    "num_attention_heads": 4,
    "num_layers": 1,
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "vocab_size": 6000,
    "image_size": 28,
}


@dataclass(frozen=True)
class Size:
    """A checkpoint's size: its decoder alone, whatever it is conditioned on, and what draws a picture by it.

    `draws` gives diffusers' pipeline first, and then, once that has drawn, ours: it lays networks out otherwise.
    """

    name: str
    decoder: dict[str, Any]
    conditions: Callable[[dict[str, Any], torch.device, torch.dtype], dict[str, Any]]
    draws: Callable[[torch.device, torch.dtype, bool], Generator[Draw]]


def tiny(config: dict[str, Any], wanted: bool = True) -> dict[str, Any]:
    """Return a config with fewer and smaller layers, where that is wanted."""
    return {**config, **{name: value for name, value in TINY.items() if wanted and config.get(name)}}


@contextmanager
def made_on(device: torch.device, dtype: torch.dtype) -> Generator[None]:
    """Have what is made in the block lie on the device, in this precision."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(usual)


def _embedded(device: torch.device, dtype: torch.dtype, small: bool) -> Generator[Draw]:
    yield _by_karlo_s(diffusers_pipeline(None).to(device, dtype), small)
    yield _ours(load(EMBEDDED, device, dtype, engine="torch"), _settings(KARLO_SETTINGS, small))


def _karlo(device: torch.device, dtype: torch.dtype, small: bool) -> Generator[Draw]:
    schedulers = {
        name: UnCLIPScheduler(prediction_type=predicts, variance_type=variance, clip_sample_range=most)
        for name, (predicts, variance, most) in sizes.SCHEDULERS.items()
    }
    tokenizer = _tokenizer()
    with made_on(device, dtype):
        decoder = UNet2DConditionModel(**tiny(sizes.DECODER, small))
        project = {"time_embed_dim": 4 * decoder.config.block_out_channels[0], "cross_attention_dim": 1536}
        upsampler = tiny(sizes.UPSAMPLER, small) | ({"sample_size": 32} if small else {})
        networks = {
            "text_encoder": CLIPTextModelWithProjection(_text(tiny(sizes.TEXT, small))),
            "text_proj": TextProjection(**project),
            "prior": _prior(tiny(sizes.PRIOR21, small)),
            "decoder": decoder,
            "super_res_first": UNet2DModel(**upsampler),
            "super_res_last": UNet2DModel(**upsampler),
        }
    parts = karlo_layout.Parts(
        **{name: one.eval() for name, one in networks.items()}, **schedulers, tokenizer=tokenizer
    )
    pipeline = UnCLIPPipeline(**{**networks, **schedulers, "tokenizer": tokenizer, "text_proj": _as_diffusers(parts)})
    yield _by_karlo_s(pipeline, small)
    settings = _settings(KARLO_SETTINGS, small)
    yield _ours(KarloModel(parts, _checkpoint("karlo", device, dtype, settings), None), settings)


def _kandinsky(device: torch.device, dtype: torch.dtype, small: bool) -> Generator[Draw]:
    with made_on(device, dtype):
        parts = kandinsky_layout.Parts(
            unet=UNet2DConditionModel(**tiny(sizes.UNET22, small)).eval(),
            movq=VQModel(**tiny(sizes.MOVQ, small)).eval(),
            scheduler=DDPMScheduler.from_config(sizes.SCHEDULE22),
            prior_image_encoder=CLIPVisionModelWithProjection(
                CLIPVisionConfig.from_dict(tiny(sizes.VISION22, small) | ({"hidden_size": 64} if small else {}))
            ).eval(),
            prior_image_processor=CLIPImageProcessor(),
            prior_text_encoder=CLIPTextModelWithProjection(_text(tiny(sizes.TEXT22, small))).eval(),
            prior_tokenizer=_tokenizer(),
            prior_prior=_prior(tiny(sizes.PRIOR22, small)).eval(),
            prior_scheduler=UnCLIPScheduler(prediction_type="sample", clip_sample_range=10.0),
        )
    priors = {name: getattr(parts, f"prior_{name}") for name in kandinsky_layout.PRIOR_PARTS}
    prior, decoder = (
        KandinskyV22PriorPipeline(**priors),
        KandinskyV22Pipeline(unet=parts.unet, scheduler=parts.scheduler, movq=parts.movq),
    )
    for pipeline in (prior, decoder):
        pipeline.set_progress_bar_config(disable=True)
    side = parts.unet.config.sample_size * parts.factor
    settings = _settings(KANDINSKY22_SETTINGS.changed({"decoder": {"num_inference_steps": STEPS}}), small)
    first, second = (stage.num_inference_steps for stage in settings.stages.values())
    how = {"num_inference_steps": second, "height": side, "width": side, "output_type": "pt"}
    yield lambda: decoder(**prior(PROMPT, num_inference_steps=first), **how)
    yield _ours(KandinskyModel(parts, _checkpoint("kandinsky", device, dtype, settings)), settings)


def _settings(settings: Settings, small: bool) -> Settings:
    """Return the settings, with few steps where all is small."""
    return settings.changed({stage: {"num_inference_steps": FEW} for stage in settings.stages}) if small else settings


def _by_karlo_s(pipeline: Any, small: bool) -> Draw:
    pipeline.set_progress_bar_config(disable=True)
    stages = _settings(KARLO_SETTINGS, small).stages
    steps = {f"{_KARLO_S[name]}_num_inference_steps": one.num_inference_steps for name, one in stages.items()}
    return lambda: pipeline(PROMPT, output_type="pt", **steps)


def _ours(model: Any, settings: Settings) -> Draw:
    return lambda: model.decode_pixels(model.embed_prompt([PROMPT], [0], settings), [0], [PROMPT], settings)


def _checkpoint(name: str, device: torch.device, dtype: torch.dtype, settings: Settings) -> Checkpoint:
    """Return that of no folder."""
    nowhere: Any = SimpleNamespace(folder=SimpleNamespace(has=lambda _: False), value="")
    return Checkpoint(name, device, dtype, nowhere, Description(settings))


def _tokenizer() -> CLIPTokenizer:
    """Return the embedded one, for texts of 77 tokens."""
    return CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer", model_max_length=77)


def _text(config: dict[str, Any]) -> CLIPTextConfig:
    tokenizer = _tokenizer()
    return CLIPTextConfig(
        **config,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _prior(config: dict[str, Any]) -> PriorTransformer:
    prior = PriorTransformer(**config)
    torch.nn.init.ones_(prior.clip_std)
    return prior


def _as_diffusers(parts: karlo_layout.Parts) -> torch.nn.Module:
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel

    own = parts.text_proj
    theirs = UnCLIPTextProjModel.from_config(own.config).to(own.device, own.dtype).eval()
    theirs.load_state_dict(own.state_dict())
    return theirs


def _karlo_conditions(config: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    tokens = torch.randn(2, 81, config["cross_attention_dim"], device=device, dtype=dtype)
    width = config.get("time_embedding_dim") or 4 * config["block_out_channels"][0]
    added = torch.randn(2, width, device=device, dtype=dtype)
    return {"encoder_hidden_states": tokens, "class_labels": added}


def _kandinsky_conditions(config: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    seen = torch.randn(2, config["encoder_hid_dim"], device=device, dtype=dtype)
    return {"encoder_hidden_states": None, "added_cond_kwargs": {"image_embeds": seen}}


def _embedded_decoder() -> dict[str, Any]:
    config = UNet2DConditionModel.load_config(EMBEDDED / "decoder")
    return {name: value for name, value in config.items() if not name.startswith("_")}


SIZES = (
    Size("Karlo's size", sizes.DECODER, _karlo_conditions, _karlo),
    Size("Kandinsky 2.2's size", sizes.UNET22, _kandinsky_conditions, _kandinsky),
    Size("the embedded checkpoint", _embedded_decoder(), _karlo_conditions, _embedded),
)
