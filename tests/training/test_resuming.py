"""A run resumes with the recipe and the data that it was begun with, and with nothing else."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from datasets import Image as ImageColumn
from test_training import RECIPE, shapes, source  # noqa: F401, a fixture

from dalle2.training import resuming
from dalle2.training.loop import Run
from dalle2.training.recipe import Recipe, TextRecipe, read_recipe
from dalle2.training.run import Training


@pytest.fixture
def recipe(tmp_path: Path, source: Path) -> Recipe:  # noqa: F811
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(source=source))
    return read_recipe(path)


class Stopped(Exception):
    """The run is killed after its snapshot."""


@pytest.fixture
def begun(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that stopped in stage clip, with a snapshot of step 2."""
    write = resuming.write_snapshot

    def write_and_stop(path: Path, state: dict) -> None:
        write(path, state)
        raise Stopped

    folder = tmp_path / "run"
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr("dalle2.training.loop.write_snapshot", write_and_stop)
        train(recipe, folder)
    assert torch.load(folder / "snapshots" / "clip.pt", weights_only=True)["step"] == 2
    return folder


def train(recipe: Recipe, folder: Path) -> None:
    Training(recipe, Run(folder, recipe.seed, Accelerator(cpu=True))).train(["clip"])


def changed(recipe: Recipe, key: str, value: object) -> Recipe:
    *tables, name = key.split(".")
    if not tables:
        return recipe.model_copy(update={name: value})
    table = getattr(recipe, tables[0]).model_copy(update={name: value})
    return recipe.model_copy(update={tables[0]: table})


CHANGES = {
    "seed": (9, "seed is 9 here, 3 in the run"),
    "precision": ("bf16", 'precision is "bf16" here, "no" in the run'),
    "clip.learning_rate": (0.5, "clip.learning_rate is 0.5 here, 0.001 in the run"),
    "clip.embedding_dim": (64, "clip.embedding_dim is 64 here, 32 in the run"),
    "clip.steps": (7, "clip.steps is 7 here, 6 in the run"),
    "data.caption_column": ("text", 'data.caption_column is "text" here, "caption" in the run'),
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_changed_recipe_is_refused_with_the_difference(key: str, recipe: Recipe, begun: Path) -> None:
    value, said = CHANGES[key]
    before = (begun / "snapshots" / "clip.pt").read_bytes()
    with pytest.raises(ValueError, match=f"was begun otherwise: {said}"):
        train(changed(recipe, key, value), begun)
    assert (begun / "snapshots" / "clip.pt").read_bytes() == before
    assert not (begun / "clip").exists()


def test_what_was_not_begun_may_still_change(recipe: Recipe, begun: Path) -> None:
    for key, value in (("prior.learning_rate", 0.5), ("clip.snapshot_every", 3), ("examples", ("a cat",))):
        recipe = changed(recipe, key, value)
    train(changed(recipe, "text", TextRecipe(batch_size=8)), begun)
    assert (begun / "clip").is_dir()


def test_a_finished_stage_must_be_of_the_recipe_too(recipe: Recipe, begun: Path) -> None:
    train(recipe, begun)
    with pytest.raises(ValueError, match=r"clip.batch_size is 16 here, 8 in the run"):
        train(changed(recipe, "clip.batch_size", 16), begun)


def test_the_same_pictures_elsewhere_are_the_same(recipe: Recipe, begun: Path, source: Path, tmp_path: Path) -> None:  # noqa: F811
    moved = shutil.copytree(source, tmp_path / "moved")
    train(changed(recipe, "data.source", f"{moved}/"), begun)
    assert (begun / "clip").is_dir()


def test_other_pictures_at_the_same_place_are_refused(recipe: Recipe, begun: Path, tmp_path: Path) -> None:
    rows = [{"image": picture.rotate(90), "caption": [caption]} for picture, caption in shapes()]
    (tmp_path / "others" / "data").mkdir(parents=True)
    table = Dataset.from_list(rows).cast_column("image", ImageColumn())
    table.to_parquet(tmp_path / "others" / "data" / "train-00000.parquet")
    with pytest.raises(ValueError, match="the pictures or captions of the data set are not those that clip began with"):
        train(changed(recipe, "data.source", str(tmp_path / "others")), begun)


def test_other_weights_to_start_from_are_refused(recipe: Recipe, begun: Path, tmp_path: Path) -> None:
    train(recipe, begun)
    start = shutil.copytree(begun / "clip", tmp_path / "start")
    going_on = changed(recipe, "clip.start_from", str(start))
    with pytest.raises(ValueError, match="the weights to start from are not those that clip began with"):
        train(going_on, begun)
    other = tmp_path / "other"
    train(going_on, other)
    train(changed(going_on, "clip.start_from", str(shutil.copytree(start, tmp_path / "copy"))), other)
    shutil.copy(other / "clip" / "text_encoder" / "model.safetensors", start / "text_encoder" / "model.safetensors")
    with pytest.raises(ValueError, match="the weights to start from"):
        train(going_on, other)


@pytest.mark.parametrize("tear", [lambda data: b"", lambda data: data[:1000], lambda data: b"\0" * len(data)])
def test_a_torn_snapshot_counts_as_none_and_is_told(tear, recipe: Recipe, begun: Path, capfd) -> None:
    snapshot = begun / "snapshots" / "clip.pt"
    snapshot.write_bytes(tear(snapshot.read_bytes()))
    train(recipe, begun)
    assert f"The snapshot {snapshot} is not whole: clip begins anew." in "".join(capfd.readouterr())
    assert (begun / "clip").is_dir()


def test_a_snapshot_of_another_width_is_refused_even_without_its_recipe(recipe: Recipe, begun: Path) -> None:
    shutil.rmtree(begun / "recipes")  # as of a run of an earlier version
    with pytest.raises(ValueError, match=r"is of another recipe: .* has the shape \(.*32.*\) there, \(.*64.*\) here"):
        train(changed(recipe, "clip.embedding_dim", 64), begun)


def test_a_damaged_note_of_the_recipe_says_what_to_do(recipe: Recipe, begun: Path) -> None:
    note = begun / "recipes" / "clip.json"
    assert json.loads(note.read_text())["recipe"]["seed"] == 3
    note.write_text("{")
    with pytest.raises(ValueError, match=r"clip\.json is damaged: remove it to resume clip"):
        train(recipe, begun)


def test_a_broken_held_out_row_is_told(recipe: Recipe, source: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = shutil.copytree(source, tmp_path / "broken")
    rows = [{"image": {"bytes": b"torn", "path": "a.png"}, "caption": ["a cat"]}]
    Dataset.from_list(rows).to_parquet(folder / "data" / "test-00000.parquet")
    recipe = changed(changed(recipe, "data.source", str(folder)), "data.held_out_split", "test")
    with pytest.raises(ValueError, match=r"split 'test', row 0 \(a\.png\): This is not a picture"):
        train(recipe, tmp_path / "run")
