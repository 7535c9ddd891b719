"""A family that is not Karlo's, as small as it can be: a prior of one forward pass and a latent decoder.

It has no upsampler. Its decoder predicts noise on linear betas, as Kandinsky's does, and a linear map makes pixels of
its latents. All that it takes from the project is what families share; nothing outside `dalle2.families` knows it.
"""

import zlib
from collections.abc import Sequence
from functools import partial

import torch
from diffusers import DDPMScheduler
from PIL import Image

from dalle2 import images, sampling
from dalle2.families.diffusion import DiffusionStage
from dalle2.model import UnclipModel
from dalle2.pixels import KnownPixels
from dalle2.settings import OnStep, Settings, Step
from dalle2.stage_settings import DecoderSettings, PriorSettings
from dalle2.unclip_base import Seed, generators

DIM, SIZE, FACTOR = 16, 8, 4


class Decoder(torch.nn.Module):
    """Noisy latents (n, 4, 8, 8), a timestep and image embeddings (n, DIM) -> the noise in the latents."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.embed = torch.nn.Linear(DIM, 4)

    def forward(self, x: torch.Tensor, t: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        return x * 0.8 + torch.tanh(self.mix(x) * 0.2 + self.embed(embeddings)[:, :, None, None] * (1 + t / 1000))


class LatentModel(UnclipModel):
    """Two stages: see the module."""

    priors = ("linear",)
    styles = examples = ()
    subject: dict[str, str] = {}  # noqa: RUF012
    device, dtype = torch.device("cpu"), torch.float32
    picture_size, upsampling = SIZE * FACTOR, 1
    checkpoint_hash = "0" * 64
    capabilities = frozenset(
        {"text_to_image", "steps", "tour", "variations", "interpolate", "mix", "inpaint", "reconstruct"}
    )

    def __init__(self, checkpoint: str = "latents") -> None:
        self.checkpoint = checkpoint
        self.settings = Settings(
            prior=PriorSettings(1, kind="linear"), decoder=DecoderSettings(6, guidance_scale=2.0, scheduler="ddpm")
        )
        torch.manual_seed(0)
        self.prior, self.decoder = torch.nn.Linear(DIM, DIM), Decoder()
        self.image_encoder = torch.nn.Linear(3 * SIZE**2, DIM)
        self.pixels, self.latents = torch.randn(3, 4) * 0.5, torch.randn(4, 3) * 0.5
        self.schedule = DDPMScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)

    @torch.no_grad()
    def embed_prompt(
        self,
        prompts: Sequence[str],
        seeds: Sequence[Seed],
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        self.adopt(settings)
        rows = [torch.randn(DIM, generator=torch.Generator().manual_seed(zlib.crc32(p.encode()))) for p in prompts]
        if on_step:
            on_step(Step("prior", 1, 1))
        return self.prior(torch.stack(rows))

    @torch.no_grad()
    def embed_image(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        small = images.to_tensor([images.square(images.to_rgb(picture), SIZE) for picture in pictures])
        return self.image_encoder(small.flatten(1))

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
        chosen, stage = self.adopt(settings).decoder, self._stage(embeddings, settings)
        keep = None
        if known is not None:
            repaint = torch.nn.functional.adaptive_max_pool2d(known.repaint, SIZE)
            keep = partial(sampling.keep, pixels=self._encode(known.pixels), repaint=repaint)
        start = None if noise is None else noise.expand(len(seeds), -1, -1, -1)
        return self._decode(stage.draw(chosen, generators(seeds), self.device, on_step, start, keep))

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
        pixels = images.to_tensor([images.square(images.to_rgb(picture), self.picture_size) for picture in pictures])
        return self._stage(embeddings, chosen).invert(chosen.decoder, self._encode(pixels), on_step, refinements)

    def _stage(self, embeddings: torch.Tensor, settings: Settings | None) -> DiffusionStage:
        guided = self.adopt(settings).decoder.guided
        rows = torch.cat([torch.zeros_like(embeddings), embeddings]) if guided else embeddings
        preview, config = lambda latents: images.to_pictures(self._decode(latents)), self.schedule.config
        return DiffusionStage("decoder", self.decoder, {"embeddings": rows}, config, (4, SIZE, SIZE), preview)

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (n, 4, 8, 8) -> pixels (n, 3, 32, 32)."""
        pixels = torch.tanh(torch.einsum("cl,nlhw->nchw", self.pixels, latents))
        return torch.nn.functional.interpolate(pixels, scale_factor=FACTOR, mode="bilinear")

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (n, 3, 32, 32) -> latents (n, 4, 8, 8)."""
        small = torch.nn.functional.interpolate(pixels, size=SIZE, mode="area")
        return torch.einsum("lc,nchw->nlhw", self.latents, small)
