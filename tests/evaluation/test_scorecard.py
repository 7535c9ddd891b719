"""The scorecard: real pictures as samples are the ceiling itself, chance is 1 in 100, copies are found, one command."""

import dataclasses
import io
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image, ImageDraw

from dalle2 import images
from dalle2.datasets.scenes import OPPOSITE
from dalle2.model import UnclipModel
from dalle2.understanding.answer import Understanding
from evaluation import composition, generation, scorecard
from evaluation.comparing.contestants import Contestant
from evaluation.drawing import turns
from evaluation.drawing.cost import Cost
from evaluation.drawing.enlargement import open_drawer, psnr_and_bicubic
from evaluation.emoji import backgrounds, memorization, paraphrases, scene_tasks, scenes
from evaluation.emoji.embedded_set import CONCEPT, KINDS, PAIR, SEEN, EmbeddedSet
from evaluation.emoji.emoji_set import EmojiSet, Pair, read_emoji_set, training_subgroups
from evaluation.emoji.prompt_lists import MEANINGS, UNDERSTOOD, assign, colours
from evaluation.emoji.scorecard_metrics import NEEDS, QUESTIONS, speed
from evaluation.emoji.scores import Scorecard, of_values
from evaluation.metrics import retrieval
from evaluation.metrics.bootstrap import ratio_interval
from evaluation.networks.clip import Clip, ClipFeatures
from evaluation.pictures.manifest import Manifest, Row, write_manifest
from evaluation.prompts.prompt_sets import read_prompts
from evaluation.reporting import sheets

SIDE = 32  # what the tiny checkpoint draws
STYLES = ("noto", "twemoji")
CONCEPTS = 60
COLOURED = ("red thing", "green thing", "blue thing")
LETTERS = ["".join(pair) for pair in itertools.product("abcdefgh", repeat=2)]  # plain nouns can be counted


def icon(concept: int, style: str) -> bytes:
    """A shape of the concept's colours in the middle of nothing."""
    picture = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    draw = np.random.default_rng([concept, STYLES.index(style)])
    pen = ImageDraw.Draw(picture)
    for _ in range(3):
        left, top = (int(place) for place in draw.integers(3, 14, 2))
        colour = tuple(int(level) for level in draw.integers(0, 256, 3))
        pen.rectangle((left, top, left + int(draw.integers(4, 14)), top + int(draw.integers(4, 14))), fill=colour)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An emoji set in small: the last four concepts are held out, and of every fifth one the second style."""
    folder = tmp_path_factory.mktemp("emoji")
    tables: dict[str, list[dict]] = {"train": [], "test": []}
    for number in range(CONCEPTS):
        label = f"thing {LETTERS[number]}" if number >= 3 else COLOURED[number]
        english = {"language": "en", "label": label, "tags": [f"stuff {number}"]}
        chinese = {"language": "zh", "label": f"东西{label}", "tags": []}
        for style in STYLES:
            held = "concept" if number >= CONCEPTS - 4 else "pair" if number % 5 == 0 and style == "noto" else ""
            row = {"concept": f"c{number:02d}", "label": label, "style": style, "held_out": held}
            row |= {"subgroup": "tool" if number % 2 == 0 else "clothing", "captions": [english, chinese]}
            tables["test" if held else "train"].append(row | {"image": {"bytes": icon(number, style)}})
    (folder / "data").mkdir()
    for name, rows in tables.items():
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def emoji(data: Path) -> EmojiSet:
    return read_emoji_set(data)


def as_drawn(
    folder: Path,
    pairs: list[Pair] | list[scenes.SceneQuestion],
    grounds: list[tuple[int, int, int]] | None = None,
    pictures: list[Image.Image] | None = None,
) -> Contestant:
    """The pairs' real pictures, or these, as a folder that generation might have drawn."""
    pictures = pictures or [
        pair.picture(SIDE, ground)
        for pair, ground in zip(pairs, grounds or [(255, 255, 255)] * len(pairs), strict=True)
    ]
    rows = []
    for index, (pair, picture) in enumerate(zip(pairs, pictures, strict=True)):
        images.save(picture, folder / f"{index:06d}.png")
        rows.append(Row(file=f"{index:06d}.png", id=pair.id, caption=pair.caption, seed=index))
    numbers = {"pictures": len(rows), "seed": 0, "picture_size": SIDE, "batch_size": 4, "compiled": False, "threads": 1}
    words = dict.fromkeys(("prompts", "prompts_sha256", "checkpoint", "checkpoint_hash", "device", "dtype"), "")
    manifest = Manifest(**numbers, **words, sampling={}, settings={}, versions={}, command="", rows=tuple(rows))
    write_manifest(manifest, folder)
    return Contestant("real", folder, manifest, None)


@pytest.fixture(scope="module")
def real_bench(emoji: EmojiSet, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSet:
    """A embedded whose drawn pictures are the real ones."""
    folder = tmp_path_factory.mktemp("drawn")
    asked = colours(emoji.train)
    drawn = {
        "unseen": as_drawn(folder / "unseen", list(emoji.test)),
        "seen": as_drawn(folder / "seen", list(emoji.train[:20])),
        "chinese": as_drawn(folder / "chinese", list(emoji.test[:8])),
        "paraphrases": as_drawn(folder / "paraphrases", list(emoji.train[:8])),
    }
    grounds = [backgrounds.BACKGROUNDS[asked[pair.id]] for pair in emoji.train[:24]]
    drawn["backgrounds"] = as_drawn(folder / "backgrounds", list(emoji.train[:24]), grounds)
    asked = list(scenes.questions(emoji.train).values())[:8]
    made = [one.picture(one.answer, SIDE, random.Random(0)) for one in asked]
    drawn["scenes"] = as_drawn(folder / "scenes", asked, pictures=made)
    drawn["colours"] = as_drawn(folder / "colours", [pair for pair in emoji.train if pair.label in COLOURED])
    drawn |= {f"{what}{UNDERSTOOD}": drawn[what] for what in ("chinese", "paraphrases")}
    clip = Clip(tiny_checkpoint)
    return EmbeddedSet(emoji, emoji.train, clip, ClipFeatures(str(tiny_checkpoint)), drawn, workers=0)


@pytest.mark.parametrize("part", [part for part in QUESTIONS if part != "distance"])
def test_real_pictures_as_samples_reach_the_ceiling(real_bench: EmbeddedSet, part: str) -> None:
    scores = QUESTIONS[part](real_bench)
    assert scores
    for score in scores:
        if score.real is not None:
            assert score.drawn.value == pytest.approx(score.real.value), score.drawn.label
        if score.share is not None:
            assert score.share.value == 1
            assert score.share.interval in (None, (1, 1))


def test_the_distance_of_a_set_to_itself_is_zero(real_bench: EmbeddedSet) -> None:
    frechet, kernel, *_ = QUESTIONS["distance"](real_bench)
    assert frechet.drawn.value == pytest.approx(0, abs=1e-6)
    assert kernel.drawn.value <= 0
    assert frechet.real.n == frechet.drawn.n == len(real_bench.emoji.test)


def test_pairs_are_seen_unseen_or_of_unseen_concepts(real_bench: EmbeddedSet) -> None:
    kinds = real_bench.kinds("unseen")
    assert {kind: int((kinds == kind).sum()) for kind in (PAIR, CONCEPT)} == {PAIR: 12, CONCEPT: 8}
    assert set(real_bench.kinds("seen")) == {SEEN}
    part = dataclasses.replace(real_bench, trained=tuple(p for p in real_bench.trained if p.subgroup == "tool"))
    assert (part.kinds("unseen") == CONCEPT).sum() == 8 + 6  # and c05, c15, …, c55


def test_a_caption_is_found_among_100_once_in_100_by_chance() -> None:
    draw = np.random.default_rng(0)
    texts, pictures = draw.normal(size=(300, 16)), draw.normal(size=(6000, 16))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    shuffled = retrieval.found_caption(pictures, texts, draw.integers(300, size=6000))
    assert shuffled.mean() == pytest.approx(0.01, abs=0.004)
    assert retrieval.found_caption(texts, texts, np.arange(300)).all()


def test_styles_and_concepts_of_perfect_embeddings() -> None:
    table = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0].reshape(6, 2, 12)  # concepts, styles
    concepts, styles = np.arange(12) % 6, np.arange(12) % 2
    pictures = table[concepts, styles]
    assert (retrieval.concept(pictures, table, styles) == concepts).all()
    assert (retrieval.style_by_caption(pictures, table[concepts]) == styles).all()
    assert (retrieval.style_by_mean(pictures, pictures, styles) == styles).all()
    right, wrong = np.array([True, True]), np.array([True, False])
    assert retrieval.better({"a": wrong, "b": right, "c": right}) == "b"


def test_copies_of_training_pictures_are_all_found() -> None:
    draw = np.random.default_rng(0)
    training, test = draw.normal(size=(400, 32)), draw.normal(size=(100, 32))
    training, test = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (training, test))
    found = memorization.nearest(training[:40], training)
    assert (found.indices[:, 0] == np.arange(40)).all() and np.allclose(found.first, 1)
    assert (np.diff(found.cosines, axis=1) <= 0).all()
    real = memorization.nearest(test, training)
    limits = memorization.strict_threshold(test, training), memorization.nearest_threshold(real)
    assert all((found.first > limit).all() for limit in limits)
    assert (real.first > limits[1]).mean() == pytest.approx(0.01)
    with pytest.raises(ValueError, match="only 2 training pictures"):
        memorization.nearest(test, training[:2])


@pytest.mark.parametrize("name", list(backgrounds.BACKGROUNDS))
def test_the_border_tells_the_background(name: str) -> None:
    picture = Image.new("RGB", (128, 128), backgrounds.BACKGROUNDS[name])
    ImageDraw.Draw(picture).ellipse((0, 0, 127, 127), fill=(1, 2, 3))  # touches every side
    assert backgrounds.border_colour(picture) == backgrounds.BACKGROUNDS[name]
    assert backgrounds.nearest_name(backgrounds.border_colour(picture)) == name


def test_how_a_background_is_asked_for() -> None:
    assert backgrounds.on_background("a, noto style", "orange") == "a, noto style on an orange background"
    assert backgrounds.on_background("a, noto style", "light blue") == "a, noto style on a light blue background"
    assert "white" not in backgrounds.ASKED and len(backgrounds.ASKED) == 12


def test_the_ways_of_a_scene_are_told_apart(emoji: EmojiSet) -> None:
    """By the pixels themselves, which know a scene's layout best."""
    things = [pair for pair in emoji.train if pair.style == "noto"][:6]
    draw = random.Random(1)
    asked = [
        scenes.SceneQuestion((thing,), str(count), ("1", "2", "3", "4")) for thing in things for count in (2, 3, 4)
    ]
    asked += [
        scenes.SceneQuestion((one, other), where, tuple(OPPOSITE))
        for one, other in itertools.pairwise(things)
        for where in OPPOSITE
    ]
    right = []
    for one in asked:
        picture, *arrangements = (
            np.asarray(picture, float).ravel()
            for picture in [one.picture(one.answer, SIDE, draw), *scenes.arrangements(one, SIDE)]
        )
        assert len(arrangements) == scenes.LAYOUTS * len(one.arrangements)
        rows = np.stack([picture, *arrangements]) - 255
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        right.append(scenes.seen(rows[0], rows[1:], one.arrangements) == one.answer)
    assert np.mean(right) > 0.9
    single, *_ = scenes.arrangements(asked[0], SIDE)
    assert np.array_equal(np.asarray(single), np.asarray(things[0].picture(SIDE)))


def test_what_a_scenes_question_is(emoji: EmojiSet) -> None:
    asked = scenes.questions(emoji.train)
    assert list(asked) == [one.id for one in asked.values()] == list(scenes.questions(emoji.train))
    numbers = [one for one in asked.values() if one.answer.isdigit()]
    assert {one.answer for one in numbers} == {"2", "3", "4"}
    assert all(
        one.answer in one.arrangements and len({thing.style for thing in one.things}) == 1 for one in asked.values()
    )
    cat = next(one for one in numbers if one.answer == "2")
    assert cat.caption == f"two {cat.things[0].label}s, {cat.things[0].style} style"
    place = next(one for one in asked.values() if one.answer == "left")
    assert place.caption == "a {} left of a {}, {} style".format(
        *(thing.label for thing in place.things), place.things[0].style
    )


def test_things_that_come_in_colours() -> None:
    hearts = ["red heart", "light blue heart", "blue heart", "black heart"]
    found = scenes.families([*hearts, "red apple", "green apple", "blueberries", "heart", "teal heart"])
    assert found == dict.fromkeys(hearts, tuple(hearts))


def test_our_paraphrases() -> None:
    lines = paraphrases.PARAPHRASES.read_text(encoding="utf-8").splitlines()
    assert "CC0" in lines[0]
    rows = [line.split("\t") for line in lines[2:]]
    assert len(rows) == len({row[0] for row in rows}) >= 60
    pairs = [
        Pair(concept, label, "noto", "", "", {"en": {"label": label, "tags": []}}, b"") for concept, label, _ in rows
    ]
    assert paraphrases.read_paraphrases(pairs) == {concept: text for concept, _, text in rows}
    assert paraphrases.read_paraphrases(pairs[:3]).keys() == {pair.concept for pair in pairs[:3]}


def test_labels_and_tags_are_no_paraphrases(tmp_path: Path) -> None:
    words = {"en": {"label": "hot dog", "tags": ["sausage"]}, "de": {"label": "Hotdog", "tags": ["Würstchen"]}}
    pair = Pair("1f32d", "hot dog", "noto", "", "", words, b"")
    for text, known in [
        ("a Sausage!", "sausage"),
        ("würstchen", "Würstchen"),
        ("two hot dogs", ""),
        ("one hot dog", "hot dog"),
    ]:
        assert paraphrases.known_as(text, pair) == known
    file = tmp_path / "list.tsv"
    file.write_text("# ours\nconcept\tlabel\tparaphrase\n1f32d\thot dog\tthe sausage\n")
    with pytest.raises(ValueError, match="'the sausage' is not a paraphrase of 'hot dog'"):
        paraphrases.read_paraphrases([pair], file)


def test_chinese_and_english_are_the_same_pairs_in_the_same_order(emoji: EmojiSet, tmp_path: Path) -> None:
    english, chinese = (assign(what, emoji, emoji.train, 12, tmp_path, 8) for what in ("unseen", "chinese"))
    assert (english.num, chinese.num) == (12, 6)
    drawn = read_prompts(str(english.list), english.num).prompts
    again = read_prompts(str(chinese.list), chinese.num).prompts
    assert [prompt.id for prompt in again] == [prompt.id for prompt in drawn[:6]]
    pair = emoji.by_id[again[0].id]
    assert again[0].caption == f"东西{pair.label}，{pair.style}风格"
    assert assign("seen", emoji, emoji.train, 1000, tmp_path, 8).num == len(emoji.test)
    assert assign("single", emoji, emoji.train, 1000, tmp_path, 8).batch_size == 1
    with pytest.raises(ValueError, match=r"nothing to draw for paraphrases \(a pair of each concept"):
        assign("paraphrases", emoji, emoji.train, 12, tmp_path, 8)


def test_after_understanding_the_same_pairs_are_drawn_from_what_is_asked(emoji: EmojiSet, tmp_path: Path) -> None:
    class Interpreter:
        def understand(self, prompt: str) -> Understanding:
            return Understanding(prompt, "" if prompt.startswith(f"东西{unknown}，") else f"{prompt}!")

    english, said = (assign(what, emoji, emoji.train, 12, tmp_path, 8) for what in ("unseen", "chinese"))
    before = read_prompts(str(said.list), said.num).prompts
    unknown = emoji.by_id[before[0].id].label
    told = assign(f"chinese{UNDERSTOOD}", emoji, emoji.train, 12, tmp_path, 8, Interpreter())
    after = read_prompts(str(told.list), told.num).prompts
    assert [prompt.id for prompt in after] == [prompt.id for prompt in before]
    assert [prompt.id for prompt in read_prompts(str(english.list), 6).prompts] == [prompt.id for prompt in after]
    changed = [one.caption != other.caption for one, other in zip(before, after, strict=True)]
    assert not changed[0] and any(changed)  # what is not understood is drawn as it was said, and counts as wrong
    with pytest.raises(ValueError, match="has no vocabulary"):
        assign(f"chinese{UNDERSTOOD}", emoji, emoji.train, 12, tmp_path, 8)


def test_every_need_can_be_drawn() -> None:
    assert {what for needs in NEEDS.values() for what in needs} == set(MEANINGS)
    assert set(NEEDS) == {*QUESTIONS, "upsampler", "speed"}


def test_what_a_checkpoint_was_trained_on(tmp_path: Path) -> None:
    assert training_subgroups(str(tmp_path)) is None
    for recipe, expected in [({"data": {"subgroups": ["even"]}}, ("even",)), ({"data": {}}, ())]:
        (tmp_path / "dalle2.json").write_text(json.dumps({"recipe": recipe}))
        assert training_subgroups(str(tmp_path)) == expected
    (tmp_path / "dalle2.json").write_text(json.dumps({"recipe": {"data": {"split": "train+test"}}}))
    with pytest.raises(ValueError, match="trained on the test split too"):
        training_subgroups(str(tmp_path))
    (tmp_path / "dalle2.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        training_subgroups(str(tmp_path))


def test_the_upsampler_is_held_against_bicubic(model: UnclipModel, tiny_checkpoint: Path) -> None:
    flat = Image.new("RGB", (SIDE, SIDE), (10, 200, 30))
    ours, bicubic = psnr_and_bicubic(model, [flat] * 9)
    assert (bicubic == 100).all() and (ours < 100).all() and len(ours) == 9
    _, settings = open_drawer([str(tiny_checkpoint), "--steps", "2", "--batch-size", "4"])
    assert settings.upsampler.num_inference_steps == 2
    with pytest.raises(ValueError, match="prior"):
        open_drawer([str(tiny_checkpoint), "--prior", "none"])


def test_ratios() -> None:
    values = np.array([1.0, 2.0, 3.0, 5.0])
    assert ratio_interval(values, values) == (1, 1)
    assert ratio_interval(values / 2, values) == (0.5, 0.5)
    assert ratio_interval(values, [0, 0, 0, 1]) is None
    with pytest.raises(ValueError, match="not 4 and 1"):
        ratio_interval(values, [1])
    nothing = of_values("right", "right", np.array([True, False]), np.array([False, False]))
    assert nothing.share is None and nothing.row()[3] == "–"
    with pytest.raises(ValueError, match="no pictures to measure"):
        of_values("right", "right", np.array([]))


def test_speed_is_told_where_it_is_known(real_bench: EmbeddedSet) -> None:
    known = dataclasses.replace(real_bench.drawn["seen"], cost=Cost(seconds_a_picture=0.25, peak_megabytes=1234.0))
    found, notes = speed([known, real_bench.drawn["unseen"]])
    assert [score.row()[:2] for score in found] == [
        ("seconds a picture, real, 4 at a time ↓", "0.25 s"),
        ("peak memory, real, 4 at a time ↓", "1,234 MB"),
    ]
    assert len(notes) == 1 and "is not known" in notes[0]


def test_sheets() -> None:
    pictures = [Image.new("RGB", (8, 8), (index, 0, 0)) for index in range(11)]
    sheet = sheets.grid(pictures)
    assert sheet.size == (64, 16)
    assert [sheet.getpixel((index % 8 * 8, index // 8 * 8))[0] for index in range(11)] == list(range(11))
    assert sheet.getpixel((63, 15)) == (255, 255, 255)
    both = sheets.neighbours([(pictures[1], pictures[2:5], [0.9, 0.8, 0.7])] * 2)
    assert both.getpixel((0, 0)) == (1, 0, 0)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Drawing without a process of its own, and the command lines that were drawn."""
    drawn: list[list[str]] = []

    def draw(arguments: dict[str, list[str]]) -> None:
        for given in arguments.values():
            drawn.append(given)
            assert generation.main(given) == 0

    monkeypatch.setattr(turns, "draw_in_turns", draw)
    monkeypatch.setattr(turns, "draw_one_by_one", draw)
    return drawn


def run(data: Path, out: Path, tiny_checkpoint: Path, *arguments: object) -> Scorecard:
    common = ["--data", data, "--out", out, "--clip", tiny_checkpoint, "--workers", 0, "--device", "cpu", "--num", 12]
    scorecard.main([str(word) for word in [*common, *arguments]])
    return json.loads((out / "scorecard.json").read_text())


def test_the_command(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, in_process: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {f"c{number:02d}": f"a gadget called {number}" for number in range(4)}
    monkeypatch.setattr("evaluation.emoji.prompt_lists.read_paraphrases", lambda pairs: said)
    contestant = f"{tiny_checkpoint} --steps 2"
    card = run(data, tmp_path, tiny_checkpoint, contestant, "--draft", f"{tiny_checkpoint} --steps 1")
    names = [score["drawn"]["label"] for score in card["scores"]]
    for name in (
        f"R@1 among 100 captions, {KINDS[PAIR]}",
        f"R@1 among 100 captions, {KINDS[SEEN]}",
        f"style right, {KINDS[SEEN]}",
        "R@1, Chinese captions",
        "R@1, English paraphrases",
        "background right",
        "PSNR of the upsampler over bicubic",
    ):
        assert name in names
    assert any("conditions this checkpoint" in note for note in card["notes"])
    assert card["provenance"]["settings"]["decoder"]["num_inference_steps"] == 2
    assert len(card["grid"]) == 12
    text = (tmp_path / "scorecard.md").read_text()
    assert "| measure | drawn | real pictures | share of real | n |" in text and "checkpoint_hash" in text
    with Image.open(tmp_path / "grid.png") as grid, Image.open(tmp_path / "nearest.png") as nearest:
        assert grid.size == (8 * SIDE, 2 * SIDE) and nearest.width > 8 * SIDE
    again = run(data, tmp_path, tiny_checkpoint, contestant, "--only", "recognition")
    assert again["scores"] == [score for score in card["scores"] if score["drawn"]["label"].startswith("R@1 among")]
    assert any("has no vocabulary" in note for note in card["notes"])  # so nothing is drawn after understanding
    assert len(in_process) == sum(not what.endswith(UNDERSTOOD) for what in MEANINGS) + 1 + 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--num", "3"], "--num must be 8 or more"),
        (["--data", "nowhere"], "nowhere holds no emoji set: build it with"),
        (["--only", "copies", "--draft", "emoji"], "--draft is only timed"),
        ([""], "not nothing"),
        (["elsewhere", "--clip", "nowhere"], "There is no CLIP at nowhere"),
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


def test_a_drawn_folder_is_no_contestant(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, real_bench: EmbeddedSet, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        run(data, tmp_path, tiny_checkpoint, real_bench.drawn["seen"].folder)
    assert "is a drawn folder: a scorecard draws by itself" in capsys.readouterr().err


def test_true_compositions_are_judged_alike_and_chance_is_told(real_bench: EmbeddedSet) -> None:
    tasks = {task.key: task for task in scene_tasks.of_scenes(real_bench)}
    assert set(tasks) == {"number", "place", "things", "things_and_place"}
    for task in tasks.values():
        assert (task.drawn == task.true).all()
    both = tasks["things"].true * tasks["place"].true
    assert (tasks["things_and_place"].true == both).all() and tasks["things_and_place"].chance == 1 / 16
    assert scene_tasks.of_colours(real_bench).chance == pytest.approx(1 / 3)


def test_strangers_differ_in_the_things_alone(emoji: EmojiSet) -> None:
    asked = next(one for one in scenes.questions(emoji.train).values() if not one.answer.isdigit())
    same, first, second, both = scenes.distractors(asked, emoji.train)
    assert same.things == asked.things
    assert first.things[1] is asked.things[1] and second.things[0] is asked.things[0]
    assert not {thing.concept for thing in both.things} & {thing.concept for thing in asked.things}
    assert {one.answer for one in (first, second, both)} == {asked.answer}
    assert scenes.distractors(asked, asked.things) == (asked,)


def test_the_table_of_compositions(
    data: Path, tiny_checkpoint: Path, tmp_path: Path, in_process: list[list[str]]
) -> None:
    file = tmp_path / "composition.json"
    common = ["--data", data, "--clip", tiny_checkpoint, "--workers", 0, "--device", "cpu"]
    given = [tiny_checkpoint, "--num", 8, "--out", tmp_path / "out", "--report", file, *common]
    composition.main([str(word) for word in given])
    report = json.loads(file.read_text())
    found = {one["key"]: one for one in report["measures"]}
    assert list(found) == ["things", "number", "place", "things_and_place", "colour", "overall"]
    assert found["place"]["details"]["by chance"] == "25.0%" and "…" in found["place"]["details"]["true compositions"]
    assert found["overall"]["n"] == sum(found[key]["n"] for key in ("things", "number", "place", "colour"))
    low, high = found["number"]["interval"]
    assert low < high and any("compares with no published GenEval" in note for note in report["warnings"])
    assert len(in_process) == 2
