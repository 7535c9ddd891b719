"""What is trained: the new word, then the prior and the decoder by low-rank changes. Each stage's forward is its loss.

Rows of the checkpoint's own pictures have as their target what the network predicted before it was changed, of any
prompt and of none: so what it knew stays, and guidance leads away from what it always drew without a prompt.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from dalle2.datasets.randomness import Randomness
from dalle2.families.karlo.layout import Parts
from dalle2.families.lora import WORD
from dalle2.finetune.adapters import changes, put_in, unchanged
from dalle2.finetune.data import FinetuningBatch
from dalle2.networks import decoder, diffusion_prior
from dalle2.networks.text_encoder import EncodedText, PromptTokenizer, encode
from dalle2.training.losses import contrastive, snr_weight
from dalle2.training.stage import TrainingStage

SCALE = 20.0  # inverse temperature of the word's contrast
UNSAID = 0.15  # of the own rows see neither text nor embedding, for guidance
TEXT_DROP = 0.2  # of all rows of the decoder see their embedding only
NOISE = 0.1  # on new pictures' embeddings in the decoder, in deviations of the own ones: the prior's are not exact
FILE = "trained.safetensors"


class Words(nn.Module):
    """A table of embeddings in which one row can be trained."""

    def __init__(self, table: nn.Embedding, place: int) -> None:
        super().__init__()
        self.table, self.place = table.requires_grad_(False), place
        self.row = nn.Parameter(table.weight[place].detach().clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.where((ids == self.place)[..., None], self.row, self.table(ids))


class FinetuningStage(TrainingStage):
    """A stage on a checkpoint's parts; what they lean on is frozen. Its batches are a `FinetuningBatch` each."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts  # which are no module: only what is trained is put into the stage
        self.tokenizer = PromptTokenizer(parts.tokenizer, parts.text_encoder.config.max_position_embeddings)

    def read(self, prompts: list[str]) -> EncodedText:
        """Encode prompts as prior and decoder read them."""
        encoder = self.parts.text_encoder
        return encode(encoder, self.tokenizer, prompts, encoder.device)

    def compiled(self) -> None:
        """Compile nothing: the steps are too few."""

    def save(self, folder: Path) -> None:
        save_file(self.learnt(), folder / FILE)

    def learnt(self) -> dict[str, torch.Tensor]:
        """Return what was trained, by the names of a LoRA file without that of the part."""
        raise NotImplementedError


class WordStage(FinetuningStage):
    """The new word's embedding: prompts with it are to lie nearest to its pictures, among those of other prompts."""

    name = "word"

    def __init__(self, parts: Parts, place: int) -> None:
        super().__init__(parts)
        embeddings = parts.text_encoder.text_model.embeddings
        parts.text_encoder.requires_grad_(False)
        self.words = Words(embeddings.token_embedding, place)
        embeddings.token_embedding = self.words

    def forward(self, batch: Any, randomness: Randomness) -> dict[str, torch.Tensor]:
        texts = F.normalize(self.read(batch.prompts).embeddings.float(), dim=-1)
        seen = F.normalize(batch.seen.to(texts), dim=-1)
        same = (batch.pictures[:, None] == batch.pictures[None]).to(texts.device)
        hits = same[torch.arange(len(same)), (seen @ texts.T).argmax(1)].float()[: batch.new]
        scale = torch.tensor(SCALE, device=texts.device)
        return {"loss": contrastive(seen, texts, same, scale), "batch_r@1": hits.mean()}

    def learnt(self) -> dict[str, torch.Tensor]:
        return {WORD: self.words.row.detach().clone()}

    def take_out(self) -> None:
        """Write the row into the text encoder's own table, which takes its old place."""
        with torch.no_grad():
            self.words.table.weight[self.words.place] = self.words.row
        self.parts.text_encoder.text_model.embeddings.token_embedding = self.words.table


class PriorStage(FinetuningStage):
    """The diffusion prior: from a prompt with the new word to what CLIP sees in a new picture."""

    name = "prior"

    def __init__(self, parts: Parts, rank: int, keep: float) -> None:
        super().__init__(parts)
        assert parts.prior is not None and parts.prior_scheduler is not None, "it has been checked"
        self.network, self.scheduler, self.keep = parts.prior, parts.prior_scheduler, keep
        put_in(self.network, "prior", rank)

    def forward(self, batch: Any, randomness: Randomness) -> dict[str, torch.Tensor]:
        device, new = self.network.device, batch.new
        dropped = (randomness.coins() < UNSAID).tolist()
        unsaid = [drop and row >= new for row, drop in enumerate(dropped)]
        prompts = ["" if drop else said for drop, said in zip(unsaid, batch.prompts, strict=True)]
        with torch.no_grad():
            clean = diffusion_prior.normalise(self.network, batch.imagined.to(device))
            conditions = diffusion_prior.conditions(self.read(prompts))
        timesteps, noise = _noise(self.scheduler, clean, randomness)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        predicted = diffusion_prior.predict(self.network, noisy, timesteps, **conditions)
        with torch.no_grad(), unchanged(self.network):
            kept = {name: rows[new:] for name, rows in conditions.items()}
            before = diffusion_prior.predict(self.network, noisy[new:], timesteps[new:], **kept)
        target = _target(self.scheduler, clean, noise)[:new]
        return _losses(self.scheduler, timesteps, predicted, target, before, self.keep)

    def learnt(self) -> dict[str, torch.Tensor]:
        return changes(self.network)


class DecoderStage(FinetuningStage):
    """The decoder: from what CLIP sees in a new picture, and its prompt, to the picture."""

    name = "decoder"

    def __init__(self, parts: Parts, rank: int, keep: float, std: torch.Tensor) -> None:
        super().__init__(parts)
        self.network, self.scheduler, self.keep, self.std = parts.decoder, parts.decoder_scheduler, keep, std
        parts.text_proj.requires_grad_(False)
        put_in(self.network, "decoder", rank)

    def forward(self, batch: Any, randomness: Randomness) -> dict[str, torch.Tensor]:
        device, new = self.network.device, batch.new
        clean = batch.small.to(device)
        with torch.no_grad():
            conditions = self._conditions(batch, randomness)
        timesteps, noise = _noise(self.scheduler, clean, randomness)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        predicted = decoder.predict(self.network, noisy, timesteps, **conditions)
        with torch.no_grad(), unchanged(self.network):
            kept = {name: rows[new:] for name, rows in conditions.items()}
            before = decoder.predict(self.network, noisy[new:], timesteps[new:], **kept)
        target = _target(self.scheduler, clean, noise)[:new]
        return _losses(self.scheduler, timesteps, predicted, target, before, self.keep)

    def _conditions(self, batch: FinetuningBatch, randomness: Randomness) -> dict[str, torch.Tensor]:
        project, device = self.parts.text_proj, self.network.device
        own = torch.arange(len(batch.prompts)) >= batch.new
        unsaid = own & (randomness.coins() < UNSAID)
        textless = (unsaid | (randomness.coins() < TEXT_DROP)).tolist()
        prompts = ["" if drop else said for drop, said in zip(textless, batch.prompts, strict=True)]
        blurred = NOISE * self.std.to(device) * randomness.normal(batch.imagined.shape[1]).to(device)
        embeddings = batch.imagined.to(device) + blurred * ~own.to(device)[:, None]
        nothing = project.learned_classifier_free_guidance_embeddings
        embeddings = torch.where(unsaid.to(device)[:, None], nothing[None], embeddings)
        return decoder.conditions(project, embeddings, self.read(prompts))

    def learnt(self) -> dict[str, torch.Tensor]:
        return changes(self.network)


def _noise(scheduler: Any, clean: torch.Tensor, randomness: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
    timesteps = randomness.integers(len(scheduler.alphas_cumprod)).to(clean.device)
    return timesteps, randomness.normal(*clean.shape[1:]).to(clean)


def _target(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return clean if scheduler.config.prediction_type == "sample" else noise


def _losses(
    scheduler: Any,
    timesteps: torch.Tensor,
    predicted: torch.Tensor,
    target: torch.Tensor,
    before: torch.Tensor,
    keep: float,
) -> dict[str, torch.Tensor]:
    """Return the error of new rows, and how far own rows moved from what was predicted `before`.

    `predicted` may hold a variance behind what is predicted, which the new rows do not train.
    """
    new = len(target)
    weights = torch.ones_like(timesteps, dtype=torch.float32)
    if scheduler.config.prediction_type == "sample":
        weights = snr_weight(scheduler.alphas_cumprod.to(timesteps.device), timesteps)
    errors = ((predicted[:new, : target.shape[1]].float() - target) ** 2).flatten(1).mean(1)
    moved = ((predicted[new:].float() - before.float()) ** 2).flatten(1).mean(1)
    error, moved = (weights[:new] * errors).mean(), (weights[new:] * moved).mean()
    return {"loss": error + keep * moved, "error": error, "moved": moved}
