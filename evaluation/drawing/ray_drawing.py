"""Generation over a Ray cluster: workers open the checkpoint and draw groups, whose files are written here."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dalle2 import atomic, images
from dalle2.cli.arguments import open_checkpoint
from dalle2.families.lora import split_weight
from dalle2.families.places import split_name
from dalle2.settings import Settings
from evaluation.cli.generation import Options
from evaluation.drawing.groups import begin, draw_group, present
from evaluation.networks import ray_map
from evaluation.pictures.manifest import Manifest


class Drawer:
    """A worker: draws the group of a number; ValueError where its machine has other weights."""

    def __init__(self, state: Any) -> None:
        options, self.manifest, self.settings = ray_map.received(state)
        torch.set_num_threads(self.manifest.threads)
        self.model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
        if self.model.checkpoint_hash != self.manifest.checkpoint_hash:
            raise ValueError(f"A machine of the cluster has another checkpoint {self.manifest.checkpoint}.")
        self.size = self.manifest.batch_size

    def __call__(self, row: Mapping[str, int]) -> dict[str, object]:
        """Return the files of a group and their contents."""
        group = self.manifest.groups[row["number"]]
        drawn, self.size = draw_group(self.model, group, self.settings, self.size)
        return {"files": [one.file for one in group], "pictures": [images.to_png(picture) for picture in drawn]}


def draw(options: Options, manifest: Manifest, settings: Settings) -> Iterator[None]:
    """Draw what the folder lacks, a group at a time; ValueError with what a worker had to say."""
    manifest = begin(options.out, manifest)
    there = present(options.out)
    lacking = [number for number, group in enumerate(manifest.groups) if {row.file for row in group} - there]
    state = (anywhere(options), manifest, settings)
    gpus = int(manifest.device == "cuda")
    bar = tqdm(desc="drawing over Ray", total=len(lacking), unit="batch", disable=not sys.stderr.isatty())
    with bar:
        for found in ray_map.over_ray(lacking, Drawer, state, options.ray or "", gpus):
            for file, data in zip(found["files"], found["pictures"], strict=True):
                if file not in there:
                    with atomic.file(options.out / file) as partial:
                        partial.write_bytes(data)
            bar.update()
            yield


def anywhere(options: Options) -> Options:
    """Return the options with absolute paths of checkpoints and LoRAs: workers may have been started elsewhere."""
    loras = []
    for text in options.loras:
        file, weight = split_weight(text)
        loras.append(f"{file.absolute()}={weight!r}")
    checkpoint = options.checkpoint
    if checkpoint:
        checkpoint = "+".join(_absolute(place) for place in split_name(checkpoint) if place is not None)
    return dataclasses.replace(options, checkpoint=checkpoint, loras=loras)


def _absolute(place: str) -> str:
    path = Path(place).expanduser()
    return str(path.absolute()) if path.exists() else place
