"""Tiny random checkpoints, made once a session; nothing is downloaded."""

from pathlib import Path

import pytest
import tiny
import torch
from conftest import QUICK

from dalle2.datasets.phrases import Phrases
from dalle2.families import EMBEDDED, load
from dalle2.families.karlo import layout
from dalle2.model import UnclipModel
from dalle2.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def _quiet_threads() -> None:
    """The networks are so small that threads only cost."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder like the embedded one: all parts, predicting clean pictures, with a dalle2.json."""
    description = {"settings": QUICK.to_dict(), "styles": ["twemoji", "noto"], "examples": ["a cat face"]}
    phrases = Phrases(("cat", "cat face", "dog"), ("noto", "twemoji"), ("red", "orange"))
    folder = tmp_path_factory.mktemp("tiny") / "sample"
    return layout.write(tiny.parts("sample"), folder, description, phrases=phrases)


@pytest.fixture(scope="session")
def karlo_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin of kakaobrain/karlo-v1-alpha as published: predicts noise, .bin weights, no image encoder."""
    return tiny.karlo_twin(tiny.parts("epsilon", pad="!"), tmp_path_factory.mktemp("karlo") / "text")


@pytest.fixture(scope="session")
def karlo_variations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin of kakaobrain/karlo-v1-alpha-image-variations as published: no prior."""
    made = tiny.parts("epsilon", pad="!")
    return tiny.karlo_twin(made, tmp_path_factory.mktemp("karlo") / "variations", task="variations")


@pytest.fixture(scope="session")
def model(tiny_checkpoint: Path) -> UnclipModel:
    """The tiny checkpoint, loaded."""
    return load(tiny_checkpoint)


@pytest.fixture(scope="session")
def quick() -> Settings:
    """Settings of very few steps."""
    return QUICK


@pytest.fixture(scope="session")
def embedded() -> UnclipModel:
    """The embedded checkpoint as `load` opens it. Nobody changes it."""
    return load(EMBEDDED)


@pytest.fixture(scope="session")
def embedded_by_torch() -> UnclipModel:
    """The embedded checkpoint without another engine. Nobody changes it."""
    return load(EMBEDDED, engine="torch")
