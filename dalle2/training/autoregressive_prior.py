"""Stage "prior_autoregressive": text to the buckets of a picture embedding, one by one (paper, section 2.2)."""

from pathlib import Path

import torch

from dalle2.datasets.batch import Batch
from dalle2.datasets.randomness import Randomness
from dalle2.embeddings import principal_axes
from dalle2.networks.autoregressive_prior import AutoregressivePrior, Codebook
from dalle2.networks.text_encoder import EncodedText
from dalle2.training.clip import ClipTowers
from dalle2.training.recipe import AutoregressivePriorRecipe
from dalle2.training.stage import TrainingStage

_FIRST = 8


class AutoregressivePriorStage(TrainingStage):
    """Cross entropy of each bucket given the text, the dot product and the buckets before it.

    Args:
        towers: the frozen CLIP. embeddings: (n, dim) of training pictures, and texts: (n, dim) of their captions,
            to which the axes and the buckets are fitted.
    """

    name = "prior_autoregressive"
    targets: torch.Tensor

    def __init__(
        self, plan: AutoregressivePriorRecipe, towers: ClipTowers, embeddings: torch.Tensor, texts: torch.Tensor
    ) -> None:
        super().__init__()
        self.plan, self.towers = plan, towers
        self.network = AutoregressivePrior(
            embedding_dim=embeddings.shape[1],
            context_length=towers.tokenizer.model_max_length,
            components=plan.components,
            buckets=plan.buckets,
            dot_buckets=plan.dot_buckets,
            width=plan.width,
            heads=plan.width // plan.head_dim,
            layers=plan.layers,
            dropout=plan.dropout,
        )
        fit_codebook(self.network.codebook, embeddings)
        self.network.dot_edges.copy_(inner_edges(torch.cosine_similarity(embeddings, texts), plan.dot_buckets))
        places = torch.arange(plan.buckets)
        targets = (-0.5 * ((places[:, None] - places) / plan.smoothing) ** 2).softmax(dim=1)
        self.register_buffer("targets", targets, persistent=False)  # a row for each true bucket

    def forward(self, batch: Batch, randomness: Randomness) -> dict[str, torch.Tensor]:
        network = self.network
        dropped = (randomness.uniform() < self.plan.text_drop).to(network.dot_edges.device)
        with torch.no_grad():
            embeddings = self.towers.embed_pictures(batch.pictures.to(dropped.device)).float()
            text = self.towers.read(batch.captions)
            codes = network.codebook.encode(embeddings)
            # Also where the text is left out: at sampling the unconditional half gets the same.
            dots = network.dot_codes(embeddings, text.embeddings)
            blank = self.towers.read([""])
            text = EncodedText(
                *(
                    torch.where(dropped.view(-1, *[1] * (rows.ndim - 1)), nothing, rows)
                    for rows, nothing in zip(text, blank, strict=True)
                )
            )
        chances = network(text, dots, codes[:, :-1]).float().log_softmax(dim=-1)
        surprise = -chances.gather(2, codes[..., None])[..., 0]
        return {
            "loss": -(self.targets[codes] * chances).sum(-1).mean(),
            "cross_entropy": surprise.mean(),
            "cross_entropy_first": surprise[:, :_FIRST].mean(),
        }

    def compiled(self) -> None:
        self.network.compile()

    def save(self, folder: Path) -> None:
        self.network.save_pretrained(folder / "prior_autoregressive")


@torch.no_grad()
def fit_codebook(codebook: Codebook, embeddings: torch.Tensor) -> None:
    """Fit axes and buckets to embeddings (n, dim); ValueError for fewer than there are buckets.

    Buckets are equally full, and stand for the mean of what falls into them: ten thousand pictures cannot fill the
    paper's 1,024 buckets of equal width.
    """
    components, buckets = codebook.centres.shape
    if len(embeddings) < max(buckets, components + 1):
        raise ValueError(f"{len(embeddings)} pictures are too few for {components} components in {buckets} buckets.")
    mean, axes = principal_axes(embeddings)
    codebook.mean.copy_(mean)
    codebook.axes.copy_(axes[:components])
    coordinates = codebook.project(embeddings)
    for component, column in enumerate(coordinates.T):
        codebook.edges[component].copy_(inner_edges(column, buckets))
    codes = codebook.encode(embeddings)
    counts = torch.zeros(components, buckets).scatter_add_(1, codes.T, torch.ones(components, len(codes)))
    totals = torch.zeros(components, buckets).scatter_add_(1, codes.T, coordinates.T.contiguous())
    # Where many values are equal a bucket stays empty: it is never drawn, and may stand for its own edge.
    lower = torch.cat([codebook.edges[:, :1], codebook.edges], dim=1)
    codebook.centres.copy_(torch.where(counts > 0, totals / counts.clamp(min=1), lower))


def inner_edges(values: torch.Tensor, buckets: int) -> torch.Tensor:
    """Return the edges (buckets - 1,) that split values (n,) into equally full buckets."""
    return torch.quantile(values.double(), torch.linspace(0, 1, buckets + 1, dtype=torch.float64)[1:-1])
