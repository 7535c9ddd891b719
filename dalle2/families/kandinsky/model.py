"""Kandinsky's networks as a model: a prior, and a latent decoder that sees the embedding, and in 2.1 the text too.

The decoder's unconditional half sees the embedding of a picture without content, all zeros before CLIP's image
encoder, or where there is a negative prompt, even an empty one, what the prior makes of it.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image

from dalle2 import images
from dalle2.families.diffusion import DiffusionStage, Preview, check_rows
from dalle2.families.family_model import Checkpoint, FamilyModel
from dalle2.families.kandinsky import movq
from dalle2.families.kandinsky.layout import Parts
from dalle2.families.kandinsky.stages import Canvas, decoder_stage
from dalle2.families.kandinsky.text import MultilingualReader
from dalle2.families.previews import linear_preview
from dalle2.families.priors import diffuse, draw_once, edit_embedding, nearest
from dalle2.networks.text_encoder import PromptEncoder
from dalle2.pixels import KnownPixels
from dalle2.settings import OnStep, Settings
from dalle2.stage_settings import DecoderSettings, PriorSettings
from dalle2.unclip_base import Seed, generators

# Those of the pipelines' authors (ai-forever/Kandinsky-2, kandinsky2/kandinsky2_2_model.py); diffusers takes 100 steps.
KANDINSKY22_SETTINGS = Settings(
    prior=PriorSettings(num_inference_steps=25, guidance_scale=4.0),
    decoder=DecoderSettings(num_inference_steps=50, guidance_scale=4.0, scheduler="ddpm"),
)


KANDINSKY21_SETTINGS = KANDINSKY22_SETTINGS.changed({"decoder": {"scheduler": "ddim"}})


class KandinskyModel(FamilyModel[Parts]):
    """The operations on Kandinsky's parts."""

    upsampling = 1
    phrases = None

    def __init__(self, parts: Parts, checkpoint: Checkpoint) -> None:
        super().__init__(parts, checkpoint)
        self.priors = tuple(parts.priors)
        self.picture_size = own = parts.unet.config.sample_size * parts.factor
        # What diffusers' pipelines round to; far from what they were trained at, pictures fall apart.
        self.picture_sizes = range(own // 2, 2 * own + 1, parts.factor**2)
        self.capabilities = frozenset(
            [
                "text_to_image",
                "steps",
                "tour",
                "variations",
                "interpolate",
                "mix",
                "reconstruct",
                "text_diff",
                "dimensions",
            ]
            + (["inpaint", "outpaint"] if parts.repaints else [])
        )
        self.inpaints = parts.repaints
        self.prompts = PromptEncoder(parts.prior_tokenizer, parts.prior_text_encoder)
        self._reader = None
        if parts.text_encoder is not None and parts.tokenizer is not None:
            self._reader = MultilingualReader(parts.tokenizer, parts.text_encoder)
        parts.unet.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        settings = self.adopt(settings)
        chosen = settings.prior
        assert chosen is not None, "this family has a prior"
        self._require_prior(chosen.kind)
        many = chosen.candidates
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        read = self.prompts.read(prompts, chosen.guided, settings.negative_prompt)
        prior, text = self.parts.priors[chosen.kind], read.repeated(many)
        match chosen.kind:
            case "diffusion":
                embeddings = diffuse(prior, self._prior_schedule, text, chosen, noise, on_step)
            case "eclipse":
                embeddings = draw_once(prior, text, noise, on_step)
        candidates = embeddings.unflatten(0, (-1, many))
        return nearest(candidates, read.embeddings[-len(prompts) :]).float().cpu()

    @torch.no_grad()
    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
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
        chosen = self.text_diff_settings(settings)
        assert chosen.prior is not None, "text_diff_settings refuses settings without one"
        self._require_prior("diffusion")
        prior, schedule = self.parts.priors["diffusion"], self._prior_schedule
        before = self.prompts.read([old])
        after = self.prompts.read([new], chosen.prior.guided, chosen.negative_prompt)
        start = embedding.to(self.device)
        return edit_embedding(prior, schedule, start, (before, after), strengths, chosen.prior, on_step).float().cpu()

    @property
    def _prior_schedule(self) -> Mapping[str, Any]:
        assert self.parts.prior_scheduler is not None, "it comes with the diffusion prior"
        return self.parts.prior_scheduler.config

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        return self._see(pictures, self.parts.prior_image_processor, self.parts.prior_image_encoder).cpu()

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
        chosen, generator = self.adopt(settings), generators(seeds)
        check_rows(embeddings, prompts, len(seeds), self._dim)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1).to(self.device)
        canvas = hold = None
        if known is not None:
            self.require("inpaint")
            canvas = Canvas.of(movq.encode(self.parts.movq, known.pixels), known.repaint.to(self.device))
            hold = canvas.hold if self._reader is None else None  # as in diffusers, where 2.1 only sees what is kept
        texts = prompts or [""] * len(seeds)
        stage = self._decoder(embeddings, texts, generator, chosen, on_step, canvas)
        latents = stage.draw(chosen.decoder, generator, self.device, on_step, start, hold=hold)
        return movq.decode(self.parts.movq, latents).cpu()

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
        chosen = self.inversion_settings(settings)
        check_rows(embeddings, prompts, len(pictures), self._dim)
        stage = self._decoder(embeddings, prompts or [""] * len(pictures), [], chosen, on_step)
        side = self.side(chosen)
        pixels = images.to_tensor([images.square(images.to_rgb(picture), side) for picture in pictures])
        latents = movq.encode(self.parts.movq, pixels)
        return stage.invert(chosen.decoder, latents, on_step, refinements).cpu()

    def _decoder(
        self,
        embeddings: torch.Tensor,
        prompts: Sequence[str],
        noise: Sequence[torch.Generator],
        settings: Settings,
        on_step: OnStep | None,
        canvas: Canvas | None = None,
    ) -> DiffusionStage:
        """Return the decoder for these embeddings; `noise` is the pictures', for what a negative prompt looks like."""
        rows, text = embeddings.to(self.device), {}
        if self._reader is not None:
            text = self._reader.read(prompts, settings.decoder.guided, settings.negative_prompt)
        if settings.decoder.guided:
            rows = torch.cat([self._opposite(noise, settings, on_step).to(self.device), rows])
        side = self.side(settings) // self.parts.factor
        shape = (self.parts.movq.config.latent_channels, side, side)
        if self.parts.repaints and canvas is None:
            canvas = Canvas.empty(shape, self.device)
        conditions = {"image_embeds": rows.to(self.dtype), **text}
        return decoder_stage(self.parts, conditions, shape, canvas, lambda: self._preview)

    def _opposite(self, noise: Sequence[torch.Generator], settings: Settings, on_step: OnStep | None) -> torch.Tensor:
        """Return the embeddings (n, dim) from which guidance leads away.

        That of a negative prompt starts from the same noise as the picture's own: of the picture's seed, wherever its
        generator has come to.
        """
        if settings.negative_prompt is None:
            return self._nothing.expand(len(noise), -1)
        assert settings.prior is not None, "this family has a prior"
        # Guided by itself, a prompt is only itself.
        alone = settings.changed({"prior": {"guidance_scale": 1.0, "candidates": 1}})
        fresh = [torch.Generator().manual_seed(generator.initial_seed()) for generator in noise]
        return self.embed_prompt([settings.negative_prompt] * len(noise), fresh, alone, on_step)

    @cached_property
    def _nothing(self) -> torch.Tensor:
        """The embedding (1, dim) of a picture without content: zeros where CLIP sees pixels normalised."""
        side = self.parts.prior_image_encoder.config.image_size
        assert isinstance(side, int), "CLIP sees squares"
        return self._look(torch.zeros(1, 3, side, side), self.parts.prior_image_encoder)

    @property
    def _dim(self) -> int:
        return self.parts.prior_image_encoder.config.projection_dim

    @cached_property
    def _preview(self) -> Preview:
        return linear_preview(lambda pixels: movq.encode(self.parts.movq, pixels))
