"""Stage "clip": a picture tower and a text tower, trained together on pictures and their captions."""

import math
from pathlib import Path

import torch
import torch.distributed
import torch.nn.functional as F
from PIL import Image
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.networks.text_encoder import EncodedText, PromptTokenizer, encode
from dalle2.training.losses import contrastive, true_pairs
from dalle2.training.recipe import ClipRecipe
from dalle2.training.stage import TrainingStage

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class ClipTowers(nn.Module):
    """A CLIP: both towers, the tokenizer, and the preprocessing that turns pictures into what the tower sees."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        text: CLIPTextModelWithProjection,
        picture: CLIPVisionModelWithProjection,
        tokenizer: CLIPTokenizer,
    ) -> None:
        super().__init__()
        self.text, self.picture, self.tokenizer = text, picture, tokenizer
        self.prompts = PromptTokenizer(tokenizer, text.config.max_position_embeddings)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    @property
    def picture_size(self) -> int:
        """Return pixels a side of what the picture tower sees."""
        size = self.picture.config.image_size
        assert isinstance(size, int), "CLIP's pictures are square"
        return size

    @classmethod
    def build(cls, plan: ClipRecipe, tokenizer: CLIPTokenizer) -> "ClipTowers":
        """Return towers of a recipe's size with fresh weights."""
        ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=plan.embedding_dim,
            intermediate_size=4 * plan.embedding_dim,
            projection_dim=plan.embedding_dim,
            num_hidden_layers=plan.text_layers,
            num_attention_heads=max(1, plan.embedding_dim // 64),
            max_position_embeddings=plan.context_length,
            pad_token_id=tokenizer.pad_token_id,
            **ids,
        )
        picture = CLIPVisionConfig(
            hidden_size=plan.picture_width,
            intermediate_size=4 * plan.picture_width,
            projection_dim=plan.embedding_dim,
            num_hidden_layers=plan.picture_layers,
            num_attention_heads=plan.picture_width // plan.picture_head_dim,
            image_size=plan.picture_size,
            patch_size=plan.patch_size,
        )
        return cls(CLIPTextModelWithProjection(text), CLIPVisionModelWithProjection(picture), tokenizer)

    @classmethod
    def load(cls, folder: Path) -> "ClipTowers":
        """Return frozen towers from a folder that `save` or a whole checkpoint wrote."""
        towers = cls(
            CLIPTextModelWithProjection.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32),
            CLIPVisionModelWithProjection.from_pretrained(folder, subfolder="image_encoder", dtype=torch.float32),
            CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
        )
        return towers.eval().requires_grad_(False)

    def save(self, folder: Path) -> None:
        """Write text_encoder, image_encoder, tokenizer and feature_extractor."""
        self.text.save_pretrained(folder / "text_encoder")
        self.picture.save_pretrained(folder / "image_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.tokenizer.backend_tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"), pretty=False)
        # Also as CLIP's own two files, which older transformers look for.
        self.tokenizer.backend_tokenizer.model.save(str(folder / "tokenizer"))
        size = self.picture_size
        CLIPImageProcessor(
            size={"shortest_edge": size},
            crop_size={"height": size, "width": size},
            resample=Image.Resampling.BICUBIC,
            image_mean=list(MEAN),
            image_std=list(STD),
        ).save_pretrained(folder / "feature_extractor")

    def embed_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (n, 3, h, w) in [-1, 1] -> image embeddings (n, dim), not normalised."""
        size = self.picture_size
        if pictures.shape[-1] != size:
            pictures = F.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
        return self.picture((pictures * 0.5 + 0.5 - self.mean) / self.std).image_embeds

    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        """Texts -> text embeddings (n, dim), not normalised.

        Attention looks back only, so nothing behind the end of a text changes its embedding: texts are read among
        others of about their length, which halves the work.
        """
        rows = self.prompts.tokenize(texts)
        order = torch.tensor([len(row) for row in rows]).argsort(stable=True)
        read = []
        for places in order.chunk(4):
            some = [rows[place] for place in places]
            ids, _ = self.prompts.pad(some, max(map(len, some)))
            read.append(self.text(ids.to(self.mean.device, non_blocking=True)).text_embeds)
        return torch.cat(read)[order.argsort().to(self.mean.device, non_blocking=True)]

    def read(self, texts: list[str]) -> EncodedText:
        """Encode texts, in one batch, as prior and decoder read them."""
        return encode(self.text, self.prompts, texts, self.mean.device)


class ClipStage(TrainingStage):
    """Contrast between pictures and captions, and a thumbnail predicted from the picture embedding.

    Several pictures of a concept stand in each batch in different styles, so the loss takes a matrix of
    true pairs: with plain one-to-one targets, most of the "negatives" would be true.
    """

    name = "clip"

    def __init__(self, plan: ClipRecipe, towers: ClipTowers) -> None:
        super().__init__()
        self.plan, self.towers, self.per_concept = plan, towers, plan.per_concept
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.thumbnail = nn.Linear(plan.embedding_dim, 3 * plan.thumbnail_size**2)

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        device = self.log_scale.device
        pictures = batch.pictures.to(device)
        embeddings = self.towers.embed_pictures(pictures).float()
        texts = self.towers.embed_texts(batch.captions).float()
        losses = contrast(
            embeddings, texts, batch.facts.to(device, non_blocking=True), self.log_scale.exp().clamp(max=100)
        )
        small = F.interpolate(pictures, (self.plan.thumbnail_size,) * 2, mode="area").flatten(1)
        thumbnail = F.mse_loss(self.thumbnail(embeddings), small)
        return losses | {
            "loss": losses["contrast"] + self.plan.thumbnail_weight * thumbnail,
            "thumbnail_r2": 1 - thumbnail.detach() / small.var(0).mean(),
        }

    def compiled(self) -> None:
        self.towers.picture.compile()
        self.towers.text.compile()

    def save(self, folder: Path) -> None:
        self.towers.save(folder)


def contrast(
    pictures: torch.Tensor, texts: torch.Tensor, facts: torch.Tensor, scale: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return a batch's contrastive loss over all processes, and how often a picture's nearest caption is true of it.

    Args:
        pictures, texts: embeddings (n, dim) of any length. facts: (n, 5), as `Batch` has them.
        scale: inverse temperature.
    """
    seen, said = (_gathered(F.normalize(rows, dim=-1)) for rows in (pictures, texts))
    true = true_pairs(_gathered(facts))
    with torch.no_grad():
        best = (seen @ said.T).argmax(1)
        hits = true[torch.arange(len(true), device=true.device), best].float().mean()
    return {"contrast": contrastive(seen, said, true, scale), "batch_r@1": hits}


def _gathered(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes, gradients included; the rows themselves when there is one process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows.contiguous()))
