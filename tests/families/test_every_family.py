"""What holds for all families, on tiny twins as published: a seed is a picture's own, and the ruler measures."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import stable_twin
import tiny_kandinsky
import torch

import evaluation
from dalle2.families import load
from evaluation.drawing.generation import generate
from evaluation.prompts.prompt_sets import read_prompts

TOLERANCE = 1e-4


def kandinsky(tmp_path: Path, inpainting: bool = False, version: str = "2.2") -> str:
    prior, decoder = tiny_kandinsky.twins(tiny_kandinsky.parts(inpainting, version=version), tmp_path)
    return f"{prior}+{decoder}"


FAMILIES: dict[str, Callable[[Path, Path], str]] = {
    "Karlo": lambda _, karlo: str(karlo),
    "Stable unCLIP": lambda folder, karlo: f"{karlo}+{stable_twin.write(stable_twin.parts(), folder / 'stable')}",
    "Kandinsky 2.2": lambda folder, _: kandinsky(folder),
    "Kandinsky 2.2 for inpainting": lambda folder, _: kandinsky(folder, inpainting=True),
    "Kandinsky 2.1": lambda folder, _: kandinsky(folder, version="2.1"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_is_a_pictures_own_and_the_ruler_measures(family: str, karlo_text: Path, tmp_path: Path) -> None:
    model = load(FAMILIES[family](tmp_path, karlo_text))
    quick = model.settings.changed({stage: {"num_inference_steps": 3} for stage in model.stages})
    for negative, scale in ((None, 1.0), (None, 4.0), ("", 4.0)):
        guided = quick.changed({stage: {"guidance_scale": scale} for stage in ("prior", "decoder")})
        settings = dataclasses.replace(guided, negative_prompt=negative)
        embeddings = model.embed_prompt(["a cat"] * 8, range(8), settings)
        alone = model.embed_prompt(["a cat"], [2], settings)
        assert (embeddings[2] - alone[0]).abs().max() <= TOLERANCE
        generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
        pixels = model.decode_pixels(embeddings, generators, ["a cat"] * 8, settings)
        assert (pixels[2] - model.decode_pixels(alone, [2], ["a cat"], settings)[0]).abs().max() <= TOLERANCE
    (tmp_path / "prompts.txt").write_text("a cat\na dog\ntwo cats\na face\n")
    drawn = str(tmp_path / "drawn")
    generate(model, read_prompts(str(tmp_path / "prompts.txt")), tmp_path / "drawn", settings=quick)
    assert abs(evaluation.compute_fid(drawn, drawn, network="judge").measures[0].value) < 1e-3
