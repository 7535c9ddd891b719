"""Tiny priors that were never trained, and checkpoints that hold all three kinds."""

import dataclasses
from pathlib import Path

import pytest
import tiny
import torch

from dalle2.families import load
from dalle2.families.karlo import layout
from dalle2.model import UnclipModel
from dalle2.networks.autoregressive_prior import AutoregressivePrior
from dalle2.networks.linear_prior import LinearPrior
from dalle2.networks.text_encoder import EncodedText
from dalle2.settings import Settings
from dalle2.training.autoregressive_prior import fit_codebook

TRAINED = ("diffusion", "autoregressive", "linear")  # the kinds that a recipe trains
DIM, COMPONENTS, BUCKETS, DOTS = 32, 6, 8, 4


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def embeddings(count: int = 400, dim: int = DIM) -> torch.Tensor:
    """Embeddings off the origin whose spread falls along hidden axes."""
    turn = torch.linalg.qr(numbers(dim, dim, seed=1)).Q
    return numbers(count, dim) * torch.linspace(2, 0.1, dim) @ turn + numbers(dim, seed=2)


def autoregressive(seed: int = 0) -> AutoregressivePrior:
    torch.manual_seed(seed)
    prior = AutoregressivePrior(
        embedding_dim=DIM,
        context_length=tiny.CONTEXT,
        components=COMPONENTS,
        buckets=BUCKETS,
        dot_buckets=DOTS,
        width=16,
        heads=2,
        layers=2,
    ).eval()
    fit_codebook(prior.codebook, embeddings())
    with torch.no_grad():  # as drawn, all buckets are nearly alike
        prior.transformer.wte.weight *= 12
        prior.dot_edges.copy_(torch.tensor([-0.2, 0.0, 0.2]))
    return prior


def linear(seed: int = 0) -> LinearPrior:
    torch.manual_seed(seed)
    return LinearPrior(embedding_dim=DIM).eval()


def texts(count: int, seed: int = 5) -> EncodedText:
    """Encoded texts of 3, 4, 5, ... tokens."""
    lengths = 3 + torch.arange(count)[:, None]
    mask = torch.arange(tiny.CONTEXT)[None] < lengths
    return EncodedText(numbers(count, DIM, seed=seed), numbers(count, tiny.CONTEXT, DIM, seed=seed + 1), mask)


@pytest.fixture(scope="session")
def three_parts() -> layout.Parts:
    return dataclasses.replace(tiny.parts(), prior_autoregressive=autoregressive(), prior_linear=linear())


@pytest.fixture(scope="session")
def three_folder(tmp_path_factory: pytest.TempPathFactory, three_parts: layout.Parts, quick: Settings) -> Path:
    """The tiny checkpoint with all three priors."""
    return layout.write(three_parts, tmp_path_factory.mktemp("priors") / "three", {"settings": quick.to_dict()})


@pytest.fixture(scope="session")
def three(three_folder: Path) -> UnclipModel:
    return load(three_folder)


def with_prior(settings: Settings, kind: str, **changes: object) -> Settings:
    return dataclasses.replace(settings, prior=dataclasses.replace(settings.prior, kind=kind, **changes))
