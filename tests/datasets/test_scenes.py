"""Composed scenes: the caption is true of the pixels, the seed decides all, and a scene is its own concept."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from datasets import Image as ImageColumn
from PIL import Image

from dalle2.datasets import scenes
from dalle2.datasets.batch import Batch
from dalle2.datasets.captions import Caption
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.scenes import Scene, countable, draw_scene, paint, plural
from dalle2.training.loop import Run
from dalle2.training.losses import true_pairs
from dalle2.training.recipe import Data, Recipe
from dalle2.training.run import Training
from dalle2.training.run import _texts as tokenizer_texts

SIZE = 32
THINGS = {  # label: (zh, colour); none is a background's
    "cat": ("猫", (255, 0, 255)),
    "red apple": ("红苹果", (0, 255, 255)),
    "wolf": ("狼", (255, 255, 0)),
    "star": ("星星", (0, 255, 0)),
}
STYLES = ("noto", "openmoji")


def row(label: str, style: str = "noto", **other: str) -> dict:
    words = [{"language": "en", "label": label, "tags": []}, {"language": "zh", "label": THINGS[label][0], "tags": []}]
    kind = "food-fruit" if "apple" in label else "animal-mammal"
    return {"concept": label, "label": label, "style": style, "subgroup": kind, "captions": words} | other


@pytest.fixture(scope="module")
def pictures() -> PicturesInMemory:
    """Four things in two styles, each a square of its own colour that fills a quarter of the picture."""
    records = [row(label, style) for label in THINGS for style in STYLES]
    rgba = torch.zeros(len(records), 4, SIZE, SIZE, dtype=torch.uint8)
    for picture, record in zip(rgba, records, strict=True):
        colour = torch.tensor([*THINGS[record["label"]][1], 255], dtype=torch.uint8)
        picture[:, SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] = colour[:, None, None]
    made = PicturesInMemory(records, rgba, None)
    made.compose(0.9)
    return made


def seen(picture: torch.Tensor) -> dict[str, torch.Tensor]:
    """The places (y, x) of each thing's colour: label -> (n, 2)."""
    rgb = ((picture + 1) * 127.5).round().long()
    found = {
        label: (rgb == torch.tensor(colour)[:, None, None]).all(0).nonzero() for label, (_, colour) in THINGS.items()
    }
    return {label: places for label, places in found.items() if len(places)}


def batches(pictures: PicturesInMemory, steps: int = 40) -> list[Batch]:
    return [pictures.batch(Randomness(3, "clip", step, 16)) for step in range(steps)]


WORDS = {"two": 2, "three": 3, "four": 4, "两": 2, "三": 3, "四": 4}


PLACES = {"left": "left of|左", "right": "right of|右", "above": "above|over|上[面方]", "below": "below|under|下[面方]"}


def said(text: str) -> tuple[Counter, tuple[str, str, str] | None]:
    """What a caption promises, by its words: how many of each thing, and (the first, its place, the second)."""
    text = text.lower()
    where = next((place for place, words in PLACES.items() if re.search(words, text)), None)
    forms = {form: label for label, (zh, _) in THINGS.items() for form in (plural(label), label, zh)}
    found = [forms[form] for form in re.findall("|".join(sorted(forms, key=len, reverse=True)), text)]
    number = re.search("|".join(WORDS), text)
    things = Counter({label: WORDS[number.group()] if number and len(found) == 1 else 1 for label in found})
    return things, (found[0], where, found[-1]) if where else None


def lies(places: dict[str, torch.Tensor], relation: tuple[str, str, str]) -> bool:
    """Whether the first thing lies there from the second, with all its pixels."""
    first, where, second = relation
    axis = 1 if where in ("left", "right") else 0
    one, two = places[first][:, axis], places[second][:, axis]
    return bool(one.max() < two.min() if where in ("left", "above") else one.min() > two.max())


def test_captions_are_true_of_the_pixels(pictures: PicturesInMemory) -> None:
    kinds = Counter()
    for batch in batches(pictures):
        for picture, caption, fact in zip(batch.pictures, batch.captions, batch.facts.tolist(), strict=True):
            things, relation = said(caption)
            places = seen(picture)
            whole, part = (SIZE // 2) ** 2, (SIZE // 4) ** 2
            single = fact[0] < len(THINGS)
            expected = {label: whole if single else number * part for label, number in things.items()}
            assert {label: len(found) for label, found in places.items()} == expected, caption
            assert relation is None or lies(places, relation), caption
            kinds["single" if single else relation[1] if relation else tuple(things.values())] += 1
    # "and" is two things without a place
    assert set(kinds) == {"single", (2,), (3,), (4,), (1, 1), "left", "right", "above", "below"}
    assert 0.05 < kinds["single"] / sum(kinds.values()) < 0.4


def test_the_parts_are_of_the_style_that_the_caption_names(pictures: PicturesInMemory) -> None:
    for batch in batches(pictures, 10):
        for caption, fact in zip(batch.captions, batch.facts.tolist(), strict=True):
            named = [
                style for style in STYLES if style in caption.lower() or style.replace("m", " m") in caption.lower()
            ]
            assert (fact[3] != -1) == bool(named), caption
            assert fact[3] in (-1, fact[1])
    for index, record in enumerate(pictures.records):
        partners = pictures.partners[pictures.style_numbers[index]]
        assert {pictures.records[other]["style"] for other in partners} == {record["style"]}


def test_the_seed_decides_all_and_processes_see_their_slots(pictures: PicturesInMemory) -> None:
    for per_concept in (1, 4):
        whole = pictures.batch(Randomness(3, "clip", 5, 16), per_concept)
        again = pictures.batch(Randomness(3, "clip", 5, 16), per_concept)
        half = pictures.batch(Randomness(3, "clip", 5, 16, slice(8, 16)), per_concept)
        assert whole.captions == again.captions
        assert torch.equal(whole.pictures, again.pictures)
        assert torch.equal(whole.facts, again.facts)
        assert half.captions == whole.captions[8:]
        assert torch.equal(half.pictures, whole.pictures[8:])
        assert torch.equal(half.facts, whole.facts[8:])


def test_the_table_of_true_pairs_says_what_the_words_say(pictures: PicturesInMemory) -> None:
    """Caption j is true of picture i exactly when what it promises is what the picture shows."""
    shared = 0
    for batch in batches(pictures, 12):
        true = true_pairs(batch.facts)
        promises = [said(caption) for caption in batch.captions]
        single = (batch.facts[:, 0] < len(THINGS)).tolist()
        for i, picture in enumerate(batch.pictures):
            places = seen(picture)
            for j, (things, relation) in enumerate(promises):
                alike = single[i] == single[j] and promises[i][0] == things
                alike = alike and (relation is None or lies(places, relation))
                style, ground = batch.facts[j, 3:].tolist()
                fits = style in (-1, int(batch.facts[i, 1])) and ground in (-1, int(batch.facts[i, 2]))
                assert bool(true[i, j]) == (alike and fits), (batch.captions[i], batch.captions[j])
                shared += i != j and bool(true[i, j]) and not single[i]
    assert shared > 5


def test_mirrored_words_are_one_scene_and_different_ones_are_not() -> None:
    corners = ((0.0, 0.5), (1.0, 0.5))
    left = Scene((7, 9), "left", corners).number([2, 5], 10)
    assert Scene((9, 7), "right", corners).number([5, 2], 10) == left
    others = [Scene((7, 9), where, corners).number([2, 5], 10) for where in ("right", "above", "below")]
    counts = [Scene((7,) * n, "", corners).number([c] * n, 10) for n in (2, 3, 4) for c in (2, 5)]
    numbers = [left, *others, *counts, Scene((7, 9), "left", corners).number([2, 6], 10)]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= 10


def test_without_scenes_nothing_changes(pictures: PicturesInMemory) -> None:
    plain = PicturesInMemory(pictures.records, pictures.rgba, None)
    before = plain.batch(Randomness(1, "clip", 0, 12))
    plain.compose(0.0)
    after = plain.batch(Randomness(1, "clip", 0, 12))
    assert before.captions == after.captions
    assert (after.facts[:, 0] < len(THINGS)).all()


def test_a_recipe_composes_training_pictures_only(tmp_path: Path) -> None:
    rows = [row(label, group="things") | {"image": Image.new("RGBA", (8, 8), THINGS[label][1])} for label in THINGS]
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        table = Dataset.from_list(rows).cast_column("image", ImageColumn())
        table.to_parquet(tmp_path / "data" / f"{split}-00000.parquet")
    recipe = Recipe(data=Data(source=str(tmp_path), scenes=0.25))
    run = Training(recipe, Run(tmp_path / "run", 0, Accelerator(cpu=True)))
    assert [run.pictures(split).scenes for split in ("train", "test")] == [0.25, 0]
    assert run.pictures("train").partners == {0: [0, 1, 2, 3]}
    assert "emoji left of emoji" in set(tokenizer_texts(run.pictures("train")))
    assert "emoji left of emoji" not in set(tokenizer_texts(run.pictures("test")))


def test_what_cannot_be_composed_is_refused(pictures: PicturesInMemory) -> None:
    photographs = PicturesInMemory([{}], pictures.rgba[:1], [["a cat"]])
    with pytest.raises(ValueError, match="composed of the emoji set only"):
        photographs.compose(0.1)
    rice = PicturesInMemory([row("cat", subgroup="cat-face")], pictures.rgba[:1], None)
    with pytest.raises(ValueError, match="Nothing in this source can be counted"):
        rice.compose(0.1)


def test_half_covered_pixels_keep_their_colour() -> None:
    thing = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    thing[0, :, :, ::2] = torch.tensor([200, 100, 50, 255], dtype=torch.uint8)[:, None, None]
    painted = paint(Scene((0, 0), "", ((0.0, 0.0), (1.0, 1.0))), thing)
    assert painted[:, 0, 0].tolist() == [200, 100, 50, 128]
    assert painted[:, 3, 3].tolist() == [200, 100, 50, 128]
    assert painted[:, 0, 3].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("label", "many"),
    [
        ("cat", "cats"),
        ("red apple", "red apples"),
        ("fox", "foxes"),
        ("peach", "peaches"),
        ("butterfly", "butterflies"),
        ("monkey", "monkeys"),
        ("tropical fish", "tropical fish"),
        ("maple leaf", "maple leaves"),
        ("goose", "geese"),
    ],
)
def test_plurals(label: str, many: str) -> None:
    assert plural(label) == many


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({}, True),
        ({"label": "grapes"}, False),
        ({"label": "bread"}, False),
        ({"label": "cloud with rain"}, False),
        ({"label": "T-Rex"}, False),
        ({"subgroup": "face-smiling"}, False),
        ({"captions": [{"language": "zh", "label": "猫", "tags": []}]}, False),
    ],
)
def test_only_plain_things_are_counted(changes: dict, counted: bool) -> None:
    assert countable(row("cat") | changes) is counted


def test_a_thing_without_company_comes_in_numbers() -> None:
    drawn = {draw_scene(3, [], random.Random(seed)).things for seed in range(30)}
    assert drawn == {(3,) * 2, (3,) * 3, (3,) * 4}


def test_texts_hold_what_captions_of_scenes_say(pictures: PicturesInMemory) -> None:
    known = " ".join(scenes.scene_texts())
    for seed in range(60):
        rng = random.Random(seed)
        caption: Caption = scenes.caption(draw_scene(0, [2, 4], rng), pictures.records, rng)
        for word in re.findall(
            r"left|right|above|over|below|under|two|three|four|[在和左右上下边面方两三四只]", caption.text
        ):
            assert word in known
    assert "兩隻emoji" in known
