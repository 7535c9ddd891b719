"""Recipes: defaults, the shipped files, and what is wrong with a bad one."""

from pathlib import Path

import pytest

import dalle2.training
from dalle2.settings import Settings
from dalle2.training.recipe import Recipe, read_recipe

SHIPPED = sorted((Path(dalle2.training.__file__).parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_say_how_to_run_them(path: Path) -> None:
    recipe = read_recipe(path)
    if path.stem != "emoji-judge":  # a CLIP alone samples nothing
        Settings.from_dict(recipe.settings)
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    for word in ("python -m dalle2.training", "Hardware", "Duration", "Expect"):
        assert word in head, f"{path.name} does not say its {word}"


def test_there_are_the_three_recipes() -> None:
    assert {"emoji", "emoji-cpu", "karlo"} <= {path.stem for path in SHIPPED}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[decoder]\nlearning_rat = 1e-3", "decoder.learning_rat is not a key of a recipe"),
        ("[decodr]\nsteps = 3", "decodr is not a key of a recipe"),
        ("[prior]\nsteps = -1", "prior.steps"),
        ("[prior]\nsteps = 'many'", "prior.steps"),
        ("[prior]\nwidth = 100", "prior.width must be a multiple of prior.head_dim"),
        ("[decoder]\npicture_size = 30", "decoder.picture_size must be a multiple of 8"),
        ("[upsampler]\npicture_size = 100", "upsampler.picture_size must be a multiple"),
        ("[clip]\nbatch_size = 10", "clip.batch_size must be a multiple of clip.per_concept"),
        ("[clip]\ncontext_length = 12", "clip.context_length must not be 12"),
        ("[text]\nbatch_size = 10", "text.batch_size must be a multiple of text.per_concept"),
        ("[text]\nlexicon_texts = 2", "text.lexicon_texts needs data.lexicon"),
        ("[text]\nvocabulary = 9000", "text.vocabulary needs data.lexicon"),
        ('[data]\nlexicon = "a"\nstreaming = true', "data Value error, a lexicon needs pictures held in memory"),
        ("[data]\nscenes = 2", "data.scenes"),
        ("[data]\nscenes = 0.1\nstreaming = true", "data Value error, scenes are composed of pictures held in memory"),
        ("[decoder", "is not valid TOML"),
    ],
)
def test_a_bad_recipe_gets_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.toml") as caught:
        read_recipe(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_recipe_and_a_binary_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ValueError, match="is not valid TOML"):
        read_recipe(tmp_path / "picture.toml")


def test_a_recipe_survives_its_own_dump() -> None:
    recipe = read_recipe(SHIPPED[0])
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
