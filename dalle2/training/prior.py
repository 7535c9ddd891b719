"""Stage "prior": the diffusion prior, text to picture embedding (paper, section 2.2)."""

from pathlib import Path

import torch
from diffusers import PriorTransformer, UnCLIPScheduler

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.networks import diffusion_prior
from dalle2.training.clip import ClipTowers
from dalle2.training.losses import snr_weight
from dalle2.training.recipe import PriorRecipe
from dalle2.training.stage import TrainingStage


class PriorStage(TrainingStage):
    """Predicts the clean, normalised picture embedding from a noisy one, the text embedding and its tokens.

    Args:
        towers: the frozen CLIP. mean, std: (dim,) statistics of the training pictures' embeddings, which
            the checkpoint keeps so that samples can be brought back to CLIP's scale.
    """

    name = "prior"

    def __init__(self, plan: PriorRecipe, towers: ClipTowers, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.plan, self.towers = plan, towers
        self.network = PriorTransformer(
            num_attention_heads=plan.width // plan.head_dim,
            attention_head_dim=plan.head_dim,
            num_layers=plan.layers,
            embedding_dim=len(mean),
            num_embeddings=towers.tokenizer.model_max_length,
            dropout=plan.dropout,
        )
        self.network.clip_mean.data.copy_(mean[None])
        self.network.clip_std.data.copy_(std[None])
        self.network.clip_mean.requires_grad_(False)
        self.network.clip_std.requires_grad_(False)
        self.scheduler = UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=plan.clamp
        )

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        device = self.network.clip_mean.device
        dropped = (randomness.coins() < self.plan.text_drop).tolist()
        captions = ["" if drop else caption for drop, caption in zip(dropped, batch.captions, strict=True)]
        with torch.no_grad():
            embeddings = self.towers.embed_pictures(batch.pictures.to(device)).float()
            clean = diffusion_prior.normalise(self.network, embeddings)
            conditions = diffusion_prior.conditions(self.towers.read(captions))
        timesteps = randomness.integers(len(self.scheduler.alphas_cumprod)).to(device)
        noise = randomness.normal(clean.shape[1]).to(device)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        predicted = diffusion_prior.predict(self.network, noisy, timesteps, **conditions).float()
        errors = ((predicted - clean) ** 2).mean(1)
        weights = snr_weight(self.scheduler.alphas_cumprod.to(device), timesteps)
        return {
            "loss": (weights * errors).mean(),
            "error": errors.mean(),
            "cosine": torch.cosine_similarity(predicted, clean).mean(),
            "error_high_noise": (errors * (timesteps > 800)).sum() / (timesteps > 800).sum().clamp(min=1),
        }

    def compiled(self) -> None:
        self.network.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "prior")
        self.scheduler.save_pretrained(folder / "prior_scheduler")


@torch.no_grad()
def embedding_statistics(embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of embeddings (n, dim), each (dim,).

    A dimension that hardly varies would explode when it is normalised: the deviation is kept above a
    thousandth of the median one.
    """
    std = embeddings.std(0)
    return embeddings.mean(0), std.clamp(min=1e-3 * std.median())
