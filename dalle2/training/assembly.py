"""A finished run as a checkpoint: the stages' parts in one folder, in half precision."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dalle2.datasets.phrases import Phrases
from dalle2.families.karlo import layout
from dalle2.training.loop import read_reports
from dalle2.training.recipe import Recipe


def assemble(run: Path, recipe: Recipe, checkpoint: Path, styles: Sequence[str], phrases: Phrases | None) -> None:
    """Gather the parts below `run`, a folder for each stage, in a checkpoint folder; the recipe travels along.

    `styles` are those that its captions name, `phrases` the words that they are made of.
    """
    parts: dict[str, Any] = {}
    for name, kind in (layout.NETWORKS | layout.OTHERS).items():
        # The text tower may have two stages: the last one has it as it is.
        stage = next(stage for stage in reversed(recipe.stages) if (run / stage / name).exists())
        parts[name] = kind.from_pretrained(run / stage, subfolder=name)
    description = {
        "settings": recipe.settings,
        "styles": styles,
        "examples": recipe.examples,
        "subject": recipe.subject,
        "recipe": recipe.model_dump(mode="json"),
    }
    if reports := read_reports(run):
        description["training"] = reports  # against the clock, what the recipe cannot tell
    layout.write(layout.Parts(**parts), checkpoint, description, torch.float16, phrases)


def add_priors(run: Path, recipe: Recipe, checkpoint: Path) -> None:
    """Put the other priors into the checkpoint, which may have been made before they were trained."""
    for name, kind in layout.OTHER_PRIORS.items():
        if name in recipe.stages and not (checkpoint / name).exists():
            prior = kind.from_pretrained(run / name, subfolder=name)
            layout.write_prior(prior, checkpoint, name, torch.float16)
