"""The paper's manipulations: interpolation, mixes, text diffs, rerank, explanations; their records and commands."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from dalle2 import embeddings as maths
from dalle2 import images
from dalle2.__main__ import main
from dalle2.cli import parsers
from dalle2.families import load
from dalle2.film import save_film
from dalle2.model import UnclipModel
from dalle2.requests import name_of
from dalle2.settings import MAX_FRAMES, STRENGTHS, Settings, Step
from dalle2.stage_settings import DecoderSettings
from dalle2.tasks.mix import Mix

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
OTHER = Image.fromarray(np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8))
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def still(quick: Settings) -> Settings:
    """Settings with which pictures are inverted."""
    return quick.for_inversion(3)


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first).astype(int) - np.asarray(second)).max())


# Interpolation


def test_with_their_own_noise_the_ends_are_reconstructions(model: UnclipModel, still: Settings) -> None:
    frames = model.interpolate([PICTURE, OTHER], frames=3, seed=6, settings=still, noise="slerp")
    ends = model.reconstruct([PICTURE, OTHER], seeds=[6, 6], settings=still)
    assert difference(frames[0], ends[0]) <= 1 and difference(frames[-1], ends[1]) <= 1
    assert images.read_record(frames[1])["noise"] == "slerp"
    fixed = model.interpolate([PICTURE, OTHER], frames=3, seed=6, settings=still)
    assert difference(frames[0], fixed[0]) > 1
    with pytest.raises(ValueError, match="noise of its own"):
        model.interpolate([PICTURE, "a cat"], frames=3, seed=6, settings=still, noise="slerp")
    with pytest.raises(ValueError, match="fixed or slerp"):
        model.interpolate([PICTURE, OTHER], frames=3, seed=6, settings=still, noise="none")


def test_a_loop_leads_back(model: UnclipModel) -> None:
    looped = model.interpolate([PICTURE, OTHER], frames=4, seed=6, loop=True)
    there = model.interpolate([PICTURE, OTHER, PICTURE], frames=5, seed=6)
    assert [images.read_record(frame)["position"] for frame in looped] == [0, 0.25, 0.5, 0.75]
    assert all(difference(*pair) <= 1 for pair in zip(looped, there[:-1], strict=True))


def test_frames_are_bounded(model: UnclipModel) -> None:
    for frames, expected in ((0, "at least two frames"), (1, "at least two"), (10_000, f"at most {MAX_FRAMES}")):
        with pytest.raises(ValueError, match=expected):
            model.interpolate([PICTURE, OTHER], frames=frames, seed=6)


def test_more_frames_than_fit_are_drawn_in_turns(model: UnclipModel, quick: Settings) -> None:
    frames = model.interpolate([PICTURE, OTHER], frames=18, seed=6, settings=quick)
    (last,) = model.interpolate([PICTURE, OTHER], frames=[1.0], seed=6, settings=quick)
    assert len(frames) == 18 and difference(frames[-1], last) <= 1


# Mixes and text diffs


def test_a_mix_with_a_negative_weight(model: UnclipModel) -> None:
    (plain,) = model.mix([(PICTURE, 1.0)], seeds=[4])
    (less,) = model.mix([(PICTURE, 1.0), (OTHER, -0.4)], seeds=[4])
    (only,) = model.mix([(PICTURE, 3), (OTHER, 0)], seeds=[4])
    assert difference(plain, only) <= 1 < difference(plain, less)
    for taken in (-1.0, -1.5):  # with which the other picture would be drawn that is to be taken away
        with pytest.raises(ValueError, match="must sum to more than zero: give what is to be drawn more weight"):
            model.mix([(PICTURE, 1.0), (OTHER, taken)], seeds=[4])


def test_a_mix_of_an_old_record_with_a_sum_below_zero_is_drawn_as_it_was(model: UnclipModel) -> None:
    names = [name_of(picture) for picture in (PICTURE, OTHER)]
    record = {"parts": [[names[0], 1.0], [names[1], -3.0]]}
    again = Mix.from_record(record, dict(zip(names, (PICTURE, OTHER), strict=True)))
    assert [weight for _, weight in again.parts] == [-1.0, 3.0]  # which is the same share of each


@pytest.mark.parametrize("way", STRENGTHS)
def test_a_text_diff_of_no_strength_is_the_reconstruction(model: UnclipModel, quick: Settings, way: str) -> None:
    moving = quick.for_text_diff(3).with_guidance(2.0).changed({"prior": {"num_inference_steps": 4}})
    still, how = quick.for_inversion(3), {"settings": moving, "way": way}
    none, some = model.text_diff(PICTURE, "a cat", seed=6, old="a dog", strengths=[0, 0.5], **how)
    assert difference(none, model.reconstruct([PICTURE], seeds=[6], settings=still)[0]) <= 1 < difference(none, some)
    record = images.read_record(some)
    assert (record["task"], record["new"], record["old"], record["strength"]) == ("text_diff", "a cat", "a dog", 0.5)
    assert record["way"] == way
    (from_nothing,) = model.text_diff(PICTURE, "a cat", seed=6, strengths=[0.5], **how)
    assert difference(from_nothing, some) > 0
    (alone,) = model.text_diff(PICTURE, "a cat", seed=6, old="a dog", strengths=[0.5], **how)
    assert difference(alone, some) <= 1
    whole = len(model.text_diff(PICTURE, "a cat", seed=6, old="a dog", **how))
    assert whole == len(STRENGTHS[way])


def test_the_way_back_to_the_noise_is_refused_for_what_hinders_it(model: UnclipModel, quick: Settings) -> None:
    for settings, expected in (
        (quick, "scheduler be ddim"),
        (quick.for_inversion(3).with_guidance(2.0), "Under guidance"),
    ):
        with pytest.raises(ValueError, match=expected):
            model.reconstruct([PICTURE], seeds=[6], settings=settings)


def test_a_text_diff_goes_through_the_prior_unless_it_is_told_otherwise(model: UnclipModel, quick: Settings) -> None:
    (usual,) = model.text_diff(PICTURE, "a cat", seed=6, old="a dog", strengths=[0.5], settings=quick.for_text_diff(3))
    assert images.read_record(usual)["way"] == "prior"
    (turned,) = model.text_diff(
        PICTURE, "a cat", seed=6, old="a dog", strengths=[0.5], settings=quick.for_inversion(3), way="slerp"
    )
    assert difference(usual, turned) > 1
    for settings, way, expected in ((quick.for_inversion(3), "prior", "plain DDIM"), (None, "round", "prior or slerp")):
        with pytest.raises(ValueError, match=expected):
            model.text_diff(PICTURE, "a cat", seed=6, old="a dog", strengths=[0.5], settings=settings, way=way)


def test_guidance_grows_with_the_strength(model: UnclipModel, quick: Settings) -> None:
    settings = quick.for_text_diff(3).with_guidance(3.0)
    steps: list[Step] = []
    none, half = model.text_diff(
        PICTURE, "a cat", seed=6, old="a dog", strengths=[0, 0.5], settings=settings, on_step=steps.append, way="slerp"
    )
    embedding = model.embed_image([PICTURE])
    noise = model.invert([PICTURE], embedding, None, settings.with_guidance(1.0))
    assert none.tobytes() == model.decode(embedding, [6], None, settings.with_guidance(1.0), None, noise)[0].tobytes()
    new, old = model.embed_text(["a cat", "a dog"])[:, None]
    moved = maths.slerp(embedding, maths.text_diff(new, old, embedding.norm()), 0.5)
    assert half.tobytes() == model.decode(moved, [6], None, settings.with_guidance(2.0), None, noise)[0].tobytes()
    drawn = [step for step in steps if step.stage == "decoder"]
    assert [(step.index, step.total) for step in drawn] == [(index, 6) for index in range(1, 7)]
    assert [len(step.pictures()) for step in drawn] == [1, 1, 1, 2, 2, 2]
    assert drawn[-1].pictures()[0] is none


def test_a_little_strength_is_none_and_rows_are_alone(model: UnclipModel, quick: Settings) -> None:
    embedding, settings, steps = model.embed_image([PICTURE]), quick.for_text_diff(), []
    rows = model.edit_embedding(embedding, "a dog", "a cat", [0, 0.02, 0.6], settings)
    assert torch.equal(rows[:2], embedding.expand(2, -1))  # of 20 steps none is gone
    alone = model.edit_embedding(embedding, "a dog", "a cat", [0.6], settings, steps.append)
    assert torch.allclose(alone, rows[2:], atol=1e-5) and not torch.allclose(alone, embedding, atol=0.1)
    assert [(step.stage, step.index, step.total) for step in steps] == [("prior", i, 24) for i in range(1, 25)]


def test_a_text_diff_refuses_what_it_cannot_do(model: UnclipModel) -> None:
    for arguments, expected in (
        ({"new": "a cat", "old": "a cat"}, "mean the same"),
        ({"new": ""}, "empty"),
        ({"new": "a cat", "strengths": []}, "strengths"),
        ({"new": "a cat", "strengths": [1.5]}, "strengths"),
    ):
        with pytest.raises(ValueError, match=expected):
            model.text_diff(PICTURE, **arguments, seed=1)


# Rerank


def test_the_candidate_nearest_to_the_text_is_kept(model: UnclipModel, quick: Settings) -> None:
    many = dataclasses.replace(quick, prior=dataclasses.replace(quick.prior, candidates=4))
    kept = model.embed_prompt(["a cat", "a dog"], [1, 2], many)
    generator = torch.Generator().manual_seed(1)
    drawn = model.embed_prompt(["a cat"] * 4, [generator] * 4, quick)
    nearness = torch.nn.functional.cosine_similarity(drawn, model.embed_text(["a cat"]), dim=-1)
    assert torch.allclose(kept[0], drawn[nearness.argmax()], atol=1e-5)
    others = torch.arange(4) != nearness.argmax()
    assert (drawn[others] - kept[0]).abs().amax(1).min() > 1e-3
    assert torch.allclose(model.embed_prompt(["a dog"], [2], many)[0], kept[1], atol=1e-5)


def test_candidates_are_in_the_record(model: UnclipModel, quick: Settings) -> None:
    many = dataclasses.replace(quick, prior=dataclasses.replace(quick.prior, candidates=2))
    (picture,) = model.text_to_image(["a cat"], seeds=[1], settings=many)
    record = images.read_record(picture)
    assert record["settings"]["prior"]["candidates"] == 2
    assert model.redraw(record).tobytes() == picture.tobytes()
    with pytest.raises(ValueError, match="candidates must be"):
        dataclasses.replace(quick.prior, candidates=0)
    with pytest.raises(ValueError, match="Only the prior draws candidates"):
        DecoderSettings.from_dict({"num_inference_steps": 3, "candidates": 2})


# Explanation


def test_all_axes_are_the_picture(model: UnclipModel) -> None:
    rng = np.random.default_rng(5)
    others = [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(40)]
    mean, *_, full = model.dimensions(PICTURE, [0, 2, 32], seed=6, others=others)
    assert difference(full, model.decode(model.embed_image([PICTURE]), [6])[0]) <= 1
    average = model.embed_image(others).mean(0, keepdim=True)
    assert difference(mean, model.decode(average, [6])[0]) <= 1
    assert [images.read_record(picture)["axes"] for picture in (mean, full)] == [0, 32]
    assert len(model.dimensions(PICTURE, [3], seed=6)) == 1  # axes of what the prior imagines
    with pytest.raises(ValueError, match="two embeddings"):
        model.dimensions(PICTURE, [1], seed=6, others=[PICTURE])
    with pytest.raises(ValueError, match="numbers of axes"):
        model.dimensions(PICTURE, [], seed=6)


def test_steps_end_in_the_picture(model: UnclipModel, quick: Settings) -> None:
    predicted = model.steps("a cat", seed=6, settings=quick)
    assert len(predicted) == 4 + 3 and {picture.size for picture in predicted} == {(32, 32)}
    assert difference(predicted[-1], model.text_to_image(["a cat"], seeds=[6], settings=quick)[0]) <= 1
    records = [images.read_record(picture) for picture in predicted]
    assert [(record["stage"], record["step"]) for record in records][3:5] == [("decoder", 4), ("upsampler", 1)]


@pytest.mark.parametrize("fixture", ["tiny_checkpoint", "karlo_text"])
def test_attention_belongs_to_words(fixture: str, quick: Settings, request: pytest.FixtureRequest) -> None:
    model = load(request.getfixturevalue(fixture))
    before = model.parts.decoder.attn_processors
    pictures = model.attention("a cat, dog!", seed=6, settings=quick)
    words = [images.read_record(picture)["word"] for picture in pictures]
    assert words == ["", "a", "cat", "dog"]  # punctuation is looked at, and not shown
    assert difference(pictures[0], model.text_to_image(["a cat, dog!"], seeds=[6], settings=quick)[0]) <= 1
    assert model.parts.decoder.attn_processors == before
    (_, looked) = model.attend("a cat, dog!", 6, quick)
    assert looked.maps.shape == (5, 16, 16) and looked.maps.min() >= 0
    assert looked.maps.sum(0).max() <= 1 and (looked.maps[1] != looked.maps[3]).any()


def test_attention_of_a_word_that_is_not_read_is_none(model: UnclipModel, quick: Settings) -> None:
    """Words beyond the context are no words of the picture; padding gets no attention."""
    words = images.read_record(model.attention("cat " * 100, seed=6, settings=quick)[-1])["word"]
    assert words == "cat"
    assert len(model.attention("cat " * 100, seed=6, settings=quick)) == 1 + 22


# Records


def test_what_came_from_prompts_alone_is_drawn_again(model: UnclipModel, quick: Settings) -> None:
    (mixed,) = model.mix([("a cat", 1.0), ("a dog", -0.2)], seeds=[3], settings=quick)
    frame = model.interpolate(["a cat", "a dog"], frames=4, seed=3, settings=quick, loop=True)[1]
    for picture in (mixed, frame):
        assert difference(model.redraw(images.read_record(picture)), picture) <= 1
    (from_picture,) = model.mix([(PICTURE, 1.0)], seeds=[3], settings=quick)
    with pytest.raises(ValueError, match="started from other pictures"):
        model.redraw(images.read_record(from_picture))


# Films


@pytest.mark.parametrize("name", ["way.gif", "way.mp4"])
def test_films(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (33, 32), (level, 40, 90)) for level in (0, 90, 180, 250)]
    images.write_record(frames[0], {"task": "interpolation"})
    film = save_film(frames, tmp_path / "new" / name)
    assert [file.name for file in film.parent.iterdir()] == [name]
    if name.endswith("gif"):
        with Image.open(film) as opened:
            assert opened.n_frames == 4 and opened.info["loop"] == 0
            assert b"interpolation" in opened.info["comment"]
        return
    with av.open(str(film)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert "interpolation" in container.metadata["comment"]
    assert len(shown) == 4 and shown[0].shape == (32, 32, 3)
    assert [
        abs(int(picture[..., 0].mean()) - level) < 12 for picture, level in zip(shown, (0, 90, 180, 250), strict=True)
    ]


# Commands


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Pictures on disk: "a", "b", a mask, one that is "black", and "small"."""
    mask = Image.new("L", OTHER.size, 0)
    mask.paste(255, (0, 0, 16, 32))
    kinds = {"a": OTHER, "b": PICTURE, "mask": mask, "small": OTHER.resize((12, 12))}
    kinds["black"] = Image.new("L", OTHER.size, 0)
    folder = tmp_path / "in"
    folder.mkdir()
    for name, picture in kinds.items():
        picture.save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in kinds}


COMMANDS = {
    "variations {a} -n 2": 2,
    "variations {a} --eta 0.5": 1,
    "reconstruct {a} --refinements 0": 1,
    "interpolate {a} {b} --frames 3": 3,
    "interpolate {a} {b} --frames 3 --noise slerp --loop --strip": 1,
    "mix {a}=0.7 dog=-0.2 cat": 1,
    "diff {a} --to dog --from cat --strengths 0,0.4": 2,
    "inpaint {a} --mask {mask} -n 2 --prompt dog": 2,
    "outpaint {a} --share 0.6 --anchor 0,1": 1,
    "enhance {small}": 1,
    "dimensions {a} --axes 1,4": 2,
    "steps cat": 3 + 3,
    "attention cat": 2,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, files: dict[str, str], tiny_checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = [part.format(**files) for part in command.split()]
    steps = "3" if "variations" in command or "steps" in command else "2"
    common = ["--seed", "3", "--checkpoint", str(tiny_checkpoint), "--steps", steps, "-o", str(tmp_path / "out")]
    assert main([*arguments, *common]) == 0
    written = capsys.readouterr().out.split()
    assert len(written) == COMMANDS[command]
    assert all(images.read_record(file)["checkpoint"] == str(tiny_checkpoint) for file in written)


def test_a_film_by_command(files: dict[str, str], tiny_checkpoint: Path, tmp_path: Path) -> None:
    film = tmp_path / "way.gif"
    common = ["--checkpoint", str(tiny_checkpoint), "--steps", "1", "--seed", "0"]
    assert main(["interpolate", files["a"], "a cat", "--frames", "3", "-o", str(film), *common]) == 0
    with Image.open(film) as opened:
        assert opened.n_frames == 3


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mix", "; to draw the word itself"),
        ("steps", "; to draw the word itself"),
        ("diff", "--to"),
        ("text_diff", "--to"),
    ],
)
def test_a_word_that_is_a_task_is_no_prompt(word: str, said: str, tmp_path: Path, capsys: Capture) -> None:
    assert main([word, "--seed", "1", "-o", str(tmp_path)]) == 1
    sentence = capsys.readouterr().err
    assert f"The task {word} needs" in sentence and said in sentence


def test_a_command_may_have_its_former_name(files: dict[str, str], capsys: Capture) -> None:
    assert {parsers.task_of([name, files["a"]]) for name in ("diff", "text_diff")} == {"text_diff"}
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "text_diff or diff  PICTURE" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["diff", "--help"])
    assert "Also called text_diff." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("variations nowhere.png", "There is no picture 'nowhere.png'"),
        ("variations .", "is a folder: name one picture"),
        ("inpaint {a} --mask nowhere.png", "There is no picture 'nowhere.png'"),
        ("dimensions {a} --pictures nowhere", "There is no folder nowhere"),
        ("variations {a} --eat 1", "There is no option --eat: did you mean --eta?"),
        ("variation {a}", "There is no task variation: did you mean variations?"),
        ("interpolate {a} nowhere.png", "There is no picture 'nowhere.png'"),
        ("interpolate {a}", "at least two ends"),
        ("interpolate {a} {b} --frames 0", "at least two frames"),
        ("interpolate {a} {b} --frames 10000 -o way.gif", "at most 240 frames"),
        ("mix {a}=1 {b}=-1", "must sum to more than zero"),
        ("mix {a}=1 {b}=-2", "must sum to more than zero"),
        ("inpaint {a} --mask {black}", "black.png marks nothing: it is black, and what is white is repainted."),
        ("mix {a}=1e", "is not a number"),
        ("diff {a} --to dog --strengths many", "--strengths takes numbers"),
        ("inpaint {b} --mask {mask}", "make them the same size"),
        ("inpaint {a} --scheduler euler", "scheduler must be one of"),
        ("enhance {b}", "give a smaller one"),
        ("reconstruct {a} --guidance 3", "the way back"),
        ("variations {a} -n 0", "-n must be 1 or more"),
        ("variations {a} -o x.jpg", "saved as PNG"),
    ],
)
def test_bad_commands_are_told(
    command: str,
    expected: str,
    files: dict[str, str],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [part.format(**files) for part in command.split()]
    assert main([*arguments, "--checkpoint", str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and expected in err and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
