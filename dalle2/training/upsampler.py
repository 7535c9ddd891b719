"""Stages "super_res_first" and "super_res_last": the decoder's small picture to a large one (paper, section 2.1)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UnCLIPScheduler, UNet2DModel

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.networks.upsampler import enlarge, predict
from dalle2.training.decoder import shrink, zero_residuals
from dalle2.training.losses import edges, snr_weight
from dalle2.training.recipe import UpsamplerRecipe
from dalle2.training.stage import TrainingStage, grid

_BORDER = 8  # pixels of the edge that zero padding reaches


def network(plan: UpsamplerRecipe) -> UNet2DModel:
    """Return a U-Net without attention or text: noisy large picture and enlarged small one to the clean large one."""
    levels = len(plan.channels)
    unet = UNet2DModel(
        sample_size=plan.picture_size,
        in_channels=6,
        out_channels=3,
        down_block_types=["ResnetDownsampleBlock2D"] * levels,
        up_block_types=["ResnetUpsampleBlock2D"] * levels,
        block_out_channels=plan.channels,
        layers_per_block=plan.layers_per_block,
        norm_num_groups=min(16, *plan.channels),
        resnet_time_scale_shift="scale_shift",
        add_attention=False,
    ).to(memory_format=torch.channels_last)
    zero_residuals(unet)
    return unet


def scheduler() -> UnCLIPScheduler:
    """Return the upsampler's noise: fixed variance, predicted clean pictures."""
    return UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample")


class FirstUpsamplerStage(TrainingStage):
    """All steps but the last: denoises the large picture given the enlarged small one.

    Trained on crops, because a corner of a picture tells as much about edges as all of it, with a share of
    whole pictures, because group norms see other statistics where half a picture is flat.
    """

    name = "super_res_first"

    def __init__(self, plan: UpsamplerRecipe, small_size: int) -> None:
        super().__init__()
        self.plan, self.small_size = plan, small_size
        self.network = network(plan)
        self.scheduler = scheduler()

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        clean, low = pair(batch.pictures.to(self.network.device), self.small_size, self.plan, randomness)
        timesteps = randomness.integers(len(self.scheduler.alphas_cumprod)).to(clean.device)
        noise = randomness.normal(*clean.shape[1:]).to(clean.device)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        predicted = predict(self.network, noisy, timesteps, low).float()
        squares = (predicted - clean) ** 2
        errors = (squares * border(clean, self.plan)).flatten(1).mean(1)
        weights = snr_weight(self.scheduler.alphas_cumprod.to(clean.device), timesteps)
        bicubic = F.mse_loss(low, clean)
        return {"loss": (weights * errors).mean(), "gain_db": 10 * torch.log10(bicubic / squares.mean())}

    def compiled(self) -> None:
        self.network.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "super_res_first")
        self.scheduler.save_pretrained(folder / "super_res_scheduler")


class LastUpsamplerStage(TrainingStage):
    """The last step, at t = 0: sharpens what the first network sees as clean; nothing random is left there.

    Its input is the first network's own estimate, made at the noise levels from which short samplers take
    their last step.
    """

    name = "super_res_last"

    def __init__(self, plan: UpsamplerRecipe, small_size: int, first: UNet2DModel) -> None:
        super().__init__()
        self.plan, self.small_size, self.first = plan, small_size, first.eval().requires_grad_(False)
        self.network = network(plan)
        self.network.load_state_dict(first.state_dict())
        self.scheduler = scheduler()

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        clean, low = pair(batch.pictures.to(self.network.device), self.small_size, self.plan, randomness)
        timesteps = (999 - randomness.integers(900)).to(clean.device)
        noise = randomness.normal(*clean.shape[1:]).to(clean.device)
        with torch.no_grad():
            estimate = predict(self.first, self.scheduler.add_noise(clean, noise, timesteps), timesteps, low).float()
        zero = torch.zeros_like(timesteps)
        again = randomness.normal(*clean.shape[1:]).to(clean.device)
        noisy = self.scheduler.add_noise(estimate.clamp(-1, 1), again, zero)
        predicted = predict(self.network, noisy, zero, low).float()
        bicubic, error = F.mse_loss(low, clean), F.mse_loss(predicted, clean)
        rim = (border(clean, self.plan) - 1) * (predicted - clean).abs()  # 0 where the border weighs no more
        return {"loss": edges(predicted, clean) + rim.mean(), "gain_db": 10 * torch.log10(bicubic / error)}

    @torch.no_grad()
    def samples(self, batch: Batch) -> torch.Tensor:
        """Draw rows: real pictures, their small versions enlarged, upsampled in two steps."""
        real = batch.pictures[:8].to(self.network.device)
        low = enlarge(shrink(real, self.small_size), self.plan.picture_size)
        noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0)).to(real)
        start = torch.full((len(real),), 999, device=real.device)
        estimate = predict(self.first, noise, start, low).float().clamp(-1, 1)
        sharp = predict(self.network, estimate, torch.zeros_like(start), low).float()
        return grid(torch.cat([real, low, sharp]), len(real))

    def compiled(self) -> None:
        self.network.compile()
        self.first.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "super_res_last")


def border(clean: torch.Tensor, plan: UpsamplerRecipe) -> torch.Tensor:
    """Return how heavy each pixel weighs, (h, w): `plan.border_weight` along the edge of a whole picture, 1 elsewhere.

    Zero padding makes corners a case of their own, of a few pixels in thousands: a plain mean hardly corrects them.
    """
    weights = torch.ones(clean.shape[-2:], device=clean.device)
    if clean.shape[-1] == plan.picture_size:
        weights = torch.full_like(weights, plan.border_weight)
        weights[_BORDER:-_BORDER, _BORDER:-_BORDER] = 1
    return weights


def pair(
    pictures: torch.Tensor, small_size: int, plan: UpsamplerRecipe, randomness: Randomness
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return clean pictures or crops of them, and the enlarged, corrupted small versions: (n, 3, h, h) each.

    Without corruption an upsampler trusts its input too much and magnifies the decoder's faults (cascaded
    diffusion, arXiv 2106.15282). The enlargement is made of the whole picture and cropped afterwards.
    """
    size = plan.picture_size
    clean = shrink(pictures, size)
    small = ((shrink(pictures, small_size) * 0.5 + 0.5) * 255).round() / 127.5 - 1
    blurred = _blur(small)
    small = torch.where((randomness.uniform() < plan.blur).to(small.device)[:, None, None, None], blurred, small)
    strength = plan.noise * randomness.uniform(1, 1, 1) * (randomness.uniform(1, 1, 1) < 0.5)
    small = (small + (strength * randomness.normal(*small.shape[1:])).to(small)).clamp(-1, 1)
    low = enlarge(small, size)
    whole = randomness.shared() < plan.full_share
    corners = (randomness.uniform(2) * (size - plan.crop + 1)).long()
    if whole or plan.crop >= size:
        return clean, low

    side = torch.arange(plan.crop, device=clean.device)
    rows, columns = (corners.to(clean.device)[:, axis, None] + side for axis in (0, 1))
    place = torch.arange(len(clean), device=clean.device)[:, None, None], rows[:, :, None], columns[:, None]

    def crop(batch: torch.Tensor) -> torch.Tensor:
        return batch.permute(0, 2, 3, 1)[place].permute(0, 3, 1, 2).contiguous()

    return crop(clean), crop(low)


def _blur(small: torch.Tensor, sigma: float = 0.6) -> torch.Tensor:
    """Return a Gaussian blur with a kernel of three pixels, the paper's corruption."""
    offsets = torch.arange(-1, 2, device=small.device, dtype=small.dtype)
    kernel = torch.softmax(-0.5 / sigma**2 * offsets**2, 0)
    kernel = (kernel[:, None] * kernel[None]).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)


def read_weights(checkpoint: str, part: str) -> dict[str, torch.Tensor]:
    """Return the float32 weights of one of a checkpoint's upsamplers."""
    return UNet2DModel.from_pretrained(checkpoint, subfolder=part, torch_dtype=torch.float32).state_dict()
