"""The family in Karlo's layout: the embedded checkpoint and `kakaobrain/karlo-v1-alpha` are both of it.

Prior, text projection, decoder and a two-part upsampler, on diffusers' and transformers' networks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
from PIL import Image
from transformers import CLIPTokenizer

from dalle2 import images, sampling
from dalle2.families import layout
from dalle2.families.folder import CheckpointFolder, Fingerprint
from dalle2.model import Seed, UnclipModel, generators
from dalle2.settings import OnStep, Settings, StageSettings, Step

KARLO_SETTINGS = Settings(
    prior=StageSettings(num_inference_steps=25, guidance_scale=4.0),
    decoder=StageSettings(num_inference_steps=25, guidance_scale=8.0),
    upsampler=StageSettings(num_inference_steps=7),
)


@dataclass(frozen=True)
class Text:
    """Encoded prompts: CLIP embeddings (n, dim), tokens (n, length, dim), and which are text (n, length)."""

    embeddings: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Stage:
    """What the loop needs of one stage, whoever draws."""

    name: str
    network: sampling.Network
    scheduler_config: Mapping[str, Any]
    shape: tuple[int, ...]  # of one row
    ends_at_zero: bool = False


def load(folder: CheckpointFolder, source: str, device: torch.device, compile: bool) -> "Unclip":
    """Open a checkpoint folder and put it on the device; ValueError says what is wrong with it."""
    parts = layout.read(folder)
    model = Unclip(parts, source, device, folder.dtype, Fingerprint(folder, tuple(parts.present())))
    if (folder.path / "dalle2.json").exists():
        description = folder.read_json("dalle2.json")
        try:
            model.describe(description)
        except ValueError as error:
            raise ValueError(f"{folder.path / 'dalle2.json'}: {error}") from error
    if compile:
        for name in ("prior", "decoder", "super_res_first", "super_res_last"):
            if name in parts.present():
                getattr(parts, name).compile()
    return model


def save(model: "Unclip", folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as a checkpoint folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = {"settings": model.settings.to_dict(), "styles": model.styles, "examples": model.examples}
    return layout.write(model.parts, folder, description, dtype)


class Unclip(UnclipModel):
    """The three verbs on Karlo's parts."""

    def __init__(
        self,
        parts: layout.Parts,
        checkpoint: str,
        device: torch.device,
        dtype: torch.dtype,
        fingerprint: Fingerprint,
    ) -> None:
        self.parts = parts
        self.checkpoint = checkpoint
        self.device = device
        self.dtype = dtype
        self.settings = KARLO_SETTINGS
        self.styles: tuple[str, ...] = ()
        self.examples: tuple[str, ...] = ()
        self.picture_size = parts.super_res_last.config.sample_size
        self.capabilities = frozenset(
            (["text_to_image"] if parts.prior else [])
            + (["variations"] if parts.image_encoder else [])
            + ["interpolation", "mix"]
        )
        self._fingerprint = fingerprint
        # A tokenizer without a configured length says 10^30.
        positions = parts.text_encoder.config.max_position_embeddings
        self._context = min(parts.tokenizer.model_max_length, positions)
        self._plain_tokenizer = _plain(parts.tokenizer)
        for part in parts.present().values():
            if isinstance(part, torch.nn.Module):
                part.to(device)
        for network in (parts.decoder, parts.super_res_first, parts.super_res_last):
            network.to(memory_format=torch.channels_last)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Take over the checkpoint's own defaults, styles and example prompts (its dalle2.json)."""
        known = ("settings", "styles", "examples", "recipe")  # the recipe is for those who train on
        if unknown := sorted(set(description) - set(known)):
            raise ValueError(f"{unknown[0]!r} is unknown; known are {', '.join(known)}.")
        if "settings" in description:
            self.settings = Settings.from_dict(description["settings"])
        self.styles = tuple(description.get("styles", ()))
        self.examples = tuple(description.get("examples", ()))

    @property
    def checkpoint_hash(self) -> str:
        return self._fingerprint.value

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self._require("text_to_image")
        chosen = (settings or self.settings).prior
        prior = self.parts.prior
        text = self._encode(prompts, chosen.guidance_scale != 1)
        conditions = {
            "proj_embedding": text.embeddings,
            "encoder_hidden_states": text.tokens,
            "attention_mask": text.mask,
        }

        def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
            return prior(x.to(self.dtype), t, **conditions).predicted_image_embedding

        stage = Stage("prior", network, self.parts.prior_scheduler.config, (prior.config.embedding_dim,))
        normed = self._denoise(stage, chosen, conditions, generators(seeds), on_step)
        # The prior works on embeddings of mean 0 and deviation 1; the decoder knows CLIP's own.
        return (normed * prior.clip_std.float() + prior.clip_mean.float()).cpu()

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self._require("variations")
        pictures = [images.to_rgb(picture) for picture in pictures]
        pixels = self.parts.feature_extractor(images=pictures, return_tensors="pt").pixel_values
        return self.parts.image_encoder(pixels.to(self.device, self.dtype)).image_embeds.float().cpu()

    @torch.no_grad()
    def decode_pixels(
        self,
        embeddings: torch.Tensor,
        seeds: Sequence[Seed],
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        chosen = settings or self.settings
        dim = self.parts.text_proj.config.clip_embeddings_dim
        if prompts is not None and len(prompts) != len(seeds):
            raise ValueError(f"decode takes as many prompts as seeds, not {len(prompts)} and {len(seeds)}.")
        if embeddings.ndim != 2 or embeddings.shape[1] != dim or len(embeddings) != len(seeds):
            raise ValueError(
                f"decode takes embeddings of the shape ({len(seeds)}, {dim}), one row for each seed, "
                f"not {tuple(embeddings.shape)}."
            )
        noise = generators(seeds)
        small = self._draw_small(embeddings, prompts or [""] * len(seeds), chosen.decoder, noise, on_step)
        return self._upsample(small.clamp(-1, 1), chosen.upsampler, noise, on_step).cpu()

    def _draw_small(
        self,
        embeddings: torch.Tensor,
        prompts: Sequence[str],
        settings: StageSettings,
        noise: list[torch.Generator],
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Embeddings (n, dim) -> small pictures (n, 3, size, size): the decoder."""
        decoder, project = self.parts.decoder, self.parts.text_proj
        guided = settings.guidance_scale != 1
        text = self._encode(prompts, guided)
        embeddings = embeddings.to(self.device, self.dtype)
        if guided:
            blind = project.learned_classifier_free_guidance_embeddings.expand_as(embeddings)
            embeddings = torch.cat([blind, embeddings])
        context, addition = project(embeddings, text.embeddings, text.tokens)
        extra = project.config.clip_extra_context_tokens
        conditions = {
            "encoder_hidden_states": context,
            "class_labels": addition,
            "attention_mask": torch.nn.functional.pad(text.mask, (extra, 0), value=True),
        }

        def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
            return decoder(x.to(self.dtype), t, **conditions).sample

        size = decoder.config.sample_size
        shape = (decoder.config.in_channels, size, size)
        stage = Stage("decoder", network, self.parts.decoder_scheduler.config, shape)
        return self._denoise(stage, settings, conditions, noise, on_step)

    def _upsample(
        self,
        small: torch.Tensor,
        settings: StageSettings,
        noise: list[torch.Generator],
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Small pictures (n, 3, s, s) -> (n, 3, size, size): one network for most steps, one for the last."""
        first, last = self.parts.super_res_first, self.parts.super_res_last
        size = self.picture_size
        # In float32 also because this resize does not exist in half precision on a CPU.
        large = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic", antialias=True)

        def network(x: torch.Tensor, t: torch.Tensor, low_resolution: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, low_resolution], dim=1).to(self.dtype)
            return (first if t > 0 else last)(both, t).sample

        shape = (first.config.in_channels // 2, size, size)
        config = self.parts.super_res_scheduler.config
        stage = Stage("upsampler", network, config, shape, ends_at_zero=True)
        return self._denoise(stage, settings, {"low_resolution": large}, noise, on_step)

    def _denoise(
        self,
        stage: Stage,
        settings: StageSettings,
        conditions: Mapping[str, torch.Tensor],
        noise: list[torch.Generator],
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Run one stage from its noise to its result (n, *stage.shape)."""
        steps = settings.num_inference_steps
        scheduler = sampling.build_scheduler(stage.scheduler_config, settings.scheduler, steps, stage.ends_at_zero)
        guided = sampling.guided_timesteps(scheduler.timesteps, settings.guidance_interval)
        predict = sampling.guide(stage.network, conditions, settings.guidance_scale, guided)
        denoise = sampling.clean_predictions(predict, scheduler, stage.scheduler_config)

        def report(index: int, total: int, clean: torch.Tensor) -> None:
            if on_step is None:
                return
            drawn = list if stage.name == "prior" else lambda: images.to_pictures(clean)
            on_step(Step(stage.name, index, total, drawn))

        start = sampling.draw_noise(stage.shape, noise, self.device)
        return sampling.sample(denoise, scheduler, start, noise, report)

    def _encode(self, prompts: Sequence[str], guided: bool) -> Text:
        """Encode the prompts; when guided, as many empty ones stand before them."""
        length, pad = self._context, self.parts.tokenizer.pad_token_id
        rows = [self._tokenize(prompt) for prompt in [""] * len(prompts) * guided + list(prompts)]
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=self.device)
        mask = torch.tensor([[i < len(row) for i in range(length)] for row in rows], device=self.device)
        # In batches of one size, for a matrix product of another size rounds otherwise.
        encoded = [self.parts.text_encoder(batch) for batch in ids.split(len(prompts))]
        embeddings = torch.cat([output.text_embeds for output in encoded])
        return Text(embeddings, torch.cat([output.last_hidden_state for output in encoded]), mask)

    def _tokenize(self, prompt: str) -> list[int]:
        """A prompt's ids between the start and the end token, cut so that both fit into the context."""
        ids = self._plain_tokenizer.encode(prompt, add_special_tokens=False).ids[: self._context - 2]
        return [self.parts.tokenizer.bos_token_id, *ids, self.parts.tokenizer.eos_token_id]


def _plain(tokenizer: CLIPTokenizer) -> tokenizers.Tokenizer:
    """The tokenizer without special tokens.

    Karlo pads with "!", and made a special token of it: a "!" in a prompt would become padding that the mask
    keeps.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}
    return tokenizers.Tokenizer.from_str(json.dumps(backend))
