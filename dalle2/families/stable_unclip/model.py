"""Stable unCLIP's networks as a model: Karlo's diffusion prior, and a latent decoder that reads text too.

The decoder sees embeddings with as much noise as `noise_level` says. The noise belongs to a picture's seed, as all
noise does; where a picture starts from noise that is given, such as an inversion's, there is none in its embedding.
A negative prompt is the decoder's alone, as in diffusers' pipelines.
"""

from collections.abc import Sequence
from functools import cached_property, partial

import torch
from PIL import Image

from dalle2 import images, sampling
from dalle2.families.diffusion import DiffusionStage, Preview, check_rows
from dalle2.families.family_model import Checkpoint, FamilyModel
from dalle2.families.previews import linear_preview
from dalle2.families.priors import diffuse, edit_embedding, nearest
from dalle2.families.stable_unclip import latents as autoencoder
from dalle2.families.stable_unclip.layout import Parts
from dalle2.families.stable_unclip.stages import TextReader, decoder_stage, keep, noised
from dalle2.networks.text_encoder import PromptEncoder
from dalle2.pixels import KnownPixels
from dalle2.settings import DecoderSettings, OnStep, PriorSettings, Settings
from dalle2.unclip_base import Seed, generators


def default_settings(has_prior: bool) -> Settings:
    """Return diffusers' numbers (StableUnCLIPPipeline), with a solver that needs no more steps than these."""
    return Settings(
        prior=PriorSettings(num_inference_steps=25, guidance_scale=4.0) if has_prior else None,
        decoder=DecoderSettings(num_inference_steps=20, guidance_scale=10.0, scheduler="dpm++"),
    )


class StableUnclipModel(FamilyModel[Parts]):
    """The operations on Stable unCLIP's parts."""

    upsampling = 1

    def __init__(self, parts: Parts, checkpoint: Checkpoint) -> None:
        super().__init__(parts, checkpoint)
        self.priors = () if parts.prior is None else ("diffusion",)
        self.noise_levels = parts.image_noising_scheduler.config.num_train_timesteps
        self.picture_size = own = parts.unet.config.sample_size * parts.factor
        # What the network's levels halve without a rest, up to 1024 pixels for the 768 that it was trained on.
        step = parts.factor * 2 ** (len(parts.unet.config.block_out_channels) - 1)
        self.picture_sizes = range(own // 2, own * 4 // 3 + 1, step)
        sees, imagines = parts.image_encoder is not None, bool(self.priors)
        self.capabilities = frozenset(
            ["interpolate", "mix", "inpaint", "outpaint"]
            + (["text_to_image", "steps", "tour"] if imagines else [])
            + (["variations", "reconstruct"] if sees else [])
            + (["text_diff", "dimensions"] if sees and imagines else [])
        )
        self._texts = TextReader(parts.tokenizer, parts.text_encoder)
        parts.unet.to(memory_format=torch.channels_last)

    @cached_property
    def prompts(self) -> PromptEncoder:
        """The prior's reader of prompts."""
        tokenizer, encoder = self.parts.prior_tokenizer, self.parts.prior_text_encoder
        assert tokenizer is not None and encoder is not None, "they come with the prior"
        return PromptEncoder(tokenizer, encoder)

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.require("text_to_image")
        chosen = self.adopt(settings).check_negative(["decoder"]).prior
        assert chosen is not None and self.parts.prior is not None, "what draws from a text has a prior"
        self._require_prior(chosen.kind)
        many = chosen.candidates
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        text = self.prompts.read(prompts, chosen.guided)
        embeddings = diffuse(self.parts.prior, self._prior_schedule, text.repeated(many), chosen, noise, on_step)
        candidates = embeddings.unflatten(0, (-1, many))
        return nearest(candidates, text.embeddings[-len(prompts) :]).float().cpu()

    @torch.no_grad()
    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        self.require("text_to_image")
        return self.prompts.embed(prompts).float().cpu()

    @torch.no_grad()
    def edit_embedding(
        self,
        embedding: torch.Tensor,
        old: str,
        new: str,
        strengths: Sequence[float],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.require("text_diff")
        chosen = self.text_diff_settings(settings).prior
        assert chosen is not None and self.parts.prior is not None, "text_diff_settings refuses settings without one"
        before, after = self.prompts.read([old]), self.prompts.read([new], chosen.guided)
        prior, schedule, start = self.parts.prior, self._prior_schedule, embedding.to(self.device)
        return edit_embedding(prior, schedule, start, (before, after), strengths, chosen, on_step).float().cpu()

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        self.require("variations")
        extractor, encoder = self.parts.feature_extractor, self.parts.image_encoder
        assert extractor is not None and encoder is not None, "the capability says so"
        return self._see(pictures, extractor, encoder).cpu()

    @torch.no_grad()
    def decode_pixels(
        self,
        embeddings: torch.Tensor,
        seeds: Sequence[Seed],
        prompts: Sequence[str] | None = None,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        noise: torch.Tensor | None = None,
        known: KnownPixels | None = None,
    ) -> torch.Tensor:
        chosen = self.adopt(settings)
        check_rows(embeddings, prompts, len(seeds), self.parts.dim)
        generator, hold = generators(seeds), None
        if known is not None:
            hold = partial(keep, latents=autoencoder.encode(self.parts.vae, known.pixels), known=known)
        start = blur = None
        if noise is not None:
            start = noise.expand(len(seeds), -1, -1, -1).to(self.device)
        else:
            blur = sampling.draw_noise((self.parts.dim,), generator, self.device)
        stage = self._decoder(embeddings, prompts, chosen, blur)
        drawn = stage.draw(chosen.decoder, generator, self.device, on_step, start, hold)
        return autoencoder.decode(self.parts.vae, drawn).cpu()

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
        chosen = self.inversion_settings(settings)
        check_rows(embeddings, prompts, len(pictures), self.parts.dim)
        stage = self._decoder(embeddings, prompts, chosen, None)
        pixels = images.to_tensor([images.square(images.to_rgb(picture), self.side(chosen)) for picture in pictures])
        clean = autoencoder.encode(self.parts.vae, pixels)
        return stage.invert(chosen.decoder, clean, on_step, refinements).cpu()

    def _decoder(
        self, embeddings: torch.Tensor, prompts: Sequence[str] | None, settings: Settings, blur: torch.Tensor | None
    ) -> DiffusionStage:
        """Return the decoder for these pictures, whose embeddings get the noise `blur` (n, dim), if any."""
        rows = embeddings.to(self.device)
        seen = noised(self.parts, rows, settings.decoder.noise_level, torch.zeros_like(rows) if blur is None else blur)
        texts = list(prompts or [""] * len(rows))
        tokens = self._texts.read(texts, settings.decoder.guided, settings.negative_prompt)
        side = self.side(settings) // self.parts.factor
        shape = (self.parts.vae.config.latent_channels, side, side)
        return decoder_stage(self.parts, seen, tokens, shape, lambda: self._preview)

    @cached_property
    def _preview(self) -> Preview:
        return linear_preview(partial(autoencoder.encode, self.parts.vae))

    @property
    def _prior_schedule(self):
        assert self.parts.prior_scheduler is not None, "it comes with the prior"
        return self.parts.prior_scheduler.config
