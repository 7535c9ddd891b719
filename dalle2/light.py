"""A checkpoint that has graphs beside its weights, as it is known without torch, and pictures of prompts by it.

`dalle2_runner` draws them. What torch draws comes out the same, to 1e-4 before levels are rounded.
"""

import json
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from dalle2.settings import Settings
from dalle2.understanding.answer import Understanding, literal
from dalle2.understanding.sentences import NotUnderstood

NAME = "emoji"
FOLDER = Path(__file__).parent / "checkpoints" / NAME
GPU = Path("/dev/nvidia0")  # which draws faster
INDEX = "graphs/index.json"  # as in `dalle2.portable`, which imports more
PACKAGES = ("numpy", "onnxruntime")  # that decide a picture
MADE = {"device": "cpu", "dtype": "float32", "engine": "onnxruntime"}


class Light:
    """What of a checkpoint that has graphs beside its weights is known without its networks."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, place(name)
        said = json.loads((self.folder / "dalle2.json").read_text(encoding="utf-8"))
        self.settings, self.styles = Settings.from_dict(said["settings"]), tuple(said.get("styles", ()))

    @cached_property
    def checkpoint_hash(self) -> str:
        """The hash of its files, as `families` make it."""
        from dalle2.portable import fingerprint

        return fingerprint(self.folder)

    def understood(self, prompt: str) -> Understanding:
        """Return what the prompt is taken for; NotUnderstood where nothing is known of it."""
        from dalle2.understanding.interpreter import Interpreter

        interpreter = Interpreter.of(self.folder, self.styles, self.checkpoint_hash)
        found = literal(prompt) if interpreter is None else interpreter.understand(prompt)
        if not found.known:
            raise NotUnderstood(found)
        return found


def place(name: str) -> Path:
    """Return the folder of a checkpoint that is named so, there or not."""
    return FOLDER if name == NAME else Path(name).expanduser()


def is_here(name: str) -> bool:
    """Whether pictures of this checkpoint can be drawn here without torch, and not faster by a GPU."""
    return (place(name) / INDEX).is_file() and not GPU.exists() and find_spec("onnxruntime") is not None


def draws(settings: Settings) -> bool:
    """Whether the runner takes the steps that these settings ask for."""
    from dalle2_runner.steps import SCHEDULERS

    stages = settings.stages.values()
    plain = all(stage.scheduler in SCHEDULERS and not stage.eta and stage.times == 1 for stage in stages)
    return plain and settings.prior is not None and settings.prior.kind == "diffusion"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of what draws, for a record."""
    return {name: version(name) for name in packages}


def pictures(pixels: np.ndarray) -> list[Image.Image]:
    """Return pixels (n, 3, size, size) in about -1..1 as pictures; ValueError for what is not finite."""
    if not np.isfinite(pixels).all():
        raise ValueError("The pixels hold numbers that are not finite: no picture can be made of them.")
    levels = ((pixels * np.float32(0.5) + np.float32(0.5)).clip(0, 1) * 255).round().astype(np.uint8)
    return [Image.fromarray(picture.transpose(1, 2, 0)) for picture in levels]
