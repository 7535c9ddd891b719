"""Tiny random ECLIPSE priors, in the layout in which they are published."""

import json
from pathlib import Path

import tiny
import torch

from dalle2.networks.eclipse_prior import EclipsePrior

SIZES = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "embedding_dim": 32}


def eclipse(**changes: object) -> EclipsePrior:
    torch.manual_seed(5)
    prior = EclipsePrior(**{**SIZES, "num_embeddings": tiny.CONTEXT, **changes})
    with torch.no_grad():
        prior.positional_embedding.normal_()
        prior.prd_embedding.normal_()
    return prior.eval()


def twin(prior: torch.nn.Module, folder: Path) -> Path:
    """The layout in which they are published: the network's files in the repository itself, no model_index.json."""
    folder.mkdir(parents=True)
    config = {name: value for name, value in prior.config.items() if not name.startswith("_")}
    config |= {"_class_name": "PriorTransformer", "_diffusers_version": "0.21.4"}
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(prior.state_dict(), folder / "diffusion_pytorch_model.bin")
    return folder
