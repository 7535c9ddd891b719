"""The family in Karlo's layout: the embedded checkpoint and `kakaobrain/karlo-v1-alpha` are both of it.

Prior, text projection, decoder and a two-part upsampler, on diffusers' and transformers' networks.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
from PIL import Image
from transformers import CLIPTokenizer

from dalle2 import images, sampling
from dalle2.datasets.phrases import Phrases
from dalle2.ddim import DDIMScheduler, invert
from dalle2.families import layout
from dalle2.families.attention import watched
from dalle2.families.folder import CheckpointFolder, Fingerprint
from dalle2.model import UnclipModel
from dalle2.settings import OnStep, Settings, StageSettings, Step
from dalle2.verbs import Attention, Kept, Seed, generators

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
    names = [*parts.present(), *(name for name in layout.OTHER_PRIORS if folder.has(name))]
    model = Unclip(parts, source, device, folder.dtype, Fingerprint(folder, tuple(names)))
    if (folder.path / "dalle2.json").exists():
        description = folder.read_json("dalle2.json")
        try:
            model.describe(description)
        except ValueError as error:
            raise ValueError(f"{folder.path / 'dalle2.json'}: {error}") from error
    model.speak(Phrases.read(folder.path))
    if compile:
        for name in ("prior", "decoder", "super_res_first", "super_res_last"):
            if name in parts.present():
                getattr(parts, name).compile()
    return model


def save(model: "Unclip", folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write the model as a checkpoint folder, its weights in `dtype` or as they are; see `layout.write`."""
    description = {"settings": model.settings.to_dict(), "styles": model.styles, "examples": model.examples}
    for kind in model.priors:
        model.prior(kind)  # read what nobody asked for yet
    return layout.write(model.parts, folder, description, dtype, model.phrases)


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
        self.priors = tuple(kind for kind, name in layout.PRIORS.items() if fingerprint.folder.has(name))
        self.capabilities = frozenset(
            (["text_to_image"] if self.priors else [])
            + (["variations"] if parts.image_encoder else [])
            + (["inversion", "text_diff"] if parts.image_encoder else [])
            + (["attention"] if self.priors else [])
            + ["enhancement", "inpainting", "interpolation", "mix"]
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

    def speak(self, phrases: Phrases | None) -> None:
        """Describe pictures by these words."""
        self.phrases = phrases
        if phrases is not None and self.parts.image_encoder:
            self.capabilities |= {"captioning"}

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
        self.require("text_to_image")
        chosen = (settings or self.settings).prior
        many = chosen.candidates
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        wanted, prompts = prompts, [prompt for prompt in prompts for _ in range(many)]
        match chosen.kind:
            case "diffusion":
                embeddings = self._diffuse(prompts, noise, chosen, on_step)
            case "autoregressive":
                embeddings = self._draw_codes(prompts, noise, chosen, on_step)
            case "linear":
                text = self._encode(prompts, guided=False)
                embeddings = self.prior("linear")(text.embeddings, text.tokens, text.mask)
                if on_step:
                    on_step(Step("prior", 1, 1))
        embeddings = embeddings.float().cpu()
        if many == 1:
            return embeddings
        # The paper compares by the dot product, of embeddings of one length; ours have none in common.
        texts = self.embed_text(wanted)[:, None]
        nearness = torch.nn.functional.cosine_similarity(embeddings.unflatten(0, (-1, many)), texts, dim=-1)
        return embeddings.unflatten(0, (-1, many))[torch.arange(len(wanted)), nearness.argmax(1)]

    @torch.no_grad()
    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        # Attention looks back only, so what follows the end changes nothing: no more of it than the longest needs.
        rows = [self._tokenize(prompt) for prompt in prompts]
        length, pad = max(map(len, rows)), self.parts.tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows], device=self.device)
        return self.parts.text_encoder(ids).text_embeds.float().cpu()

    def prior(self, kind: str) -> torch.nn.Module:
        """The prior of this kind, read when it is first asked for; ValueError when the checkpoint has none."""
        self._require_prior(kind)
        name = layout.PRIORS[kind]
        if getattr(self.parts, name) is None:
            read = layout.read_prior(self._fingerprint.folder, name, self.parts)
            setattr(self.parts, name, read.to(self.device))
        return getattr(self.parts, name)

    def _diffuse(
        self,
        prompts: Sequence[str],
        noise: list[torch.Generator],
        settings: StageSettings,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Prompts -> image embeddings (n, dim): the diffusion prior."""
        prior = self.prior("diffusion")
        text = self._encode(prompts, settings.guidance_scale != 1)
        conditions = {
            "proj_embedding": text.embeddings,
            "encoder_hidden_states": text.tokens,
            "attention_mask": text.mask,
        }

        def network(x: torch.Tensor, t: torch.Tensor, **conditions: torch.Tensor) -> torch.Tensor:
            return prior(x.to(self.dtype), t, **conditions).predicted_image_embedding

        stage = Stage("prior", network, self.parts.prior_scheduler.config, (prior.config.embedding_dim,))
        normed = self._denoise(stage, settings, conditions, noise, on_step)
        # The prior works on embeddings of mean 0 and deviation 1; the decoder knows CLIP's own.
        return normed * prior.clip_std.float() + prior.clip_mean.float()

    def _draw_codes(
        self,
        prompts: Sequence[str],
        noise: list[torch.Generator],
        settings: StageSettings,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """Prompts -> image embeddings (n, dim): the autoregressive prior."""
        prior = self.prior("autoregressive")
        text = self._encode(prompts, settings.guidance_scale != 1)
        components = prior.config.components
        uniforms = torch.stack([torch.rand(1 + components, generator=generator) for generator in noise])
        guided = sampling.guided_timesteps(torch.arange(components), settings.guidance_interval)

        def report(index: int, total: int) -> None:
            if on_step:
                on_step(Step("prior", index, total))

        codes = prior.sample(
            (text.embeddings, text.tokens, text.mask),
            uniforms.to(self.device),
            settings.guidance_scale,
            guided,
            report,
        )
        return prior.codebook.decode(codes)

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self.require("variations")
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
        noise: torch.Tensor | None = None,
        kept: Kept | None = None,
    ) -> torch.Tensor:
        chosen = settings or self.settings
        self._check_rows(embeddings, seeds, prompts)
        generator = generators(seeds)
        stage, conditions = self._decoder(embeddings, prompts or [""] * len(seeds), chosen.decoder)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1).to(self.device)
        small = self._denoise(stage, chosen.decoder, conditions, generator, on_step, start, kept)
        stage, conditions = self._upsampler(small.clamp(-1, 1))
        return self._denoise(stage, chosen.upsampler, conditions, generator, on_step, None, kept).cpu()

    @torch.no_grad()
    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        stage, conditions = self._upsampler(small.to(self.device))
        return self._denoise(stage, (settings or self.settings).upsampler, conditions, generators(seeds), on_step).cpu()

    @torch.no_grad()
    def invert(
        self,
        pictures: Sequence[Image.Image],
        embeddings: torch.Tensor,
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        refinements: int = 1,
    ) -> torch.Tensor:
        self.require("inversion")
        chosen = self.retracing(settings).decoder
        self._check_rows(embeddings, pictures, prompts)
        stage, conditions = self._decoder(embeddings, prompts or [""] * len(pictures), chosen)
        config = stage.scheduler_config
        scheduler = sampling.build_scheduler(config, chosen.scheduler, chosen.num_inference_steps)
        assert isinstance(scheduler, DDIMScheduler)
        predict = sampling.guide(stage.network, conditions, chosen.guidance_scale, set())
        denoise = sampling.clean_predictions(predict, scheduler, config)
        small = images.to_tensor([images.square(images.to_rgb(picture), stage.shape[-1]) for picture in pictures])
        report = _reporter("inversion", on_step)
        return invert(denoise, scheduler, small.to(self.device), report, refinements).cpu()

    def attend(
        self,
        prompt: str,
        seed: int,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> tuple[Image.Image, Attention]:
        self.require("attention")
        noise = generators([seed])
        embedding = self.embed_prompt([prompt], noise, settings, on_step)
        extra = self.parts.text_proj.config.clip_extra_context_tokens
        with watched(self.parts.decoder, extra + self._context) as gaze:
            (picture,) = self.decode(embedding, noise, [prompt], settings, on_step)
        read = self._plain_tokenizer.encode(prompt, add_special_tokens=False)
        places: dict[int, list[int]] = {}  # of each word's tokens in the context, after the start token
        for place, word in enumerate(read.word_ids[: self._context - 2]):
            places.setdefault(word, []).append(extra + 1 + place)
        spans = [read.word_to_chars(word) for word in places]
        maps = torch.stack([gaze.maps()[tokens].sum(0) for tokens in places.values()])
        return picture, Attention(tuple(prompt[first:last] for first, last in spans), maps)

    def _check_rows(self, embeddings: torch.Tensor, seeds: Sequence[object], prompts: Sequence[str] | None) -> None:
        """ValueError unless there are as many embeddings, and prompts if any, as pictures."""
        dim = self.parts.text_proj.config.clip_embeddings_dim
        if prompts is not None and len(prompts) != len(seeds):
            raise ValueError(f"decode takes as many prompts as seeds, not {len(prompts)} and {len(seeds)}.")
        if embeddings.ndim != 2 or embeddings.shape[1] != dim or len(embeddings) != len(seeds):
            raise ValueError(
                f"decode takes embeddings of the shape ({len(seeds)}, {dim}), one row for each seed, "
                f"not {tuple(embeddings.shape)}."
            )

    def _decoder(
        self, embeddings: torch.Tensor, prompts: Sequence[str], settings: StageSettings
    ) -> tuple[Stage, dict[str, torch.Tensor]]:
        """The stage that draws small pictures (n, 3, size, size), and its conditions."""
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
        return Stage("decoder", network, self.parts.decoder_scheduler.config, shape), conditions

    def _upsampler(self, small: torch.Tensor) -> tuple[Stage, dict[str, torch.Tensor]]:
        """The stage that enlarges (n, 3, s, s): one network for most steps, one for the last; and its conditions."""
        first, last = self.parts.super_res_first, self.parts.super_res_last
        size = self.picture_size
        # In float32 also because this resize does not exist in half precision on a CPU.
        large = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic", antialias=True)

        def network(x: torch.Tensor, t: torch.Tensor, low_resolution: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, low_resolution], dim=1).to(self.dtype)
            return (first if t > 0 else last)(both, t).sample

        shape = (first.config.in_channels // 2, size, size)
        stage = Stage("upsampler", network, self.parts.super_res_scheduler.config, shape, ends_at_zero=True)
        return stage, {"low_resolution": large}

    def _denoise(
        self,
        stage: Stage,
        settings: StageSettings,
        conditions: Mapping[str, torch.Tensor],
        noise: list[torch.Generator],
        on_step: OnStep | None,
        start: torch.Tensor | None = None,
        kept: Kept | None = None,
    ) -> torch.Tensor:
        """Run one stage from its noise, or from `start`, to its result (n, *stage.shape)."""
        scheduler = sampling.build_scheduler(
            stage.scheduler_config, settings.scheduler, settings.num_inference_steps, stage.ends_at_zero, settings.eta
        )
        guided = sampling.guided_timesteps(scheduler.timesteps, settings.guidance_interval)
        predict = sampling.guide(stage.network, conditions, settings.guidance_scale, guided)
        denoise = sampling.clean_predictions(predict, scheduler, stage.scheduler_config)

        if kept is not None:
            side = stage.shape[-1]
            # A small pixel is kept only where nothing of what it stands for is repainted.
            repaint = torch.nn.functional.adaptive_max_pool2d(kept.repaint, side).to(self.device)
            pixels = torch.nn.functional.interpolate(kept.pixels, size=(side, side), mode="area").to(self.device)
            denoise = sampling.keep(denoise, pixels, repaint)
        if start is None:
            start = sampling.draw_noise(stage.shape, noise, self.device)
        return sampling.sample(denoise, scheduler, start, noise, _reporter(stage.name, on_step), settings.times)

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


def _reporter(stage: str, on_step: OnStep | None) -> Callable[[int, int, torch.Tensor], None]:
    """What tells `on_step` of a stage's steps, with the clean pictures where there are any."""

    def report(index: int, total: int, clean: torch.Tensor) -> None:
        if on_step is not None:
            on_step(Step(stage, index, total, list if stage == "prior" else lambda: images.to_pictures(clean)))

    return report


def _plain(tokenizer: CLIPTokenizer) -> tokenizers.Tokenizer:
    """The tokenizer without special tokens.

    Karlo pads with "!", and made a special token of it: a "!" in a prompt would become padding that the mask
    keeps.
    """
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend |= {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}
    return tokenizers.Tokenizer.from_str(json.dumps(backend))
