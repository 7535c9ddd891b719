"""The measure of text diffs: real pictures of the style pass, untouched ones do not; one command, which goes on."""

import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from test_scorecard import icon

from evaluation import text_diff
from evaluation.emoji.text_diff import Judge, scores, verdict

STYLES = ("noto", "twemoji")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An emoji set in small: of every third concept both styles are of the test split."""
    folder = tmp_path_factory.mktemp("emoji")
    tables: dict[str, list[dict]] = {"train": [], "test": []}
    for number in range(110):
        label = f"thing {number}"
        captions = [{"language": "en", "label": label, "tags": [""]}]
        for style in STYLES:
            row = {"concept": f"c{number:03d}", "label": label, "style": style, "subgroup": "all", "captions": captions}
            held = "" if number % 3 else "concept"
            tables["test" if held else "train"].append(
                row | {"held_out": held, "image": {"bytes": icon(number, style)}}
            )
    (folder / "data").mkdir()
    for name, rows in tables.items():
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def test_shares_are_of_the_style_and_of_the_concept() -> None:
    """Pictures are (style, style, concept …): one that turns from style 0 to style 1, and at last loses its concept."""
    concepts, wanted = 120, 1
    own = np.arange(20)

    def pictures(turned: float, concept: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(concept), 2 + concepts))
        rows[:, 0], rows[:, 1] = 1 - turned, turned
        rows[np.arange(len(concept)), 2 + concept] = 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    styled = np.stack([pictures(0, own), pictures(1, own)], axis=1)
    training = np.concatenate([pictures(0, own + 50), pictures(1, own + 50)])
    judge = Judge(pictures(1, np.arange(concepts)), styled, training, np.repeat([0, 1], 20), own, wanted, 0)
    drawn = {0.2: pictures(0.3, own), 0.4: pictures(0.8, own), 0.6: pictures(1, (own + 60))}
    found, best = scores(judge, pictures(1, own), pictures(0, own), drawn, "noto")
    values = {score.drawn.label: score.drawn.value for score in found}
    assert best == 0.4
    assert values["noto recognised, untouched"] == values["noto recognised, strength 0.2"] == 0
    assert values["noto recognised, strength 0.4 (best)"] == values["noto recognised, strength 0.6"] == 1
    assert values["concept kept, strength 0.4 (best)"] == 1 and values["concept kept, strength 0.6"] == 0
    assert all(score.real.value == 1 for score in found)
    assert "both bars are passed" in verdict(found, best)
    worse, best = scores(judge, pictures(1, own), pictures(0, own), {0.6: drawn[0.6]}, "noto")
    assert "not both bars are passed" in verdict(worse, best)


def run(data: Path, out: Path, checkpoint: Path, *arguments: object) -> dict:
    common = [checkpoint, "--data", data, "--out", out, "--style", "noto", "--clip", checkpoint, "--workers", 0]
    text_diff.main([str(word) for word in [*common, "--device", "cpu", *arguments]])
    return json.loads((out / "text_diff.json").read_text())


def test_the_command_goes_on(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    how = ("--num", 3, "--strengths", "0.4,0.1", "--steps", 2)
    card = run(data, tmp_path, tiny_checkpoint, *how)
    names = [score["drawn"]["label"].replace(" (best)", "") for score in card["scores"]]
    assert names == [
        f"{what}, {strength}"
        for strength in ("untouched", "strength 0.1", "strength 0.4")
        for what in ("noto recognised", "concept kept")
    ]
    assert sum("(best)" in score["drawn"]["label"] for score in card["scores"]) == 2
    assert card["notes"][0].startswith("The best strength is 0.")
    assert "conditions this checkpoint" in card["notes"][1]
    text = (tmp_path / "text_diff.md").read_text()
    assert "| measure | drawn | real pictures |" in text and "checkpoint_hash" in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 32, 3 * 32)
    files = sorted((tmp_path / "pictures").glob("*/*.png"))
    assert len(files) == 6
    files[0].unlink()
    times = [file.stat().st_mtime_ns for file in files[1:]]
    assert run(data, tmp_path, tiny_checkpoint, *how)["scores"] == card["scores"]
    assert [file.stat().st_mtime_ns for file in files[1:]] == times


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--num", "1"], "--num must be from 2 to the 37 pictures"),
        (["--style", "crayon"], "There is no style 'crayon'"),
        (["--strengths", "much"], "takes numbers with commas"),
        (["--strengths", "0.1,2"], "numbers from 0 to 1"),
        (["--data", "nowhere"], "holds no emoji set"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str],
    expected: str,
    data: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as left:
        run(data, tmp_path, tiny_checkpoint, *arguments)
    told = capsys.readouterr().err
    assert left.value.code == 2 and expected in told and len(told.strip().splitlines()) == 1


def test_pictures_of_other_settings_are_not_mixed_in(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run(data, tmp_path, tiny_checkpoint, "--num", 2, "--strengths", "0.1", "--steps", 1)
    with pytest.raises(SystemExit):
        run(data, tmp_path, tiny_checkpoint, "--num", 2, "--strengths", "0.1", "--steps", 2)
    assert "was drawn before with other settings" in capsys.readouterr().err
