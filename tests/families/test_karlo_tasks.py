"""Karlo's tiny twins, in the layouts in which it was published, do every task that their capabilities name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from dalle2 import images
from dalle2.datasets.phrases import Phrases
from dalle2.families import load
from dalle2.families.karlo import layout
from dalle2.model import UnclipModel
from dalle2.settings import Settings

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
OTHER = Image.fromarray(np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8))
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (0, 0, 28, 40))
Draw = Callable[[UnclipModel, Settings], list[Image.Image]]


def ends(model: UnclipModel) -> list[str | Image.Image]:
    """Prompts where the checkpoint reads them, pictures where it sees them."""
    return (["a cat"] if "text_to_image" in model.capabilities else [PICTURE]) + (
        [OTHER] if "variations" in model.capabilities else ["a dog"]
    )


# By capability: what a task needs beside settings, and how many pictures come of it.
TASKS: dict[str, list[tuple[Draw, int]]] = {
    "text_to_image": [
        (lambda m, s: m.text_to_image(["a cat", "a dog"], seeds=[1, 2], settings=s), 2),
    ],
    "steps": [(lambda m, s: m.steps("a cat", seed=1, settings=s), 4 + 3)],
    "variations": [
        (lambda m, s: m.variations(PICTURE, seeds=[1, 2], settings=s), 2),
    ],
    "dimensions": [(lambda m, s: m.dimensions(PICTURE, [1, 2], seed=1, others=[PICTURE, OTHER], settings=s), 2)],
    "reconstruct": [
        (lambda m, s: m.reconstruct([PICTURE], seeds=[1], settings=s.for_inversion(3)), 1),
        (lambda m, s: m.variations(PICTURE, seeds=[1], settings=s.for_inversion(3), eta=0.5), 1),
        (lambda m, s: m.interpolate([PICTURE, OTHER], frames=3, seed=1, settings=s.for_inversion(3), noise="slerp"), 3),
    ],
    "interpolate": [(lambda m, s: m.interpolate(ends(m), frames=3, seed=1, settings=s), 3)],
    "mix": [(lambda m, s: m.mix([(end, 0.5) for end in ends(m)], seeds=[1, 2], settings=s), 2)],
    "text_diff": [
        (
            lambda m, s: m.text_diff(
                PICTURE, "a dog", seed=1, old="a cat", strengths=[0, 0.4], settings=s.for_text_diff(3)
            ),
            2,
        )
    ],
    "inpaint": [
        (lambda m, s: m.inpaint(PICTURE, MASK, seeds=[1], prompt=words(m), settings=s), 1),
    ],
    "outpaint": [(lambda m, s: m.outpaint(PICTURE, seeds=[1], prompt=words(m), settings=s), 1)],
    "enhance": [(lambda m, s: m.enhance([OTHER.resize((8, 8))], seeds=[1], settings=s), 1)],
    "attention": [(lambda m, s: m.attention("a cat", seed=1, settings=s), 3)],
}


def words(model: UnclipModel) -> str | None:
    """A prompt, where the checkpoint reads one; without, the picture itself says what to paint."""
    return "a cat" if "text_to_image" in model.capabilities else None


@pytest.fixture(scope="module", params=["text", "variations", "both"])
def karlo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UnclipModel:
    """Both published checkpoints, and their parts in one folder as our own layout has them."""
    made = tiny.parts("epsilon", pad="!")
    folder: Path = tmp_path_factory.mktemp("karlo") / request.param
    if request.param == "both":
        phrases = Phrases(("cat", "dog"), ("noto",))
        return load(layout.write(made, folder, {}, phrases=phrases))
    return load(tiny.karlo_twin(made, folder, task=request.param))


def test_every_capability_has_its_tasks(karlo: UnclipModel) -> None:
    assert karlo.capabilities - {"caption", "tour"} <= set(TASKS)  # these two have tests of their own
    if "caption" in karlo.capabilities:
        assert len(karlo.caption([PICTURE, OTHER], 2)) == 2


@pytest.mark.parametrize("capability", TASKS)
def test_it_does_what_it_says(karlo: UnclipModel, quick: Settings, capability: str) -> None:
    for draw, count in TASKS[capability]:
        if capability not in karlo.capabilities:
            with pytest.raises(ValueError, match="cannot do"):
                draw(karlo, quick)
            continue
        pictures = draw(karlo, quick)
        assert [picture.size for picture in pictures] == [(32, 32)] * count
        assert all(images.read_record(picture)["checkpoint"] == karlo.checkpoint for picture in pictures)
        assert all(np.asarray(picture).std() > 0 for picture in pictures)
