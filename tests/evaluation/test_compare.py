"""Comparisons: paired, corrected, told in four formats; a contestant against itself is no difference."""

import csv
import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_folders import drawn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evaluation import compare
from evaluation.comparing import comparison_page, measuring, output
from evaluation.comparing.comparison import Comparison, Point, pareto
from evaluation.comparing.contestants import Contestant, open_contestants
from evaluation.comparing.votes import count_votes, read_votes
from evaluation.drawing.cost import COST
from evaluation.metrics.clip_score import SCORE
from evaluation.pictures.contents import contents_sha256
from evaluation.pictures.image_folder import find_pictures


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The real pictures, and two contestants: little noise and much."""
    root = tmp_path_factory.mktemp("contestants")
    return drawn(root / "real", 0), drawn(root / "near", 20), drawn(root / "far", 200)


def run(out: Path, clip: Path, *arguments: object) -> Comparison:
    common = ["--out", out, "--clip", clip, "--network", f"clip:{clip}", "--workers", 0, "--device", "cpu"]
    return compare.run(compare.parse([str(word) for word in [*arguments, *common]]))


@pytest.fixture(scope="module")
def result(
    folders: tuple[Path, Path, Path], tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Comparison:
    real, near, far = folders
    votes = tmp_path_factory.mktemp("votes") / "votes.csv"
    rows = [f"quality,{near},{far},a"] * 14 + [f"quality,{far},{near},a", f"quality,{far},{near},tie"]
    votes.write_text("\n".join(["question,a,b,winner", *rows]) + "\n")
    return run(votes.parent, tiny_checkpoint, near, far, "--reference", real, "--votes", votes)


def test_every_pair_is_tested_and_corrected(result: Comparison, folders: tuple[Path, Path, Path]) -> None:
    tested = {contest.key: contest for contest in result.contests}
    assert {"clip_score", "r_precision", "clip_fid", "clip_kid"} <= set(tested)
    near, far = str(folders[1]), str(folders[2])
    for contest in result.contests:
        assert (contest.a, contest.b) == (near, far)
        assert contest.p_holm >= contest.found.p
    a, b = (measured.measure("clip_fid").value for measured in result.contestants)
    assert tested["clip_fid"].found.mean == pytest.approx(a - b)
    assert a < b
    assert tested["clip_fid"].verdict == near
    assert result.provenance["reference_sha256"] == contents_sha256(find_pictures(folders[0]))


def test_per_picture_differences_are_means(result: Comparison) -> None:
    one, other = result.contestants
    for contest in result.contests:
        if (values := one.measure(contest.key).values) is not None:
            expected = np.mean(values) - np.mean(other.measure(contest.key).values)
            assert contest.found.mean == pytest.approx(expected, abs=1e-6)


def test_likeness_and_scenes(result: Comparison) -> None:
    (pair,) = result.likenesses
    assert (pair.n, pair.identical) == (12, 0)
    assert 0 < pair.ssim < 1
    apart = [max(scene.scores) - min(scene.scores) for scene in result.scenes]
    assert len(apart) == 12
    assert apart == sorted(apart, reverse=True)
    scores = np.stack([measured.measure(SCORE).values for measured in result.contestants], axis=1)
    assert apart[0] == pytest.approx(np.ptp(scores, axis=1).max())


def test_votes_are_win_rates(result: Comparison, folders: tuple[Path, Path, Path]) -> None:
    (count,) = result.votes
    ours = {count.a: count.wins, count.b: count.losses}
    assert ours == {str(folders[1]): 14, str(folders[2]): 1}
    assert (count.ties, count.share if count.a == str(folders[1]) else 1 - count.share) == (1, pytest.approx(14 / 15))
    assert count.p_holm < 0.01


def test_a_contestant_against_itself_is_no_difference(
    folders: tuple[Path, Path, Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    real, near, _ = folders
    again = run(tmp_path, tiny_checkpoint, near, near, "--reference", real)
    assert again.contests
    assert {contest.verdict for contest in again.contests} == {"no difference"}
    assert again.summary == [f"{near} and {near} (2): no difference, in any prompt."]
    assert again.scenes == ()
    assert again.likenesses[0].identical == 12


def test_the_four_formats(result: Comparison, tmp_path: Path) -> None:
    for suffix in (".html", ".md", ".json", ".csv"):
        output.write(result, tmp_path / f"comparison{suffix}")
    read = json.loads((tmp_path / "comparison.json").read_text())
    assert [one["name"] for one in read["contestants"]] == [one.contestant.name for one in result.contestants]
    assert read["contests"][0]["p_holm"] == result.contests[0].p_holm
    rows = list(csv.DictReader((tmp_path / "comparison.csv").open(newline="")))
    assert {row["kind"] for row in rows} == {"measure", "difference", "likeness", "votes"}
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("<img ") == 2 * len(result.scenes)
    assert "&lt;b&gt;a face&lt;/b&gt; &amp; more" in page
    assert "<b>a face" not in page
    assert not any(mark in page for mark in ("http://", "https://", "<script", "@import", "url("))
    assert "CLIP-FID" in (tmp_path / "comparison.md").read_text()
    with pytest.raises(ValueError, match=r"\.html, \.md, \.json or \.csv"):
        output.write(result, tmp_path / "comparison.pdf")


def test_the_pareto_front() -> None:
    points = [Point(name, "c", *place) for name, place in {"a": (1, 1), "b": (2, 3), "c": (3, 2), "d": (1, 1)}.items()]
    assert [point.front for point in pareto(points)] == [True, True, False, True]


def test_the_guidance_curve_is_drawn(result: Comparison) -> None:
    points = pareto([Point("c --guidance <2>", "c", 2.0, 30.0, guidance="<2>"), Point("c", "c", 3.0, 20.0)])
    page = comparison_page.to_html(dataclasses.replace(result, sweep=points, distance="FID"))
    assert page.count("<circle ") == 2
    assert "&lt;2&gt;" in page and "<2>" not in page
    assert "Pareto front" in page
    swept = [Point(f"c {n}", "c", n, 9.0, steps=str(n), distance_interval=(n - 1, n + 1)) for n in (2, 5)]
    page = comparison_page.to_html(dataclasses.replace(result, sweep=pareto(swept), distance="FID"))
    assert page.count("over steps") == 2 and page.count('<g class="curve') == 2


def test_a_picture_is_large_while_it_is_pressed(result: Comparison) -> None:
    page = comparison_page.to_html(result)
    assert page.count('<label class="zoom"><input type="checkbox" aria-label="Show large: ') == 2 * len(result.scenes)


def test_the_sweep_draws_those_whose_guidance_is_open(
    folders: tuple[Path, Path, Path], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, near, far = folders

    def opened(ways: dict[str, str], out: Path, given: list[str], with_prompts: bool, *_: object) -> list[Contestant]:
        folders = {name: str(far if name.endswith("8") else near) for name in ways}
        return open_contestants(folders, out, given, with_prompts)

    monkeypatch.setattr(measuring, "open_contestants", opened)
    given = ("emoji", "emoji --guidance 3", "--prompts", "any", "--guidance-sweep", 1, "4,8")
    found = run(tmp_path, tiny_checkpoint, *given, "--reference", real)
    distances = {point.name: point.distance for point in found.sweep}
    assert list(distances) == ["emoji", "emoji --guidance 3", "emoji --guidance 1", "emoji --guidance 4,8"]
    own, fixed, one, eight = distances.values()
    assert own == fixed == one == found.contestants[0].measure("clip_fid").value < eight
    assert [point.contestant for point in found.sweep] == ["emoji", "emoji --guidance 3", "emoji", "emoji"]
    page = comparison_page.to_html(found)
    assert page.count("<circle ") == 4 + 2 * 2  # both in one, and each over the scales that were swept
    with pytest.raises(ValueError, match="A sweep needs real pictures"):
        run(tmp_path, tiny_checkpoint, *given)


def test_measures_go_to_tensorboard(result: Comparison, tmp_path: Path) -> None:
    output.log(result, "tensorboard", tmp_path)
    (events,) = (file.parent for file in tmp_path.rglob("events.out.tfevents.*") if "hparams" not in file.name)
    log = EventAccumulator(str(events)).Reload()
    for measure in result.contestants[0].measures:
        values = [event.value for event in log.Scalars(measure.key)]
        expected = [measured.measure(measure.key).value for measured in result.contestants]
        assert values == pytest.approx(expected, rel=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="Weights & Biases is installed")
def test_a_tracker_that_is_not_installed_is_told(result: Comparison, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install wandb"):
        output.log(result, "wandb", tmp_path)


def test_other_prompts_or_seeds_are_refused(
    folders: tuple[Path, Path, Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    other = drawn(tmp_path / "other", 5, seed=7)
    with pytest.raises(ValueError, match="other prompts or seeds"):
        run(tmp_path, tiny_checkpoint, folders[1], other)


def test_votes_in_either_order_are_one_pair() -> None:
    rows = [{"question": "q", "a": "x", "b": "y", "winner": "a"}, {"question": "q", "a": "y", "b": "x", "winner": "b"}]
    (count,) = count_votes(rows)
    assert (count.a, count.wins, count.losses) == ("x", 2, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("question,left,right,winner\nq,x,y,a\n", "no column 'a'"),
        ("question,a,b,winner\nq,x,y,x\n", "line 2"),
        ("question,a,b,winner\nq,x,x,a\n", "line 2"),
        ("question,a,b,winner\nq,x,y,a\nq,x,y\n", "line 3 has 3 values for 4 columns"),
        ("question,a,b,winner\n", "holds no votes"),
    ],
)
def test_malformed_votes_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "votes.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        read_votes(tmp_path / "votes.csv")


@pytest.mark.usefixtures("forking")
def test_a_checkpoint_is_drawn_and_gone_on_with(tiny_checkpoint: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("id,caption\n" + "".join(f"{index},a cat {index}\n" for index in range(4)))
    arguments = ["--prompts", str(prompts), "--seed", "3", "--batch-size", "2", "--device", "cpu"]
    name = f"{tiny_checkpoint} --steps 2"
    (first,) = open_contestants({name: name}, tmp_path / "out", arguments, True)
    assert [row.seed for row in first.manifest.rows] == [3, 4, 5, 6]
    assert first.manifest.settings["decoder"]["num_inference_steps"] == 2
    assert first.cost.seconds_a_picture > 0
    assert first.cost.peak_megabytes > 50
    before = {path.name: path.read_bytes() for path in first.folder.glob("*.png")}
    first.files[1].unlink()
    (again,) = open_contestants({name: name}, tmp_path / "out", arguments, True)
    assert again.cost == first.cost
    assert {path.name: path.read_bytes() for path in again.folder.glob("*.png")} == before


def test_what_cannot_be_compared_gets_a_sentence(
    folders: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folders[1], broken)
    (broken / "000003.png").unlink()
    cases = {
        (str(folders[1]),): "at least two contestants",
        (str(folders[1]), "emoji"): "takes prompts",
        (str(folders[1]), f"{folders[2]} --steps 3"): "comes too late",
        (str(folders[1]), str(broken)): "lacks 1 pictures",
    }
    for contestants, said in cases.items():
        with pytest.raises(SystemExit) as stopped:
            compare.main([*contestants, "--out", str(tmp_path / "out")])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    assert not (folders[1] / COST).exists()
