"""Stage "text": the text tower alone, toward a picture tower that stays (locked-image tuning, arXiv 2111.07991)."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dalle2.datasets.batch import Batch
from dalle2.datasets.captions import complete
from dalle2.datasets.lexicon import Lexicon
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.training.clip import ClipTowers, contrast
from dalle2.training.recipe import TextRecipe
from dalle2.training.stage import TrainingStage


class LexiconTargets(nn.Module):
    """Texts of a lexicon in captions, each beside the mean picture of every concept in the caption's style.

    A sentence encoder's judgement is distilled by relation, not by feature: the tower keeps the space of its pictures.

    Args:
        texts: n of them, in English. styles: the names of the styles.
        means: (concepts, styles + 1, dim) unit vectors, the last style being any; zeros where there is no picture.
        concepts: (n, k) numbers of what each text means; one that is no concept's (`len(means)`) has no share.
        shares: (n, k), rows sum to 1.
    """

    means: torch.Tensor
    concepts: torch.Tensor
    shares: torch.Tensor

    def __init__(
        self, texts: list[str], styles: list[str], means: torch.Tensor, concepts: torch.Tensor, shares: torch.Tensor
    ) -> None:
        super().__init__()
        self.texts, self.styles = texts, styles
        for name, rows in {"means": means, "concepts": concepts, "shares": shares}.items():
            self.register_buffer(name, rows, persistent=False)

    @classmethod
    def of(cls, lexicon: Lexicon, pictures: PicturesInMemory, embeddings: torch.Tensor) -> "LexiconTargets":
        """Return the targets of an emoji set's pictures, whose `embeddings` are (n, dim)."""
        seen, number = F.normalize(embeddings.float(), dim=-1), len(pictures.members)
        sums = torch.zeros(number, len(pictures.styles) + 1, seen.shape[1])
        places = torch.tensor(pictures.concepts), torch.tensor(pictures.style_numbers)
        sums.index_put_(places, seen, accumulate=True)
        sums[:, -1] = sums[:, :-1].sum(1)
        numbers = dict(zip((row["concept"] for row in pictures.records), pictures.concepts, strict=True))
        concepts = [[numbers.get(code, number) for code in codes] for codes in lexicon.concepts.tolist()]
        shares = torch.from_numpy(np.asarray(lexicon.shares, np.float32))
        return cls(list(lexicon.texts), pictures.styles, F.normalize(sums, dim=-1), torch.tensor(concepts), shares)

    def draw(self, randomness: Randomness, each: int) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        """Draw captions, the numbers of their texts and of the styles that they name: `each` for every own slot."""
        captions, texts, styles = [], [], []
        for slot in range(randomness.batch_size)[randomness.slots]:
            draw = randomness.text(randomness.batch_size + slot)  # the pictures' captions have the numbers below
            for _ in range(each):
                text, style = draw.randrange(len(self.texts)), draw.randrange(len(self.styles))
                said = complete(self.texts[text], "en", self.styles[style], draw)
                captions.append(said.text)
                texts.append(text)
                styles.append(style if said.style_named else len(self.styles))
        device = self.means.device
        return (
            captions,
            torch.tensor(texts).to(device, non_blocking=True),
            torch.tensor(styles).to(device, non_blocking=True),
        )

    def loss(
        self, said: torch.Tensor, texts: torch.Tensor, styles: torch.Tensor, scale: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the cross entropy of the encoder's shares to the tower's, and how often both agree on the first.

        Args:
            said: (n, dim) unit vectors of the captions. texts, styles: (n,) as drawn. scale: inverse temperature.
        """
        present = self.means.any(-1).T[styles]
        with torch.autocast(said.device.type, enabled=False):  # half precision would round the logits
            in_all_styles = scale * torch.einsum("nd,csd->nsc", said.float(), self.means)
        logits = in_all_styles[torch.arange(len(said), device=said.device), styles].masked_fill(~present, -torch.inf)
        target = torch.zeros(len(said), len(self.means) + 1, device=said.device)
        target = target.scatter_add(1, self.concepts[texts], self.shares[texts])[:, :-1] * present
        known = target.sum(1)  # the rest means what has no picture in this style
        losses = -(target * logits.log_softmax(1).masked_fill(~present, 0)).sum(1)
        agreed = (logits.argmax(1) == target.argmax(1)) * known
        total = known.sum().clamp(min=1e-6)
        return {"lexicon": losses.sum() / total, "lexicon_r@1": agreed.sum() / total}


class TextStage(TrainingStage):
    """Contrast of captions with pictures, as in stage "clip", and the lessons of a lexicon where there is one.

    Prior and decoder keep their meaning, because the picture embeddings stay. What changes are the token states, which
    both read too.
    """

    name = "text"

    def __init__(self, plan: TextRecipe, towers: ClipTowers, lessons: LexiconTargets | None = None) -> None:
        super().__init__()
        self.plan, self.towers, self.lessons, self.per_concept = plan, towers, lessons, plan.per_concept
        self.log_scale = nn.Parameter(torch.tensor(plan.temperature).reciprocal().log())
        towers.picture.requires_grad_(False)
        towers.text.requires_grad_(True)

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        device, count = self.log_scale.device, len(batch.captions)
        with torch.no_grad():
            pictures = self.towers.embed_pictures(batch.pictures.to(device)).float()
        captions, lesson = batch.captions, ()
        if self.lessons:
            further, *lesson = self.lessons.draw(randomness, self.plan.lexicon_texts)
            captions = [*captions, *further]
        texts = self.towers.embed_texts(captions).float()
        scale = self.log_scale.exp().clamp(max=100)
        losses = contrast(pictures, texts[:count], batch.facts.to(device, non_blocking=True), scale)
        losses["loss"] = losses["contrast"]
        if self.lessons:
            losses |= self.lessons.loss(F.normalize(texts[count:], dim=-1), *lesson, scale)
            losses["loss"] = losses["contrast"] + losses["lexicon"]
        return losses

    def compiled(self) -> None:
        self.towers.text.compile()

    def save(self, folder: Path) -> None:
        self.towers.save(folder)
