"""Stage "decoder": picture embedding and text to pixels (paper, section 2.1)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import UnCLIPScheduler, UNet2DConditionModel
from torch import nn

from dalle2 import sampling
from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.networks import decoder
from dalle2.networks.text_projection import TextProjection
from dalle2.training.augmentation import moved
from dalle2.training.clip import ClipTowers
from dalle2.training.losses import snr_weight, variational
from dalle2.training.recipe import DecoderRecipe
from dalle2.training.stage import TrainingStage, grid

_SAMPLE_STEPS = 8
_FEATURES_BELOW = 400  # timesteps at which a predicted picture is sharp enough for the picture tower


class DecoderStage(TrainingStage):
    """Predicts the clean picture and its variance; conditions are left out at times, for guidance.

    Clean pictures, not noise, are predicted: with the cosine schedule an error in the noise is multiplied by
    thousands at the noisy end, which tints flat pictures and rules out few-step sampling.

    Args:
        std: (dim,) deviations of the training pictures' embeddings, the unit of `plan.embedding_noise`.
    """

    name = "decoder"
    std: torch.Tensor

    def __init__(self, plan: DecoderRecipe, towers: ClipTowers, std: torch.Tensor) -> None:
        super().__init__()
        self.plan, self.towers = plan, towers
        self.register_buffer("std", std, persistent=False)
        dim = len(std)
        self.text_projection = TextProjection(
            clip_embeddings_dim=dim, time_embed_dim=plan.time_embedding_dim, cross_attention_dim=dim
        )
        levels = len(plan.channels)
        attends = [level >= plan.attention_from for level in range(levels)]
        self.network = UNet2DConditionModel(
            sample_size=plan.picture_size,
            in_channels=3,
            out_channels=6,
            down_block_types=[
                "SimpleCrossAttnDownBlock2D" if attend else "ResnetDownsampleBlock2D" for attend in attends
            ],
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=[
                "SimpleCrossAttnUpBlock2D" if attend else "ResnetUpsampleBlock2D" for attend in reversed(attends)
            ],
            block_out_channels=plan.channels,
            layers_per_block=plan.layers_per_block,
            norm_num_groups=min(32, *plan.channels),
            cross_attention_dim=dim,
            attention_head_dim=plan.head_dim,
            resnet_time_scale_shift="scale_shift",
            class_embed_type="identity",
            time_embedding_dim=plan.time_embedding_dim,
            dropout=plan.dropout,
        ).to(memory_format=torch.channels_last)
        zero_residuals(self.network)
        self.scheduler = UnCLIPScheduler(variance_type="learned_range", prediction_type="sample")

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        device = self.std.device
        pictures, mirrored = self._augmented(batch.pictures.to(device), randomness)
        clean = shrink(pictures, self.plan.picture_size)
        unconditional = randomness.coins() < self.plan.embedding_drop
        # Guidance compares with a decoder that sees neither: where the embedding goes, the text goes too.
        no_text = unconditional | mirrored | (randomness.coins() < self.plan.text_drop)
        captions = ["" if drop else caption for drop, caption in zip(no_text.tolist(), batch.captions, strict=True)]
        with torch.no_grad():
            embeddings = self.towers.embed_pictures(pictures).float()
            texts = self.towers.read(captions)
        embeddings = embeddings + self.plan.embedding_noise * self.std * randomness.normal(len(self.std)).to(device)
        nothing = self.text_projection.learned_classifier_free_guidance_embeddings
        embeddings = torch.where(unconditional[:, None].to(device, non_blocking=True), nothing[None], embeddings)
        timesteps = randomness.integers(len(self.scheduler.alphas_cumprod)).to(device)
        noisy = self.scheduler.add_noise(clean, randomness.normal(*clean.shape[1:]).to(device), timesteps)
        conditions = decoder.conditions(self.text_projection, embeddings, texts)
        output = decoder.predict(self.network, noisy, timesteps, **conditions)
        predicted, variance = output.float().chunk(2, dim=1)
        errors = ((predicted - clean) ** 2).flatten(1).mean(1)
        squared = (snr_weight(self.scheduler.alphas_cumprod.to(device), timesteps) * errors).mean()
        # Beyond its range the variance could hide any error of the mean at no cost in the full schedule, and
        # would explode in a respaced one: there it gets no gradient.
        bits = variational(self.scheduler, timesteps, clean, noisy, predicted, variance.clamp(-1, 1))
        losses = {
            "loss": squared + self.plan.variance_weight * bits.mean(),
            "squared": squared,
            "variational": bits.mean(),
            **{
                f"error_{low}": (errors * inside).sum() / inside.sum().clamp(min=1)
                for low in range(0, 1000, 200)
                for inside in [(timesteps >= low) & (timesteps < low + 200)]
            },
        }
        if self.plan.feature_weight:
            losses["features"] = self._feature_distance(predicted, clean, timesteps < _FEATURES_BELOW)
            losses["loss"] = losses["loss"] + self.plan.feature_weight * losses["features"]
        return losses

    def _augmented(self, pictures: torch.Tensor, randomness: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pictures, some moved, and which are mirrored, (n,): no caption is sure to be true of those."""
        if not (self.plan.augment and self.training):
            return pictures, torch.zeros(len(pictures), dtype=torch.bool)
        chosen = randomness.coins() < self.plan.augment
        mirrored = chosen & (randomness.coins() < 0.5)
        return moved(pictures, chosen, mirrored, randomness.uniform(4) * 2 - 1), mirrored

    def _feature_distance(self, predicted: torch.Tensor, clean: torch.Tensor, sharp: torch.Tensor) -> torch.Tensor:
        """Mean cosine distance of predicted and true small pictures to the picture tower, over the sharp ones."""
        seen, true = (self.towers.embed_pictures(pictures).float() for pictures in (predicted, clean))
        distances = 1 - torch.cosine_similarity(seen, true)
        return (distances * sharp).sum() / sharp.sum().clamp(min=1)

    @torch.no_grad()
    def samples(self, batch: Batch) -> torch.Tensor:
        """Return one picture (3, h, w): real ones above those drawn from their own embeddings and captions."""
        device, count = self.std.device, min(8, len(batch.captions))
        real = batch.pictures[:count].to(device)
        embeddings, texts = self.towers.embed_pictures(real), self.towers.read(batch.captions[:count])
        conditions = decoder.conditions(self.text_projection, embeddings, texts)
        scheduler = sampling.build_scheduler(self.scheduler.config, "ddim", _SAMPLE_STEPS)

        def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return decoder.predict(self.network, x, t.to(device).expand(count), **conditions)

        denoise = sampling.clean_predictions(network, scheduler, self.scheduler.config)
        size = self.plan.picture_size
        noise = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
        x = sampling.sample(denoise, scheduler, noise, [], lambda *_: None)
        return grid(torch.cat([shrink(real, size), x]), count)

    def compiled(self) -> None:
        self.network.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "decoder")
        self.text_projection.save_pretrained(folder / "text_proj")
        self.scheduler.save_pretrained(folder / "decoder_scheduler")


def shrink(pictures: torch.Tensor, size: int) -> torch.Tensor:
    """Shrink pictures (n, 3, s, s) to `size` a side by area averaging: what alone makes low resolution here."""
    return pictures if pictures.shape[-1] == size else F.interpolate(pictures, (size, size), mode="area")


def zero_residuals(network: nn.Module) -> None:
    """Zero the last layer of each residual branch and of the network, as guided-diffusion does.

    diffusers leaves them random. Zeroed, each block starts as the identity and the network learns faster.
    """
    for name, module in network.named_modules():
        if name.endswith(("conv2", "to_out.0", "conv_out")):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
