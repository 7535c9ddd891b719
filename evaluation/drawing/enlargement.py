"""The upsampler alone: real pictures made small and enlarged again, by it and by a bicubic filter."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from dalle2.cli.arguments import add_arguments, chosen_settings, open_checkpoint
from dalle2.images import to_pictures, to_tensor
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from evaluation.metrics.similarity import compare

MANY = 8  # pictures enlarged at a time


def open_drawer(words: Sequence[str]) -> tuple[UnclipModel, Settings]:
    """Return the model and settings that a contestant's words name: a checkpoint and options of generation's.

    ValueError for options that cannot be read, and for a checkpoint that cannot be opened.
    """
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    try:
        options, _ = parser.parse_known_args(["--checkpoint", *words])
    except argparse.ArgumentError as error:
        raise ValueError(f"{' '.join(words)}: {error}") from error
    model = open_checkpoint(options, options.checkpoint, options.dtype or "float32")
    return model, chosen_settings(options, model)


def shrunk(pictures: Sequence[Image.Image], factor: int) -> torch.Tensor:
    """Pictures of one size -> (n, 3, h, w), `factor` times smaller, in [-1, 1], as in its training."""
    small = pictures[0].width // factor
    return torch.nn.functional.interpolate(to_tensor(list(pictures)), size=(small, small), mode="area")


def enlarged(
    model: UnclipModel, pictures: Sequence[Image.Image], seeds: Sequence[int], settings: Settings | None = None
) -> list[Image.Image]:
    """Return the pictures, made small and enlarged by the model."""
    return to_pictures(model.upsample(shrunk(pictures, model.upsampling), seeds, settings))


def psnr_and_bicubic(
    model: UnclipModel, pictures: Sequence[Image.Image], settings: Settings | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the PSNR in dB (n,) of the model's enlargements and of the bicubic filter's; picture i has `seed` + i."""
    model.require("enhance")
    ours, bicubic = [], []
    for start in range(0, len(pictures), MANY):
        real = pictures[start : start + MANY]
        made = enlarged(model, real, range(seed + start, seed + start + len(real)), settings)
        small = to_pictures(shrunk(real, model.upsampling))
        plain = [one.resize(whole.size, Image.Resampling.BICUBIC) for one, whole in zip(small, real, strict=True)]
        ours += [compare(one, whole).psnr for one, whole in zip(made, real, strict=True)]
        bicubic += [compare(one, whole).psnr for one, whole in zip(plain, real, strict=True)]
    return np.array(ours), np.array(bicubic)
