"""What was drawn once is drawn again: pictures of every task with their records, as an earlier version left them.

They lie in `records/`, one folder a case; `python tests/tasks/test_records.py CASE` draws a new case's there.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dalle2 import images
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.settings import Settings
from dalle2.tasks.enhance import FORMER_FACTOR, Enhance

FOLDER = Path(__file__).parent / "records"
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
OTHER = Image.fromarray(np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8))
SMALL = OTHER.resize((12, 12))
MASK = Image.new("L", PICTURE.size, 0)
MASK.paste(255, (0, 0, 28, 40))
# A prompt and checkpoint's own styles, drawn by the embedded weights.
HEART = "a red heart, twemoji style"

# What records called some tasks before a task had one name in every room.
FORMER = {
    "reconstruction": "reconstruct",
    "interpolation": "interpolate",
    "inpainting": "inpaint",
    "outpainting": "outpaint",
    "enhancement": "enhance",
}

Drawn = list[Image.Image]


def against(settings: Settings, negative: str) -> Settings:
    return dataclasses.replace(settings, negative_prompt=negative)


def few(model: UnclipModel) -> Settings:
    """Few steps of a checkpoint that has many, with its own schedulers and guidance."""
    own, steps = model.settings, {"prior": 3, "decoder": 4, "upsampler": 3}
    changes = {
        name: dataclasses.replace(getattr(own, name), num_inference_steps=count) for name, count in steps.items()
    }
    return dataclasses.replace(own, **changes)


# By the tiny checkpoint of the tests.
TINY: dict[str, Callable[[UnclipModel, Settings], Drawn]] = {
    "text_to_image": lambda model, quick: model.text_to_image(["a cat face", "a dog"], seeds=[1, 7], settings=quick),
    "text_to_image-negative": lambda model, quick: model.text_to_image(
        ["a cat"], seeds=[5], settings=against(quick, "a dog")
    ),
    "variations": lambda model, quick: model.variations(PICTURE, seeds=[1, 2], settings=quick),
    "variations-prompt": lambda model, quick: model.variations(PICTURE, seeds=[3], prompt="a cat", settings=quick),
    "variations-eta": lambda model, quick: model.variations(
        PICTURE, seeds=[4], settings=quick.for_inversion(3), eta=0.5
    ),
    "reconstruct": lambda model, quick: model.reconstruct(
        [PICTURE, OTHER], seeds=[1, 2], settings=quick.for_inversion(3)
    ),
    "interpolate": lambda model, quick: model.interpolate([PICTURE, "a cat", OTHER], frames=4, seed=6, settings=quick),
    "interpolate-prompts": lambda model, quick: model.interpolate(
        ["a cat", "a dog"], frames=3, seed=6, settings=quick, loop=True
    ),
    "interpolate-slerp": lambda model, quick: model.interpolate(
        [PICTURE, OTHER], frames=[0.25, 0.75], seed=6, settings=quick.for_inversion(3), noise="slerp"
    ),
    "mix": lambda model, quick: model.mix(
        [(PICTURE, 1.0), ("a cat", 0.5), (OTHER, -0.3)], seeds=[4, 5], settings=quick
    ),
    "mix-prompts": lambda model, quick: model.mix([("a cat", 0.7), ("a dog", 0.3)], seeds=[4], settings=quick),
    "text_diff": lambda model, quick: model.text_diff(
        PICTURE, "a cat", seed=6, old="a dog", strengths=[0.0, 0.6], settings=quick.for_text_diff(3)
    ),
    "text_diff-slerp": lambda model, quick: model.text_diff(
        PICTURE, "a cat", seed=6, strengths=[0.4], settings=quick.for_text_diff(3), way="slerp"
    ),
    "inpaint": lambda model, quick: model.inpaint(PICTURE, MASK, seeds=[1, 2], settings=quick),
    "inpaint-prompt": lambda model, quick: model.inpaint(PICTURE, MASK, seeds=[3], prompt="a dog", settings=quick),
    "outpaint": lambda model, quick: model.outpaint(
        PICTURE, seeds=[1], prompt="a cat", settings=quick, share=0.6, anchor=(0.0, 1.0), blend=False
    ),
    "enhance": lambda model, quick: model.enhance([SMALL], seeds=[4], settings=quick),
    "enlarge": lambda model, quick: Enhance(SMALL, 40, FORMER_FACTOR).draw(model, [4], quick),
    "dimensions": lambda model, quick: model.dimensions(PICTURE, [0, 3], seed=6, settings=quick),
    "steps": lambda model, quick: model.steps("a cat", seed=6, settings=quick),
    "tour": lambda model, quick: model.tour("a cat face", seed=6, settings=quick),
    "attention": lambda model, quick: model.attention("a cat, dog!", seed=6, settings=quick),
}
# By the embedded checkpoint.
EMBEDDED: dict[str, Callable[[UnclipModel, Settings], Drawn]] = {
    "emoji-text_to_image": lambda model, few: model.text_to_image(["heart", HEART], seeds=[1, 2], settings=few),
    "emoji-draft": lambda model, few: model.text_to_image([HEART], seeds=[3], settings=few.for_draft(), literal=True),
    "emoji-mix": lambda model, few: model.mix([("a cat face", 0.6), (HEART, 0.4)], seeds=[4], settings=few),
    "emoji-interpolate": lambda model, few: model.interpolate(
        [HEART, "a cat face"], frames=[0.5], seed=5, settings=few
    ),
    "emoji-variations": lambda model, few: model.variations(kept("emoji-text_to_image")[1], seeds=[6], settings=few),
}


def kept(case: str) -> Drawn:
    files = sorted((FOLDER / case).glob("*.png"), key=lambda file: int(file.stem))
    return [images.open_with_record(file) for file in files]


def difference(first: Image.Image, second: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(first).astype(int) - np.asarray(second))


def told(picture: Image.Image) -> dict[str, object]:
    """A picture's record, without what belongs to the machine and the folder that it was drawn in.

    Its settings are as they would be written today: version 0.1 wrote all of a prior's values for every stage.
    """
    elsewhere = ("checkpoint", "checkpoint_hash", "versions", "device")
    record = {key: value for key, value in images.read_record(picture).items() if key not in elsewhere}
    task, settings = FORMER.get(record["task"], record["task"]), Settings.from_dict(record["settings"]).to_dict()
    return record | {"task": task, "settings": settings}


@pytest.mark.parametrize("case", TINY)
def test_every_task_draws_and_records_as_it_did(case: str, model: UnclipModel, quick: Settings) -> None:
    drawn, then = TINY[case](model, quick), kept(case)
    for picture, before in zip(drawn, then, strict=True):
        assert difference(picture, before).max() <= 1
        assert told(picture).items() >= told(before).items()


@pytest.mark.parametrize("case", EMBEDDED)
def test_the_embedded_checkpoint_draws_and_records_as_it_did(case: str, embedded: UnclipModel) -> None:
    drawn, then = EMBEDDED[case](embedded, few(embedded)), kept(case)
    for picture, before in zip(drawn, then, strict=True):
        # Trained networks make more of another machine's rounding, but of no other task's picture.
        assert difference(picture, before).mean() <= 0.5
        assert told(picture).items() >= told(before).items()


@pytest.mark.parametrize("case", ["text_to_image", "text_to_image-negative", "interpolate-prompts", "mix-prompts"])
def test_an_old_record_is_redrawn(case: str, model: UnclipModel) -> None:
    for before in kept(case):
        assert difference(model.redraw(images.read_record(before)), before).max() <= 1


@pytest.mark.parametrize("case", [case for case in TINY if case not in ("dimensions", "tour")])  # the one cannot; below
def test_with_its_pictures_every_old_record_is_redrawn(case: str, model: UnclipModel) -> None:
    pictures = [PICTURE, OTHER, SMALL, MASK]
    for before in kept(case):
        assert difference(model.redraw(images.read_record(before), pictures=pictures), before).max() <= 1


def test_a_station_of_a_tour_is_redrawn(model: UnclipModel) -> None:
    """One of each part, as each takes the whole way again."""
    parts = {images.read_record(before)["part"]: before for before in kept("tour")}
    assert list(parts) == ["text", "imagined", "drawn", "steps", "word", "axes"]
    for part in ("imagined", "word"):
        assert difference(model.redraw(images.read_record(parts[part])), parts[part]).max() <= 1, part


def test_an_enlarged_picture_is_redrawn_as_it_was_enlarged(model: UnclipModel, quick: Settings) -> None:
    """By whatever seed and settings, as the API and `enhance --seed` have them, and not only by the default ones."""
    (small,) = model.text_to_image(["a cat"], seeds=[5], settings=quick)
    one, three = quick.changed({"upsampler": {"num_inference_steps": 1}}), quick
    larges = [model.enlarge(small, 40, seed=seed, settings=by) for seed in (0, 9) for by in (one, three)]
    for large in larges:
        assert difference(model.redraw(images.read_record(large)), large).max() <= 1
    assert min(difference(large, larges[0]).max() for large in larges[1:]) > 1


def test_a_picture_that_was_enlarged_several_times_is_redrawn(model: UnclipModel, quick: Settings) -> None:
    """Its record kept the last size alone, to which it was then enlarged at once."""
    tiny = PICTURE.resize((8, 8))
    (enhanced,) = model.enhance([tiny], seeds=[3], settings=quick)
    enlarged = model.enlarge(tiny, 12, seed=5, settings=quick)
    for picture, sizes in ((enhanced, [40]), (enlarged, [30, 70])):
        large = picture
        for seed, size in enumerate(sizes):
            large = model.enlarge(large, size, seed=seed, settings=quick)
        record = images.read_record(large)
        assert large.width == sizes[-1] and record["seed"] in (3, 5)
        assert [how["size"] for how in record.get("enlarged_again", [record])] == sizes
        assert difference(model.redraw(record, pictures=[tiny]), large).max() == 0


def test_what_a_record_does_not_say_is_not_guessed(model: UnclipModel) -> None:
    for case in ("variations", "inpaint", "enlarge"):  # without the pictures
        with pytest.raises(ValueError, match="started from other pictures"):
            model.redraw(images.read_record(kept(case)[0]), pictures=[OTHER])
    axes = images.read_record(kept("dimensions")[1])  # it does not say whose axes they were
    with pytest.raises(ValueError, match="needs more than its record"):
        model.redraw(axes, pictures=[PICTURE])
    now = TINY["dimensions"](model, model.settings)[1]
    assert difference(model.redraw(images.read_record(now), pictures=[PICTURE]), now).max() <= 1


@pytest.mark.parametrize("case", ["emoji-text_to_image", "emoji-draft", "emoji-mix", "emoji-interpolate"])
def test_an_old_record_of_the_embedded_checkpoint_is_redrawn(case: str, embedded: UnclipModel) -> None:
    for before in kept(case):
        assert difference(embedded.redraw(images.read_record(before)), before).mean() <= 0.5


def keep(cases: list[str]) -> None:
    """Draw these cases into `records/`."""
    import tempfile

    import conftest
    import tiny

    from dalle2.families.karlo import layout

    with tempfile.TemporaryDirectory() as folder:
        description = {"settings": conftest.QUICK.to_dict(), "styles": ["twemoji", "noto"], "examples": ["a cat face"]}
        model = load(layout.write(tiny.parts("sample"), Path(folder, "sample"), description))
        model.checkpoint = "tiny"
        for case in cases:
            embedded = load("emoji") if case in EMBEDDED else None
            pictures = (
                TINY[case](model, conftest.QUICK) if embedded is None else EMBEDDED[case](embedded, few(embedded))
            )
            (FOLDER / case).mkdir(parents=True, exist_ok=True)
            for index, picture in enumerate(pictures):
                images.save(picture, FOLDER / case / f"{index}.png")


if __name__ == "__main__":
    keep(sys.argv[1:] or [*TINY, *EMBEDDED])
