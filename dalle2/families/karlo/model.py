"""The family in Karlo's layout: the embedded checkpoint and `kakaobrain/karlo-v1-alpha` are both of it.

Prior, text projection, decoder and a two-part upsampler, on diffusers' and transformers' networks.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from PIL import Image

from dalle2 import images
from dalle2.datasets.phrases import Phrases
from dalle2.ddim import Denoise
from dalle2.families.diffusion import DiffusionStage, check_rows
from dalle2.families.family_model import Checkpoint, FamilyModel
from dalle2.families.karlo import abilities, layout
from dalle2.families.karlo.attention import record_attention
from dalle2.families.karlo.priors import draw_codes, expect
from dalle2.families.karlo.stages import decoder_stage, keep, upsampler_stage
from dalle2.families.lora import learnt_hash
from dalle2.families.priors import diffuse, draw_once, edit_embedding, nearest
from dalle2.networks.text_encoder import PromptEncoder
from dalle2.pixels import AttentionMaps, KnownPixels
from dalle2.settings import OnStep, Settings
from dalle2.unclip_base import Seed, generators
from dalle2.understanding.interpreter import Interpreter


class KarloModel(FamilyModel[layout.Parts]):
    """The operations on Karlo's parts.

    Attributes:
        concepts: names of what it was taught to draw later, beside what its vocabulary knows (`learning`).
    """

    concepts: tuple[str, ...] = ()

    def __init__(self, parts: layout.Parts, checkpoint: Checkpoint, phrases: Phrases | None) -> None:
        super().__init__(parts, checkpoint)
        self.phrases = phrases
        self.picture_size = parts.super_res_last.config.sample_size
        self.upsampling = self.picture_size // parts.decoder.config.sample_size
        found = {name for name in layout.OTHER_PRIORS if checkpoint.fingerprint.folder.has(name)} | set(parts.present())
        self.priors = abilities.priors(found)
        self.capabilities = abilities.capabilities(found, phrases is not None)
        self.prompts = PromptEncoder(parts.tokenizer, parts.text_encoder)
        for network in (parts.decoder, parts.super_res_first, parts.super_res_last):
            network.to(memory_format=torch.channels_last)

    @cached_property
    def interpreter(self) -> Interpreter | None:
        """What prompts are understood with, read when the first one comes; None where there is no vocabulary."""
        # What comes out badly was measured of the weights alone, and what is taught later keeps that nearly as it was.
        return Interpreter.of(self._fingerprint.folder.path, self.styles, self._fingerprint.value, self.concepts)

    def forget_words(self) -> None:
        """Read again, when the next prompt comes, what prompts are understood with."""
        vars(self).pop("interpreter", None)

    @property
    def checkpoint_hash(self) -> str:
        return learnt_hash(self._fingerprint.value, self.loras)

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.require("text_to_image")
        settings = self.adopt(settings)
        chosen = settings.prior
        assert chosen is not None, "what draws from a text has a prior"
        many, prior = chosen.candidates, self.prior(chosen.kind)
        noise = [generator for generator in generators(seeds) for _ in range(many)]
        read = self.prompts.read(prompts, chosen.guided, settings.negative_prompt)
        text = read.repeated(many)
        match chosen.kind:
            case "diffusion":
                embeddings = diffuse(prior, self._prior_schedule, text, chosen, noise, on_step)
            case "autoregressive":
                embeddings = draw_codes(prior, text, chosen, noise, on_step)
            case "linear":
                embeddings = expect(prior, text, on_step)
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
        self.require("text_diff")
        chosen = self.text_diff_settings(settings)
        assert chosen.prior is not None, "text_diff_settings refuses settings without one"
        prior, scheduler = self.prior("diffusion"), self._prior_schedule
        before = self.prompts.read([old])
        after = self.prompts.read([new], chosen.prior.guided, chosen.negative_prompt)
        start = embedding.to(self.device)
        return edit_embedding(prior, scheduler, start, (before, after), strengths, chosen.prior, on_step).float().cpu()

    @property
    def _prior_schedule(self) -> Mapping[str, Any]:
        assert self.parts.prior_scheduler is not None, "it comes with the diffusion prior"
        return self.parts.prior_scheduler.config

    def prior(self, kind: str) -> Any:
        """Return the prior of this kind, read when it is first asked for; ValueError when the checkpoint has none."""
        self._require_prior(kind)
        name = abilities.PRIORS[kind]
        if getattr(self.parts, name) is None:
            read = layout.read_prior(self._fingerprint.folder, name, self.parts)
            setattr(self.parts, name, read.to(self.device))
        return getattr(self.parts, name)

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
        chosen, parts = self.adopt(settings), self.parts
        check_rows(embeddings, prompts, len(seeds), self.parts.text_proj.config.clip_embeddings_dim)
        generator = generators(seeds)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1).to(self.device)
        decoder = self._decoder(embeddings, prompts or [""] * len(seeds), chosen)
        keep = self._keep(known, decoder)
        small = decoder.draw(chosen.decoder, generator, self.device, on_step, start, keep)
        upsampler = upsampler_stage(parts, small.clamp(-1, 1), self.picture_size)
        keep = self._keep(known, upsampler)
        assert chosen.upsampler is not None, "all of this family have one"
        return upsampler.draw(chosen.upsampler, generator, self.device, on_step, keep=keep).cpu()

    @torch.no_grad()
    def upsample(
        self,
        small: torch.Tensor,
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        side: int | None = None,
    ) -> torch.Tensor:
        chosen = self.adopt(settings).upsampler
        assert chosen is not None, "all of this family have one"
        stage = upsampler_stage(self.parts, small.to(self.device), side or self.picture_size)
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
        chosen = self.inversion_settings(settings)
        check_rows(embeddings, prompts, len(pictures), self.parts.text_proj.config.clip_embeddings_dim)
        stage = self._decoder(embeddings, prompts or [""] * len(pictures), chosen)
        small = images.to_tensor([images.square(images.to_rgb(picture), stage.shape[-1]) for picture in pictures])
        return stage.invert(chosen.decoder, small.to(self.device), on_step, refinements).cpu()

    def attend(
        self,
        prompt: str,
        seed: int,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> tuple[Image.Image, AttentionMaps]:
        self.require("attention")
        noise = generators([seed])
        embedding = self.embed_prompt([prompt], noise, settings, on_step)
        extra = self.parts.text_proj.config.clip_extra_context_tokens
        with record_attention(self.parts.decoder, extra + self.prompts.tokenizer.context) as attention:
            (picture,) = self.decode(embedding, noise, [prompt], settings, on_step)
        words = self.prompts.tokenizer.words(prompt)
        maps = torch.stack([attention.maps()[extra:][places].sum(0) for _, places in words])
        return picture, AttentionMaps(tuple(word for word, _ in words), maps)

    def _decoder(self, embeddings: torch.Tensor, prompts: Sequence[str], settings: Settings) -> DiffusionStage:
        """Return the decoder for these pictures; its unconditional half reads of text the negative prompt at most."""
        text = self.prompts.read(prompts, settings.decoder.guided, settings.negative_prompt)
        return decoder_stage(self.parts, embeddings.to(self.device, self.dtype), text)

    def _keep(self, known: KnownPixels | None, stage: DiffusionStage) -> Callable[[Denoise], Denoise] | None:
        return None if known is None else partial(keep, known=known, size=stage.shape[-1], device=self.device)
