"""Folders as `evaluation.generation` leaves them, without a model."""

from pathlib import Path

import numpy as np
from PIL import Image

from dalle2 import images
from evaluation.pictures.manifest import Manifest, Row, write_manifest

CAPTIONS = ["a cat", "a dog face", "<b>a face</b> & more", "a cat face"]


def drawn(folder: Path, noise: int, count: int = 12, seed: int = 0) -> Path:
    """A folder as generation leaves it: pictures of a common motif each, with `noise` on them."""
    rows = []
    for index in range(count):
        motif = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        pixels = np.asarray(Image.fromarray(motif).resize((32, 32), Image.Resampling.NEAREST)).astype(int)
        if noise:
            pixels = pixels + np.random.default_rng(100 + index).integers(-noise, noise, pixels.shape)
        images.save(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), folder / f"{index:06d}.png")
        caption = CAPTIONS[index % len(CAPTIONS)]
        rows.append(Row(file=f"{index:06d}.png", id=str(index), caption=f"{caption} {index}", seed=seed + index))
    manifest = Manifest(
        prompts="made up",
        prompts_sha256="0" * 64,
        sampling={},
        pictures=count,
        seed=seed,
        checkpoint="nobody/nothing",
        checkpoint_hash="1" * 64,
        settings={"decoder": {"num_inference_steps": noise}},
        picture_size=32,
        batch_size=4,
        device="cpu",
        dtype="float32",
        compiled=False,
        threads=1,
        versions={},
        command="by hand",
        rows=tuple(rows),
    )
    write_manifest(manifest, folder)
    return folder
