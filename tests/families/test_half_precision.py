"""Every family in half precision, and with the tokens of 2022: all its kinds of tasks go through all its networks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import stable_twin
import tiny_eclipse
import tiny_kandinsky
import torch
from PIL import Image

from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.settings import Settings, Step

PICTURE = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (0, 0, 16, 32))
Place = Callable[[Path, Path], str]


def kandinsky(version: str, inpainting: bool) -> Place:
    return lambda folder, karlo: str(tiny_kandinsky.twins(tiny_kandinsky.parts(inpainting, version=version), folder)[1])


def stable(folder: Path, karlo: Path) -> str:
    return f"{karlo}+{stable_twin.write(stable_twin.parts(), folder / 'stable')}"


def eclipse(folder: Path, karlo: Path) -> str:
    prior = tiny_eclipse.twin(tiny_eclipse.eclipse(), folder / "eclipse")
    return f"{prior}+{kandinsky('2.2', False)(folder, karlo)}"


PLACES: dict[str, Place] = {
    "Kandinsky 2.2, inpainting": kandinsky("2.2", True),
    "Kandinsky 2.1, inpainting": kandinsky("2.1", True),
    "Stable unCLIP": stable,
    "Kandinsky 2.2 with ECLIPSE's prior": eclipse,
}


@pytest.mark.parametrize("family", PLACES)
def test_a_family_draws_in_half_precision_about_the_same(family: str, karlo_text: Path, tmp_path: Path) -> None:
    place = PLACES[family](tmp_path, karlo_text)
    half, whole = load(place, dtype=torch.bfloat16), load(place)
    networks = [part for part in half.parts.present().values() if isinstance(part, torch.nn.Module)]
    assert {weight.dtype for network in networks for weight in network.parameters()} == {torch.bfloat16}
    quick = half.settings.changed({stage: {"num_inference_steps": 2} for stage in half.stages})
    for first, second in zip(pictures(half, quick), pictures(whole, quick), strict=True):
        levels = np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int))
        assert first.size == second.size and levels.mean() < 24


def pictures(model: UnclipModel, quick: Settings) -> list[Image.Image]:
    """One of each kind of task that the model can do, and a preview."""
    seen: list[Image.Image] = []

    def look(step: Step) -> None:
        seen.extend(step.pictures())

    drawn = model.text_to_image(["a cat"], seeds=[1], settings=quick, on_step=look)
    drawn += model.variations(PICTURE, seeds=[1], settings=quick)
    drawn += model.reconstruct([PICTURE], seeds=[1], settings=quick.for_inversion(2))
    if "inpaint" in model.capabilities:
        drawn += model.inpaint(PICTURE, MASK, seeds=[1], prompt="a cat", settings=quick)
    return [*drawn, seen[-1]]


@pytest.mark.parametrize("family", ["Kandinsky 2.1, inpainting", "Stable unCLIP"])
def test_a_family_reads_prompts_as_in_2022_where_that_is_asked(family: str, karlo_text: Path, tmp_path: Path) -> None:
    place = PLACES[family](tmp_path, karlo_text)
    old, new = load(place, tokenizer="2022"), load(place)
    for prompt, same in (("a cat", True), ("it's a café", False)):
        assert torch.equal(old.embed_text([prompt]), new.embed_text([prompt])) == same
