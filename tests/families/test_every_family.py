"""What holds for every published checkpoint, on tiny twins by their published names, from a hub of this machine.

A seed is a picture's own, and the ruler measures.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub import serving
from PIL import Image
from published_twins import PARTNERS, SOURCES, publish

import evaluation
from dalle2.families import load
from dalle2.families.stable_unclip import load as stable_unclip
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from evaluation.drawing.generation import generate
from evaluation.prompts.prompt_sets import read_prompts

TOLERANCE = 1e-4
PICTURE = Image.linear_gradient("L").convert("RGB")


@pytest.fixture(scope="module", autouse=True)
def _hub(karlo_text: Path, karlo_variations: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with serving(tmp_path_factory.mktemp("cache")) as hub:
        publish(hub, tmp_path_factory.mktemp("published"), karlo_text, karlo_variations)
        yield


@pytest.mark.parametrize("source", SOURCES)
def test_a_seed_is_a_pictures_own_and_the_ruler_measures(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stable_unclip, "PARTNERS", PARTNERS[source])
    model = load(source)
    quick = model.settings.changed({stage: {"num_inference_steps": 2} for stage in model.stages})
    for negative, scale in (
        (None, 1.0),
        ("", 2.0),
    ):  # more guidance makes more of rounding: of random weights, too much
        guided = quick.changed({stage: {"guidance_scale": scale} for stage in model.stages if stage != "upsampler"})
        _check_seeds(model, dataclasses.replace(guided, negative_prompt=negative))
    drawn = _draw(model, quick, tmp_path)
    assert abs(evaluation.compute_fid(drawn, drawn, network="judge").measures[0].value) < 1e-3


def _check_seeds(model: UnclipModel, settings: Settings) -> None:
    """The third of eight is the same alone."""
    if "text_to_image" in model.capabilities:
        embeddings = model.embed_prompt(["a cat"] * 8, range(8), settings)
        alone = model.embed_prompt(["a cat"], [2], settings)
    else:
        alone = model.embed_image([PICTURE])
        embeddings = alone.expand(8, -1)
    assert (embeddings[2] - alone[0]).abs().max() <= TOLERANCE
    generators = [torch.Generator().manual_seed(seed) for seed in range(8)]
    pixels = model.decode_pixels(embeddings, generators, ["a cat"] * 8, settings)
    assert (pixels[2] - model.decode_pixels(alone, [2], ["a cat"], settings)[0]).abs().max() <= TOLERANCE


def _draw(model: UnclipModel, settings: Settings, folder: Path) -> str:
    """A folder of four pictures: of prompts, or of a picture where there is no prior."""
    drawn = folder / "drawn"
    if "text_to_image" in model.capabilities:
        (folder / "prompts.txt").write_text("a cat\na dog\ntwo cats\na face\n")
        generate(model, read_prompts(str(folder / "prompts.txt")), drawn, settings=settings)
    else:
        drawn.mkdir()
        for index, picture in enumerate(model.variations(PICTURE, seeds=range(4), settings=settings)):
            picture.save(drawn / f"{index}.png")
    return str(drawn)
