"""What a finished prior says of captions, as conditions for the decoder in place of the pictures' own embeddings."""

from pathlib import Path

import torch
from diffusers import PriorTransformer, UnCLIPScheduler
from torch import nn

from dalle2.datasets.randomness import Randomness
from dalle2.families.karlo import priors
from dalle2.settings import PriorSettings
from dalle2.training.clip import Towers


class PriorGuesses(nn.Module):
    """A frozen diffusion prior, sampled as a user of the checkpoint samples it.

    A decoder that only ever saw true embeddings does not know the prior's mistakes: it draws them. Trained on the
    prior's own samples as well, it learns which directions of an embedding to trust, and takes from the text what the
    prior got wrong (the remedy of cascaded diffusion, arXiv 2106.15282, at unCLIP's seam).

    Args:
        folder: holds `prior` and `prior_scheduler`. settings: how it is sampled; one candidate is drawn.
    """

    def __init__(self, folder: str | Path, towers: Towers, settings: PriorSettings) -> None:
        super().__init__()
        network = PriorTransformer.from_pretrained(folder, subfolder="prior", torch_dtype=torch.float32)
        self.network = network.eval().requires_grad_(False)
        self.config = UnCLIPScheduler.from_pretrained(folder, subfolder="prior_scheduler").config
        self.towers, self.settings = towers, settings

    @torch.no_grad()
    def forward(self, captions: list[str], randomness: Randomness) -> torch.Tensor:
        """Captions, one for each of this process's slots -> image embeddings (n, dim), float32."""
        if not captions:
            return torch.empty(0, self.network.config.embedding_dim, device=self.network.device)
        text = self.towers.read([""] * len(captions) + captions)
        seeds = torch.randint(2**62, (len(captions),), generator=randomness.host).tolist()
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        return priors.diffuse(self.network, self.config, text, self.settings, noise, None).float()
