"""DALLE2-pytorch's networks as a model: its prior and its cascade of U-Nets, which see CLIP's embeddings at length 1.

Without a negative prompt, guidance leads away from what the networks make of nothing: the decoder sees neither
embedding nor text, the prior not even the noisy embedding. A negative prompt is read in the place of no text.
"""

from collections.abc import Sequence
from functools import partial

import torch
from PIL import Image

from dalle2 import images
from dalle2.families.dalle2_pytorch.layout import Parts
from dalle2.families.dalle2_pytorch.stages import (
    draw_embeddings,
    keep,
    prior_stage,
    small_conditions,
    unet_stage,
)
from dalle2.families.diffusion import DiffusionStage, check_rows
from dalle2.families.family_model import Checkpoint, FamilyModel
from dalle2.families.priors import nearest, walk
from dalle2.finiteness import check_finite
from dalle2.networks.text_encoder import PromptEncoder
from dalle2.pixels import KnownPixels
from dalle2.refusal import Refusal
from dalle2.requests import part_of
from dalle2.settings import OnStep, Settings
from dalle2.stage_settings import DecoderSettings, PriorSettings, UpsamplerSettings
from dalle2.unclip_base import Seed, generators

# Those of LAION-AI/dalle2-laion, configs/gradio.example.json; two candidates and eta 1 in the prior are the package's.
PRIOR_STEPS, STEPS, GUIDANCE = 64, 50, 1.7


def default_settings(parts: Parts) -> Settings:
    """Return LAION's numbers, for the networks that there are."""
    guidance, prior, upsampler = GUIDANCE if parts.unets[0].config.guidable else 1.0, None, None
    if parts.prior_scheduler is not None:
        steps = min(PRIOR_STEPS, parts.prior_scheduler.config.num_train_timesteps)
        prior = PriorSettings(steps, scheduler="ddim", eta=1.0, candidates=2)
    steps = min(STEPS, *(scheduler.config.num_train_timesteps for scheduler in parts.schedulers))
    if len(parts.unets) > 1:
        upsampler = UpsamplerSettings(steps, scheduler="ddim")
    return Settings(prior, DecoderSettings(steps, guidance_scale=guidance, scheduler="ddim"), upsampler)


class Dalle2PytorchModel(FamilyModel[Parts]):
    """The operations on DALLE2-pytorch's parts."""

    def __init__(self, parts: Parts, checkpoint: Checkpoint) -> None:
        super().__init__(parts, checkpoint)
        self.priors = () if parts.prior is None else ("diffusion",)
        self.picture_size = parts.unets[-1].config.image_size
        self.upsampling = self.picture_size // parts.unets[0].config.image_size
        self.capabilities = frozenset(
            ["interpolate", "mix", "inpaint", "outpaint", "variations", "reconstruct"]
            + (["text_to_image", "steps", "tour", "text_diff", "dimensions"] if parts.prior is not None else [])
            + (["enhance"] if len(parts.unets) > 1 else [])
        )
        self.prompts = PromptEncoder(parts.tokenizer, parts.text_encoder)
        for unet in parts.unets:
            unet.to(memory_format=torch.channels_last)

    def adopt(self, settings: Settings | None) -> Settings:
        """As of all models; Refusal also for guidance of what never learned to do without it."""
        chosen = super().adopt(settings)
        for name, network in (("prior", self.parts.prior), ("decoder", self.parts.unets[0])):
            stage = chosen.stages.get(name)
            if stage is not None and network is not None and stage.guided and not network.config.guidable:
                raise Refusal(
                    f"The {name} of {self.checkpoint} never learned to draw without what it is told, and so cannot be "
                    "guided: leave its guidance at 1."
                )
        return chosen

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.require("text_to_image")
        settings = self.adopt(settings).check_negative(self._reading)
        chosen = settings.prior
        assert chosen is not None and self.parts.prior is not None, "what draws from a text has a prior"
        self._require_prior(chosen.kind)
        many = chosen.candidates
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        stage = self._prior_stage(prompts, chosen.guided, settings.negative_prompt, many)
        embeddings = draw_embeddings(self.parts.prior, stage, chosen, noise, self.device, on_step)
        return nearest(embeddings.unflatten(0, (-1, many)), self.prompts.embed(prompts)).float().cpu()

    @torch.no_grad()
    def embed_text(self, prompts: Sequence[str]) -> torch.Tensor:
        return _unit(self.prompts.embed(prompts)).cpu()

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
        """As told there; where a prior brings each of its predictions to one length, it does not on this way."""
        self.require("text_diff")
        settings = self.text_diff_settings(settings)
        chosen, prior = settings.prior, self.parts.prior
        assert chosen is not None and prior is not None, "text_diff_settings refuses settings without one"
        before = self._prior_stage([old], False, None)
        after = self._prior_stage([new], chosen.guided, settings.negative_prompt)
        scale, start = prior.config.image_embed_scale, embedding.to(self.device)
        rows = walk((before, after), start * scale, strengths, chosen, on_step)
        return torch.cat([start if row is None else check_finite(row / scale, "prior") for row in rows]).float().cpu()

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        return _unit(self._see(pictures, self.parts.feature_extractor, self.parts.image_encoder)).cpu()

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
        stage = self._decoder(embeddings, prompts, chosen)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1).to(self.device)
        held = self._keep(known, stage.shape[-1])
        pixels = stage.draw(chosen.decoder, generator, self.device, on_step, start, held)
        sides = [unet.config.image_size for unet in self.parts.unets[1:]]
        return self._enlarge(pixels, sides, generator, chosen, on_step, known, prompts).cpu()

    @torch.no_grad()
    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        side: int | None = None,
    ) -> torch.Tensor:
        """As told there; the U-Nets draw sides that they can halve, which are then averaged down."""
        self.require("enhance")
        chosen, side = self.adopt(settings), side or self.picture_size
        sides = []
        for unet in self.parts.unets[1:]:
            step = 2 ** len(unet.config.dim_mults)
            sides.append(-(-side * unet.config.image_size // (self.picture_size * step)) * step)
        pixels = self._enlarge(small.to(self.device), sides, generators(seeds), chosen, on_step)
        return torch.nn.functional.interpolate(pixels, size=(side, side), mode="area").cpu()

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
        stage = self._decoder(embeddings, prompts, chosen)
        small = images.to_tensor([images.square(images.to_rgb(picture), stage.shape[-1]) for picture in pictures])
        return stage.invert(chosen.decoder, small.to(self.device), on_step, refinements).cpu()

    def _prior_stage(self, prompts: Sequence[str], guided: bool, negative: str | None, many: int = 1) -> DiffusionStage:
        prior, scheduler = self.parts.prior, self.parts.prior_scheduler
        assert prior is not None and scheduler is not None, "the capability says so"
        text = self.prompts.read(prompts, guided, negative).repeated(many)
        return prior_stage(prior, scheduler.config, text, self._told(len(text.mask), guided, negative))

    def _told(self, rows: int, guided: bool, negative: str | None = None) -> torch.Tensor:
        """Return which rows (n,) see what they are told: under guidance the first half only a negative prompt."""
        seen = torch.ones(rows, dtype=torch.bool, device=self.device)
        if guided and negative is None:
            seen[: rows // 2] = False
        return seen

    def _decoder(self, embeddings: torch.Tensor, prompts: Sequence[str] | None, settings: Settings) -> DiffusionStage:
        check_rows(embeddings, prompts, len(embeddings), self.parts.dim)
        unet, guided, negative = self.parts.unets[0], settings.decoder.guided, settings.negative_prompt
        rows = embeddings.to(self.device, unet.dtype)
        rows = torch.cat([rows, rows]) if guided else rows
        seen = {"image_embeds": rows, "image_keep": self._told(len(rows), guided)}
        text = self._text(unet.config.cond_on_text_encodings, len(embeddings), prompts, guided, negative)
        return unet_stage(unet, self.parts.schedulers[0], seen | text, unet.config.image_size)

    def _text(
        self, reads: bool, count: int, prompts: Sequence[str] | None, guided: bool = False, negative: str | None = None
    ) -> dict[str, torch.Tensor]:
        """Return what a U-Net is told of the prompts; without prompts it sees no text."""
        if not reads:
            return {}
        text = self.prompts.read(prompts or [""] * count, guided, negative)
        told = self._told(len(text.mask), guided, negative)
        if prompts is None:
            told[-count:] = False
        return {"tokens": text.tokens, "mask": text.mask, "text_keep": told}

    def _enlarge(
        self,
        pixels: torch.Tensor,
        sides: Sequence[int],
        generator: list[torch.Generator],
        settings: Settings,
        on_step: OnStep | None,
        known: KnownPixels | None = None,
        prompts: Sequence[str] | None = None,
    ) -> torch.Tensor:
        """Run the U-Nets that enlarge, one after another, to these sides; they are not guided."""
        for index, side in enumerate(sides):
            unet, scheduler = self.parts.unets[index + 1], self.parts.schedulers[index + 1]
            assert settings.upsampler is not None, "what enlarges has settings"
            seen = small_conditions(unet, pixels, side, generator, self.device)
            seen |= self._text(unet.config.cond_on_text_encodings, len(pixels), prompts)
            stage = unet_stage(unet, scheduler, seen, side, "upsampler")
            told, held = part_of(on_step, index, len(sides)), self._keep(known, side)
            pixels = stage.draw(settings.upsampler, generator, self.device, told, keep=held)
        return pixels

    def _keep(self, known: KnownPixels | None, side: int):
        return None if known is None else partial(keep, known=known, size=side, device=self.device)

    @property
    def _reading(self) -> list[str]:
        """The stages that read a prompt."""
        return ["prior", *(["decoder"] if self.parts.unets[0].config.cond_on_text_encodings else [])]


def _unit(rows: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(rows.float(), dim=-1)
