"""`python -m benchmarks.figures`: each figure of the paper comes out as it is told, of any checkpoint."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import figures
from dalle2 import images
from dalle2.model import UnclipModel


@pytest.fixture(scope="module")
def made(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All seven figures of a tiny checkpoint."""
    folder = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "IMAGINED", 32)
        patch.setattr(figures, "STRENGTHS", (0.0, 0.5))
        patch.setattr(figures, "SCALES", (1.0, 3.0))
        for name in ("PROMPTS", "ROWS"):
            patch.setattr(figures, name, getattr(figures, name)[:2])
        patch.setattr(figures, "DIFFS", figures.DIFFS[:1])
        figures.main(["all", "--out", str(folder), "--checkpoint", str(tiny_checkpoint)])
    return folder


def measured(made: Path, number: int) -> dict:
    return json.loads((made / f"figure-{number}.json").read_text())


def test_every_figure_has_its_picture_and_its_numbers_for_these_weights(made: Path, model: UnclipModel) -> None:
    for number in range(3, 10):
        with Image.open(made / f"figure-{number}.webp") as sheet:
            assert sheet.width > figures.LEFT + figures.SIDE and sheet.height > figures.SIDE
        assert measured(made, number)["figure"] == number
        assert measured(made, number)["checkpoint_hash"] == model.checkpoint_hash


def test_an_interpolation_leaves_the_first_picture_and_comes_to_the_second(made: Path) -> None:
    row = measured(made, 4)["seed 1"]
    assert len(row["to the first"]) == len(row["to the second"]) == len(figures.SHARES)


def test_the_conditions_are_all_that_the_checkpoint_has(made: Path, model: UnclipModel) -> None:
    said = [name for name in measured(made, 8) if name.startswith("words")]
    priors = [f"words and {kind} prior" for kind in model.priors]
    assert said == ["words alone", "words and their text embedding", *priors]


def test_words_alone_are_decoded_from_what_the_decoder_learnt_to_be_nothing(model: UnclipModel) -> None:
    rows = figures._nothing(model, torch.ones(2, 32))
    assert torch.equal(rows[0], model.parts.text_proj.learned_classifier_free_guidance_embeddings.detach())


def test_pictures_of_one_s_own_are_taken(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        images.save(Image.new("RGB", (40, 40), colour), tmp_path / f"{name}.png")
    given = ["--picture", str(tmp_path / "a.png"), "--picture", str(tmp_path / "b.png")]
    figures.main(["3", "--out", str(tmp_path), "--checkpoint", str(tiny_checkpoint), *given])
    assert set(measured(tmp_path, 3)) >= {"a", "b", "between inputs"}


def test_figure_4_needs_two_pictures(tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(Image.new("RGB", (40, 40), "red"), tmp_path / "a.png")
    with pytest.raises(SystemExit):
        figures.main(["4", "--out", str(tmp_path), "--picture", str(tmp_path / "a.png")])
    assert "name two with --picture" in capsys.readouterr().err


def test_a_label_covers_a_part_of_the_picture_alone() -> None:
    picture = Image.new("RGB", (128, 128), "red")
    shown = figures._labelled(picture, "pizza")
    changed = sum(one != (255, 0, 0) for one in shown.get_flattened_data())
    assert picture.getpixel((64, 74)) == (255, 0, 0) and 0.03 < changed / 128**2 < 0.5


def test_cosines_are_those_between_rows() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    assert figures._between(rows).tolist() == [0.0, 1.0, 0.0]
    assert figures._cosines(rows, rows[:1]).tolist() == [1.0, 0.0, 1.0]
