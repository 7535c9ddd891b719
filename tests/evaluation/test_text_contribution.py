"""python -m evaluation.text_contribution: the ways drawn, resumed and compared; what the text brings, by numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dalle2.model import UnclipModel
from dalle2.seeds import generators
from evaluation.drawing.text_contribution import WAYS
from evaluation.measuring.text_contribution import measures_of
from evaluation.text_contribution import main

PROMPTS = ("a cat", "a dog", "a cat", "orange cat face", "a dog, noto style")


@pytest.fixture(scope="module")
def drawn(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict]:
    """A run on captioned pictures, its arguments and its report."""
    place = tmp_path_factory.mktemp("text")
    (place / "real").mkdir()
    for index, caption in enumerate(PROMPTS):
        pixels = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "real" / f"{index}.png")
        (place / "real" / f"{index}.txt").write_text(caption)
    arguments = [
        str(tiny_checkpoint),
        "--prompts",
        str(place / "real"),
        "--out",
        str(place / "out"),
        "--batch-size",
        "3",
    ]
    arguments += ["--clip", str(tiny_checkpoint), "--device", "cpu", "--workers", "0", "--seed", "5"]
    arguments += ["--report", str(place / "report.json")]
    main(arguments)
    return place, arguments, json.loads((place / "report.json").read_text())


def test_every_way_is_drawn_of_the_same_seeds(drawn: tuple[Path, list[str], dict], model: UnclipModel) -> None:
    place, _, report = drawn
    pictures = {way: [np.asarray(Image.open(place / "out" / way / f"00000{i}.png")) for i in range(5)] for way in WAYS}
    expected = model.text_to_image(PROMPTS[:3], seeds=[5, 6, 7], literal=True)
    for own, picture in zip(pictures["full"], expected, strict=False):
        assert np.array_equal(own, np.asarray(picture))
    for way, texts in (("neither", None), ("decoder", PROMPTS[:3])):
        noise = generators([5, 6, 7])
        blank = model.embed_prompt([""] * 3, noise)
        for own, picture in zip(pictures[way], model.decode(blank, noise, texts), strict=False):
            assert np.array_equal(own, np.asarray(picture))
    assert {one["key"] for one in report["measures"]} == {f"clip_score@{way}" for way in WAYS} | {
        f"text@{way}" for way in WAYS if way != "full"
    }
    assert all(one["n"] == 5 for one in report["measures"])


def test_an_interrupted_run_resumes_and_another_is_refused(
    drawn: tuple[Path, list[str], dict], capsys: pytest.CaptureFixture[str]
) -> None:
    place, arguments, report = drawn
    lost = place / "out" / "prior" / "000004.png"
    before = lost.read_bytes()
    lost.unlink()
    main(arguments)
    assert lost.read_bytes() == before
    again = json.loads((place / "report.json").read_text())
    assert again["measures"] == report["measures"]
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--seed", "6"])
    assert ended.value.code == 2 and "other prompts, weights, seeds or settings" in capsys.readouterr().err


def test_what_the_text_brings_is_told_in_pairs() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(30, 5, 200)  # how hard a prompt is, which cancels out
    noise = {way: rng.normal(0, 0.5, 200) for way in ("full", "prior", "decoder", "neither", "shuffled")}
    loss = {"full": 0, "prior": 1, "decoder": 5, "neither": 8, "shuffled": 10}
    found = {one.key: one for one in measures_of({way: hard - loss[way] + noise[way] for way in noise})}
    for way in ("prior", "decoder", "neither", "shuffled"):
        one = found[f"text@{way}"]
        assert one.value == pytest.approx(loss[way], abs=0.2) and one.interval[0] > 0
        assert one.details["share of all"] == pytest.approx(loss[way] / 10, abs=0.02)
        assert one.details["p, corrected"] < 0.01
    same = measures_of({way: hard + noise[way] for way in ("full", "prior", "shuffled")})
    assert all("share of all" not in one.details for one in same)
