"""The family in Karlo's layout: the embedded checkpoint and `kakaobrain/karlo-v1-alpha` are both of it.

Prior, text projection, decoder and a two-part upsampler, on diffusers' and transformers' networks.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from dalle2 import images
from dalle2.datasets.phrases import Phrases
from dalle2.ddim import DDIMScheduler, invert
from dalle2.families.checkpoint_folder import Fingerprint
from dalle2.families.diffusion import Stage, reporter
from dalle2.families.karlo import layout, priors
from dalle2.families.karlo.attention import watched
from dalle2.finiteness import check_finite
from dalle2.model import UnclipModel
from dalle2.networks.text_encoder import Reader
from dalle2.settings import DecoderSettings, OnStep, PriorSettings, Settings, Step, UpsamplerSettings
from dalle2.understanding.interpreter import Interpreter
from dalle2.verbs import Attention, Kept, Seed, generators

KARLO_SETTINGS = Settings(
    prior=PriorSettings(num_inference_steps=25, guidance_scale=4.0),
    decoder=DecoderSettings(num_inference_steps=25, guidance_scale=8.0),
    upsampler=UpsamplerSettings(num_inference_steps=7),
)


class KarloModel(UnclipModel):
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
        self.subject: dict[str, str] = {}
        self.picture_size = parts.super_res_last.config.sample_size
        self.priors = tuple(kind for kind, name in layout.PRIORS.items() if fingerprint.folder.has(name))
        self.capabilities = frozenset(
            (["text_to_image", "steps", "attention"] if self.priors else [])
            + (["variations", "reconstruct", "text_diff", "dimensions"] if parts.image_encoder else [])
            + ["enhance", "inpaint", "interpolate", "mix", "outpaint"]
        )
        self._fingerprint = fingerprint
        self.reader = Reader(parts.tokenizer, parts.text_encoder)
        for part in parts.present().values():
            if isinstance(part, torch.nn.Module):
                part.to(device)
        for network in (parts.decoder, parts.super_res_first, parts.super_res_last):
            network.to(memory_format=torch.channels_last)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Take over the checkpoint's own defaults, styles and example prompts (its dalle2.json)."""
        known = ("settings", "styles", "examples", "subject", "recipe")  # the recipe is for those who train on
        if unknown := sorted(set(description) - set(known)):
            raise ValueError(f"{unknown[0]!r} is unknown; known are {', '.join(known)}.")
        if "settings" in description:
            self.settings = Settings.from_dict(description["settings"])
        self.styles = tuple(description.get("styles", ()))
        self.examples = tuple(description.get("examples", ()))
        subject = description.get("subject", {})
        if not isinstance(subject, dict) or not all(isinstance(words, str) for words in subject.values()):
            raise ValueError('\'subject\' must be a table of languages, as {"en": "emoji"}.')
        self.subject = dict(subject)

    def speak(self, phrases: Phrases | None) -> None:
        """Describe pictures by these words."""
        self.phrases = phrases
        if phrases is not None and self.parts.image_encoder:
            self.capabilities |= {"caption"}

    @cached_property
    def interpreter(self) -> Interpreter | None:
        """What prompts are understood with, read when the first one comes; None where there is no vocabulary."""
        return Interpreter.of(self._fingerprint.folder.path, self.styles)

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
        settings = settings or self.settings
        chosen = settings.prior
        many, prior = chosen.candidates, self.prior(chosen.kind)
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        read = self.reader.read(prompts, chosen.guided, settings.negative_prompt)
        text = read.repeated(many)
        match chosen.kind:
            case "diffusion":
                scheduler = self.parts.prior_scheduler.config
                embeddings = priors.diffuse(prior, scheduler, text, chosen, noise, on_step)
            case "autoregressive":
                embeddings = priors.draw_codes(prior, text, chosen, noise, on_step)
            case "linear":
                embeddings = priors.expect(prior, text, on_step)
        candidates = embeddings.unflatten(0, (-1, many))
        return priors.nearest(candidates, read.embeddings[-len(prompts) :]).float().cpu()

    @torch.no_grad()
    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        return self.reader.embed(prompts).float().cpu()

    @torch.no_grad()
    def reword(
        self,
        embedding: torch.Tensor,
        old: str,
        new: str,
        strengths: Sequence[float],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.require("text_diff")
        chosen = self.rewording(settings)
        prior, scheduler = self.prior("diffusion"), self.parts.prior_scheduler.config
        before = self.reader.read([old])
        after = self.reader.read([new], chosen.prior.guided, chosen.negative_prompt)
        rows, embedding = [], embedding.to(self.device)
        for index, strength in enumerate(strengths):
            rows.append(priors.reword(prior, scheduler, embedding, before, after, strength, chosen.prior))
            if on_step:
                on_step(Step("prior", index + 1, len(strengths)))
        return torch.cat(rows).float().cpu()

    def prior(self, kind: str) -> torch.nn.Module:
        """The prior of this kind, read when it is first asked for; ValueError when the checkpoint has none."""
        self._require_prior(kind)
        name = layout.PRIORS[kind]
        if getattr(self.parts, name) is None:
            read = layout.read_prior(self._fingerprint.folder, name, self.parts)
            setattr(self.parts, name, read.to(self.device))
        return getattr(self.parts, name)

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self.require("variations")
        pictures = [images.to_rgb(picture) for picture in pictures]
        pixels = self.parts.feature_extractor(images=pictures, return_tensors="pt").pixel_values
        embeddings = self.parts.image_encoder(pixels.to(self.device, self.dtype)).image_embeds
        return check_finite(embeddings, "image encoder").float().cpu()

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
        decoder = self._decoder(embeddings, prompts or [""] * len(seeds), chosen)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1).to(self.device)
        small = decoder.draw(chosen.decoder, generator, self.device, on_step, start, kept)
        upsampler = self._upsampler(small.clamp(-1, 1))
        return upsampler.draw(chosen.upsampler, generator, self.device, on_step, kept=kept).cpu()

    @torch.no_grad()
    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        side: int | None = None,
    ) -> torch.Tensor:
        chosen = (settings or self.settings).upsampler
        stage = self._upsampler(small.to(self.device), side)
        return stage.draw(chosen, generators(seeds), self.device, on_step).cpu()

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
        self.require("reconstruct")
        chosen = self.retracing(settings)
        self._check_rows(embeddings, pictures, prompts)
        stage = self._decoder(embeddings, prompts or [""] * len(pictures), chosen)
        denoise, scheduler = stage.denoiser(chosen.decoder)
        assert isinstance(scheduler, DDIMScheduler)
        small = images.to_tensor([images.square(images.to_rgb(picture), stage.shape[-1]) for picture in pictures])
        return invert(denoise, scheduler, small.to(self.device), reporter("inversion", on_step), refinements).cpu()

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
        with watched(self.parts.decoder, extra + self.reader.context) as gaze:
            (picture,) = self.decode(embedding, noise, [prompt], settings, on_step)
        words = self.reader.words(prompt)
        maps = torch.stack([gaze.maps()[extra:][places].sum(0) for _, places in words])
        return picture, Attention(tuple(word for word, _ in words), maps)

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
        if not torch.isfinite(embeddings).all():
            raise ValueError("decode takes embeddings of finite numbers only.")

    def _decoder(self, embeddings: torch.Tensor, prompts: Sequence[str], settings: Settings) -> Stage:
        """The stage that draws small pictures (n, 3, size, size)."""
        decoder, project = self.parts.decoder, self.parts.text_proj
        text = self.reader.read(prompts, settings.decoder.guided, settings.negative_prompt)
        embeddings = embeddings.to(self.device, self.dtype)
        if settings.decoder.guided:  # the blind half sees no embedding, and of text the negative prompt at most
            blind = project.learned_classifier_free_guidance_embeddings.expand_as(embeddings)
            embeddings = torch.cat([blind, embeddings])
        read = project(embeddings, text.embeddings, text.tokens)
        context, addition = (check_finite(values, "text projection") for values in read)
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
        return Stage("decoder", network, conditions, self.parts.decoder_scheduler.config, shape)

    def _upsampler(self, small: torch.Tensor, side: int | None = None) -> Stage:
        """The stage that enlarges (n, 3, s, s): one network for most steps, one for the last."""
        first, last = self.parts.super_res_first, self.parts.super_res_last
        size = side or self.picture_size
        # In float32 also because this resize does not exist in half precision on a CPU.
        large = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic", antialias=True)

        def network(x: torch.Tensor, t: torch.Tensor, low_resolution: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, low_resolution], dim=1).to(self.dtype)
            return (first if t > 0 else last)(both, t).sample

        shape = (first.config.in_channels // 2, size, size)
        config = self.parts.super_res_scheduler.config
        return Stage("upsampler", network, {"low_resolution": large}, config, shape, ends_at_zero=True)
