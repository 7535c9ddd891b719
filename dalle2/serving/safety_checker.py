"""Diffusers' safety checker, as Stable Diffusion was published with: how near a picture is, in CLIP, to unfit concepts.

It is opened as it was published, as a repository of its own or as the part `safety_checker` of a pipeline's folder.
What was written before transformers 5 has other names for the same weights. Each must find its place, because a checker
with random weights would let everything pass.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from PIL import Image
from safetensors.torch import load_file

from dalle2.families.places import locate
from dalle2.families.weights import NotWeightsAlone, check_readable, choose_weights
from dalle2.serving.safety import Rate

PUBLISHED = "CompVis/stable-diffusion-safety-checker"
OLD_PREFIX, PREFIX = "vision_model.vision_model.", "vision_model."
BUFFER = "embeddings.position_ids"  # that transformers wrote before version 5


def cached() -> str | None:
    """Return PUBLISHED where the hub's cache on this machine has it, without asking the hub; else None."""
    config = try_to_load_from_cache(PUBLISHED, "config.json")
    there = isinstance(config, str) and choose_weights(
        [file.name for file in Path(config).parent.iterdir()], torch.float32
    )
    return PUBLISHED if there else None


def folder_of(place: str | Path) -> Path:
    """Return the folder with the checker's files; ValueError where there is none."""
    folder = locate(place, torch.float32)
    folder = folder / "safety_checker" if (folder / "safety_checker").is_dir() else folder
    names = [file.name for file in folder.iterdir()]
    if "config.json" not in names or not choose_weights(names, torch.float32):
        raise ValueError(
            f"{place} is not a safety checker, which has config.json and weights: give diffusers' own, as {PUBLISHED}."
        )
    return folder


def safety_checker(place: str | Path) -> Rate:
    """Open a folder or an id of the hub; ValueError says what is wrong with it.

    A picture is rated 1 where a concept of the checker's is nearer than its threshold, else 0.
    """
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    folder = folder_of(place)
    checker = StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(folder)).eval()
    found = _weights(folder)
    wanted = checker.state_dict()
    wrong = [name for name in wanted if name not in found or found[name].shape != wanted[name].shape]
    wrong += sorted(found.keys() - wanted.keys())
    if wrong:
        raise ValueError(f"{place} has not the weights of a safety checker: {wrong[0]} is missing or of another shape.")
    checker.load_state_dict(found)
    processor = _processor(folder, checker.config.vision_config.image_size)

    def rate(pictures: Sequence[Image.Image]) -> list[float]:
        seen = processor(images=[picture.convert("RGB") for picture in pictures], return_tensors="pt").pixel_values
        _, unfit = checker(seen, [np.zeros(1) for _ in pictures])  # it would paint them black
        return [float(one) for one in unfit]

    return rate


def _weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """Return the weights by the names that today's transformers gives them."""
    found: dict[str, torch.Tensor] = {}
    for name in choose_weights([file.name for file in folder.iterdir()], torch.float32):
        file = folder / name
        try:
            check_readable(file)
        except NotWeightsAlone as error:
            raise ValueError(f"{file} does not hold weights alone: give the safety checker as safetensors.") from error
        found |= load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    renamed = {name.replace(OLD_PREFIX, PREFIX, 1): value.float() for name, value in found.items()}
    return {name: value for name, value in renamed.items() if not name.endswith(BUFFER)}


def _processor(folder: Path, side: int) -> Any:
    """Return how the checker's pictures are made: as its files say, or as CLIP's are."""
    from transformers import CLIPImageProcessor

    for place in (folder, folder.parent / "feature_extractor"):
        if (place / "preprocessor_config.json").is_file():
            return CLIPImageProcessor.from_pretrained(place)
    return CLIPImageProcessor(size=side, crop_size=side)
