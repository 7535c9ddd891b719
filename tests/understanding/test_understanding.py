"""Prompts are taken for what the checkpoint knows, and what it does not know is offered for, not pretended."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dalle2 import images
from dalle2.__main__ import main
from dalle2.datasets.concepts import PARAPHRASES as WORDNET
from dalle2.datasets.concepts import read_paraphrases
from dalle2.families import EMBEDDED
from dalle2.model import UnclipModel
from dalle2.sentence_encoder import WIDTH, SentenceEncoder
from dalle2.understanding.answer import Understanding
from dalle2.understanding.descriptions import read_descriptions
from dalle2.understanding.interpreter import GUESS, KNOWN, THRESHOLD, Interpreter
from dalle2.understanding.lookup import EVERYDAY
from dalle2.understanding.sentences import NOTES, sentence
from dalle2.understanding.vocabulary import VECTORS, WORDS, Vocabulary
from dalle2.understanding.wording import bare, take_apart
from evaluation.cli.understanding import PARTS
from evaluation.emoji.paraphrases import PARAPHRASES
from evaluation.emoji.understanding import LIST, STYLES, answer, read_list

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    found = Vocabulary.read(EMBEDDED)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    found = SentenceEncoder.installed()
    if found is None:
        pytest.skip("the sentence encoder is not installed: pip install -r requirements.txt")
    return found


@pytest.fixture(scope="module")
def interpreter(vocabulary: Vocabulary, encoder: SentenceEncoder) -> Interpreter:
    return Interpreter(vocabulary, STYLES, lambda: encoder)


@pytest.mark.parametrize(
    "prompt, asked",
    [
        ("a red heart, twemoji style", "a red heart, twemoji style"),
        ("two hearts", "two hearts"),
        ("Three O'Clock on a blue background", "Three O'Clock on a blue background"),
        ("classic symbol of love, twemoji style", "red heart, twemoji style"),
        ("a fluent color emoji of a kitten", "cat face, fluent color style"),
        ("coffee against a gray background", "hot beverage on a grey background"),
        ("coffee on a turquoise background", "hot beverage on a light blue background"),
        ("please draw me a robot", "robot"),
        ("elefant", "elephant"),
        ("a drgon", "dragon"),
        ("星星，twemoji风格", "star, twemoji style"),
        ("蓝色背景上的猫", "cat on a blue background"),
        ("快乐的狗", "dog"),
        ("ein glücklicher Hund", "dog"),
        ("собака, noto style", "dog, noto style"),
        ("ねこ", "cat"),
        ("ช้าง", "elephant"),  # with a tone mark
        ("หัวใจสีแดง", "red heart"),  # the thing stands before its colour
        ("लाल घर", "house"),  # and here behind it, in two letters
        ("बड़ी बिल्ली", "cat"),
        ("লাল বাড়ি", "house"),
        ("บ้าน", "house"),
        ("красный дом", "house"),
        ("수영장", "person swimming"),
        ("❤️", "red heart"),
        ("❤", "red heart"),
        ("👍🏽", "thumbs up"),
        ("👩🏿‍🚀", "woman astronaut"),
        ("🏳️‍🌈", "rainbow flag"),
        ("🍕 on a blue background, openmoji style", "pizza, openmoji style on a blue background"),
    ],
)
def test_the_prior_is_asked_what_the_checkpoint_knows(interpreter: Interpreter, prompt: str, asked: str) -> None:
    assert interpreter.understand(prompt).asked == asked


@pytest.mark.parametrize(
    "prompt, kinds",
    [
        ("a photo of a dog", {"photograph"}),
        ("photorealistic dog, 4k", {"photograph"}),
        ("一张狗的照片", {"photograph"}),
        ("a dog in the style of Van Gogh", {"style"}),
        ("an oil painting of a fox", {"style"}),
        ("a cat on a city background", {"background"}),
        ("two cats", {"number"}),
        ("三只猫", {"number"}),
        ("a dog left of a cat", {"place", "left"}),
        ("a purple cat", {"colour"}),
        ("a dog wearing a hat", {"left"}),
        ("a cat and a dog", {"left"}),
        ("🐶🐱", {"left"}),
        ("👍🏿", {"skin"}),
        ("a crab", {"untrained"}),
        ("a white house", {"colour"}),
        ("a happy dog", {"left"}),
        ("a red heart without red", {"left"}),
        ("a cat that is not black", {"left"}),
        ("a dog without a hat", {"left"}),
        ("猫，不要狗", {"left"}),
    ],
)
def test_what_cannot_be_had_is_told_in_both_languages(interpreter: Interpreter, prompt: str, kinds: set[str]) -> None:
    found = interpreter.understand(prompt)
    assert found.known
    assert {note.kind for note in found.notes} == kinds
    for language, place in (("en", 0), ("zh", 1)):
        for kind in kinds:
            assert NOTES[kind][place].split("{}")[0] in sentence(found, language)


@pytest.mark.parametrize(
    "prompt, label",
    [
        ("a green tree", "deciduous tree"),
        ("a purple tree", "deciduous tree"),
        ("a yellow star", "star"),
        ("a happy yellow star", "star"),
        ("a red car", "automobile"),
        ("a purple cat", "cat"),
        ("a big dog", "dog"),
        ("a happy dog", "dog"),
        ("a small white flower", "white flower"),
        ("a blue heart", "blue heart"),
    ],
)
def test_a_thing_with_a_colour_or_quality_is_what_it_is_alone(
    interpreter: Interpreter, prompt: str, label: str
) -> None:
    assert interpreter.understand(prompt).concept.label == label


@pytest.mark.parametrize(
    "prompt, label, kinds",
    [
        ("绿色的树", "deciduous tree", {"colour"}),
        ("红色的汽车", "automobile", {"colour"}),
        ("红车", "automobile", {"colour"}),
        ("黑色的狗", "dog", {"colour"}),
        ("白色的房子", "house", {"colour"}),
        ("一朵紫色的小花", "blossom", {"colour"}),
        ("蓝色的心，twemoji风格", "blue heart", set()),
        ("红苹果", "red apple", set()),
        ("白菜", "leafy green", set()),
        ("一棵大树", "deciduous tree", set()),
        ("画一只可爱的小猫", "cat face", set()),
        ("天空", "cloud", set()),
        ("生日蛋糕", "birthday cake", set()),
    ],
)
def test_everyday_chinese_words_are_understood_with_and_without_a_colour(
    interpreter: Interpreter, prompt: str, label: str, kinds: set[str]
) -> None:
    found = interpreter.understand(prompt)
    assert found.concept is not None and found.concept.label == label
    assert {note.kind for note in found.notes} & {"colour", "unknown"} == kinds
    if kinds:
        assert "我不能保证颜色是“" in sentence(found, "zh")


@pytest.mark.parametrize(
    "prompt, said",
    [
        ("eine blaue Katze", "I draw: cat. I cannot promise the colour blaue."),
        ("eine Katze auf dem Sofa", "I draw: cat. Left out: auf dem Sofa."),
        ("ein glücklicher Hund", "I draw: dog. Left out: glücklicher."),
        ("un gato azul", "I draw: cat. I cannot promise the colour azul."),
        ("un gato negro con sombrero", "I draw: black cat. Left out: sombrero."),
        ("un chat bleu", "I draw: cat. I cannot promise the colour bleu."),
        ("en röd katt", "I draw: cat. I cannot promise the colour röd."),
        ("egy kék macska", "I draw: cat. I cannot promise the colour kék."),
        ("синяя кошка", "I draw: cat. I cannot promise the colour синяя."),
        ("नीली बिल्ली", "I draw: cat. I cannot promise the colour नीली."),
        ("बड़ी बिल्ली", "I draw: cat. Left out: बड़ी."),
        ("নীল বিড়াল", "I draw: cat. I cannot promise the colour নীল."),
        ("파란 고양이", "I draw: cat. I cannot promise the colour 파란."),
        ("귀여운 강아지", "I draw: dog. Left out: 귀여운."),
        ("สุนัขสีเขียว", "I draw: dog. I cannot promise the colour สีเขียว."),
        ("แมวน่ารัก", "I draw: cat. Left out: น่ารัก."),
        ("紅色的貓", "I draw: cat. I cannot promise the colour 紅色."),
        ("一只戴帽子的狗", "I draw: dog. Left out: 戴帽子."),
        # What is drawn, or says nothing, is not said.
        ("ein roter Apfel", "I draw: red apple."),
        ("ein rotes Herz", "I draw: red heart."),
        ("小猫", "I draw: cat face."),
        ("собака", "I draw: dog."),
    ],
)
def test_what_other_languages_say_and_is_not_drawn_is_told(interpreter: Interpreter, prompt: str, said: str) -> None:
    assert sentence(interpreter.understand(prompt)) == said


def test_a_colour_is_not_promised_and_not_denied_either(interpreter: Interpreter) -> None:
    found = interpreter.understand("a light blue car")
    assert sentence(found) == "I draw: automobile. I cannot promise the colour light blue."
    assert sentence(found, "zh") == "我画的是：汽车。我不能保证颜色是“light blue”。"


@pytest.mark.parametrize(
    "prompt, label",
    [
        ("a farm animal that gives milk", "cow"),
        ("a bird that cannot fly and lives on ice", "penguin"),
        ("a knight's home with towers and a moat", "castle"),
        ("what a plumber unblocks a sink with", "plunger"),
        ("a dog wearing a hat", "dog"),
    ],
)
def test_descriptions_find_what_they_do_not_name(interpreter: Interpreter, prompt: str, label: str) -> None:
    assert interpreter.understand(prompt).concept.label == label


@pytest.mark.parametrize("prompt", ["not a cat", "no cat", "without a cat", "don't draw a cat", "不是猫", "没有猫"])
def test_what_is_only_denied_is_not_drawn(interpreter: Interpreter, prompt: str) -> None:
    found = interpreter.understand(prompt)
    assert not found.known
    assert sentence(found).startswith(f"I cannot draw what is not there (“{prompt}”)")
    assert sentence(found, "zh").startswith(f"我画不出不存在的东西（“{prompt}”）")


@pytest.mark.parametrize(
    "prompt, label",
    [
        ("a no smoking sign", "no smoking"),
        ("do not litter", "no littering"),
        ("禁止吸烟", "no smoking"),
        ("a face without a mouth", "face without mouth"),
        ("no hat, but a dog", "dog"),
    ],
)
def test_a_concept_may_say_itself_what_is_not_there(interpreter: Interpreter, prompt: str, label: str) -> None:
    assert interpreter.understand(prompt).concept.label == label


def test_many_words_that_are_left_out_are_each_said_once(interpreter: Interpreter) -> None:
    found = interpreter.understand("a wizard with a long beard, standing on a hill, " * 8)
    assert sentence(found) == "I draw: mage. Left out: with a long beard standing on hill."


def test_where_nothing_is_offered_nothing_is_said_to_be_known(
    encoder: SentenceEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for prompt in ("!!!???", "not a cat"):
        assert main([prompt, "-o", str(tmp_path / "drawn.png")]) == 1
        said = capsys.readouterr().err
        assert prompt in said and "Name another thing" in said and "what it knows" not in said


def test_what_it_does_not_know_is_offered_for(interpreter: Interpreter) -> None:
    found = interpreter.understand("Batman")
    assert not found.known
    assert {"bat", "superhero"} <= {near.label for near in found.nearest}
    assert sentence(found).startswith("I do not know “Batman”; nearest: ")
    assert sentence(found, "zh").startswith("我不认识“Batman”；最接近的是：")


def test_a_doubtful_description_is_guessed_and_said_to_be_guessed(interpreter: Interpreter) -> None:
    found = interpreter.understand("a boy wizard with round glasses and a scar")
    assert found.known and found.guessed
    assert sentence(found).startswith("My best guess: ") and sentence(found, "zh").startswith("我猜是：")
    assert found.alternatives
    assert not interpreter.understand("classic symbol of love").guessed


@pytest.mark.parametrize("prompt", ["asdfghjkl qwerty", "x" * 1000, "🇫🇷", "???!!!", "埃菲尔铁塔", "Barack Obama", "42"])
def test_nonsense_and_strangers_are_not_pretended(interpreter: Interpreter, prompt: str) -> None:
    found = interpreter.understand(prompt)
    assert not found.known
    assert len(sentence(found)) < 200


@pytest.mark.parametrize(
    "prompt",
    ["a wizard with a long beard, standing on a hill, " * 20, "a cat 狗 собака 🐶", "\u200d\ufe0f", "，。", "的", "A"],
)
def test_long_mixed_and_odd_prompts_behave(interpreter: Interpreter, prompt: str) -> None:
    found = interpreter.understand(prompt.strip()[:1000])
    assert isinstance(found, Understanding)
    assert found.known or sentence(found)


def test_every_label_is_asked_as_it_stands(interpreter: Interpreter) -> None:
    changed = []
    for entry in interpreter.vocabulary.entries:
        prompt = f"{entry.label}, twemoji style"
        found = interpreter.understand(prompt)
        if found.asked != prompt or found.concept.label.lower() != entry.label.lower():
            changed.append((prompt, found.asked, found.concept and found.concept.label))
    assert changed == []


def test_chinese_labels_are_asked_in_english(interpreter: Interpreter) -> None:
    changed = []
    for entry in interpreter.vocabulary.entries:
        found = interpreter.understand(f"{entry.chinese}，noto风格")
        if found.asked != f"{entry.label}, noto style":
            changed.append((entry.chinese, entry.label, found.asked))
    assert changed == []


def test_the_held_out_prompts_are_understood_as_the_card_says(interpreter: Interpreter) -> None:
    found = answer(interpreter, read_list("held out"))
    assert found.right > 0.8
    assert found.another < 0.1
    assert found.pretended < 0.2


def test_the_lists_are_large_and_share_nothing() -> None:
    parts = [read_list(part) for part in PARTS]
    prompts = [bare(one.prompt) or one.prompt for part in parts for one in part]
    assert len(set(prompts)) > 0.98 * len(prompts)
    assert sum(bool(one.concepts) for part in parts for one in part) >= 150
    assert sum(not one.concepts for part in parts for one in part) >= 80


def test_no_paraphrase_of_the_card_is_in_the_vocabulary_or_in_what_the_threshold_was_chosen_on(
    vocabulary: Vocabulary,
) -> None:
    lines = [line.split("\t") for line in PARAPHRASES.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    paraphrases = {bare(line[2]) for line in lines[1:]}
    assert len(paraphrases) > 100
    known = {bare(word) for entry in vocabulary.entries for words in entry.words.values() for word in words}
    glosses, _ = read_paraphrases(WORDNET)  # of which the vocabulary has the meanings
    known |= {bare(text) for texts in glosses.values() for text in texts}
    assert len(read_descriptions()) > 1000
    assert set(read_descriptions()) <= {entry.label for entry in vocabulary.entries}
    known |= {bare(text) for texts in read_descriptions().values() for text in texts}
    known |= {bare(line.split("\t")[0]) for line in EVERYDAY.read_text(encoding="utf-8").splitlines()}
    asked = {bare(one.prompt) for part in PARTS for one in read_list(part)}
    popular = LIST.with_name("popular-prompts.csv").read_text(encoding="utf-8").splitlines()
    asked |= {bare(line.partition(",")[2]) for line in popular}
    assert paraphrases & (known | asked) == set()


def test_known_words_need_no_encoder_and_others_are_taken_literally_which_is_told(vocabulary: Vocabulary) -> None:
    def damaged() -> SentenceEncoder:
        raise ValueError("damaged")

    for encoder in (lambda: None, damaged):
        alone = Interpreter(vocabulary, STYLES, encoder)
        assert alone.understand("星星，twemoji风格").asked == "star, twemoji style"
        found = alone.understand("classic symbol of love")
        assert found.verbatim
        assert sentence(found) == NOTES["encoder"][0]


class Letters:
    """An encoder that counts letters."""

    words = frozenset({"cat", "dog"})

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.full((len(texts), WIDTH), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.lower():
                row[ord(letter) % WIDTH] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def records() -> list[dict]:
    def record(code: str, label: str, tags: list[str], chinese: str) -> dict:
        captions = [{"language": "en", "label": label, "tags": tags}, {"language": "zh", "label": chinese, "tags": []}]
        return {"concept": code, "captions": captions, "paraphrases": ["a beast"]}

    return [record("1f415", "dog", ["pet"], "狗"), record("1f408", "cat", [], "猫"), record("1f408", "cat", [], "猫")]


def test_a_vocabulary_is_written_and_read_again(tmp_path: Path) -> None:
    made = Vocabulary.of(records(), Letters(), {"1f408"})
    made.write(tmp_path)
    read = Vocabulary.read(tmp_path)
    assert [(entry.code, entry.label, entry.chinese, entry.trained) for entry in read.entries] == [
        ("1f408", "cat", "猫", False),
        ("1f415", "dog", "狗", True),
    ]
    for name in ("meanings", "tag_meanings", "gloss_meanings"):
        assert np.allclose(getattr(read, name), getattr(made, name), atol=0.01)
    said = [len(read_descriptions()[label]) for label in ("cat", "dog")]
    assert read.glossed.tolist() == made.glossed.tolist() == [0, 1] + [0] * said[0] + [1] * said[1]
    assert list(read.tags) == ["pet"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [WORDS, VECTORS]
    assert Interpreter(read, ["noto"], Letters).understand("dgo, noto style").style == "noto"


def test_a_damaged_vocabulary_is_told(tmp_path: Path) -> None:
    Vocabulary.of(records(), Letters()).write(tmp_path)
    (tmp_path / "other").mkdir()
    Vocabulary.of(records()[:1], Letters()).write(tmp_path / "other")
    (tmp_path / "other" / VECTORS).replace(tmp_path / VECTORS)
    with pytest.raises(ValueError, match=r"is damaged .*vectors are of other words"):
        Vocabulary.read(tmp_path)
    (tmp_path / WORDS).write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"write it again with python -m dalle2.understanding"):
        Vocabulary.read(tmp_path)
    assert Vocabulary.read(tmp_path / "nothing") is None


def test_a_damaged_encoder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is damaged"):
        (tmp_path / "tokenizer.json").write_text("{}")
        SentenceEncoder(tmp_path)


def test_the_threshold_is_the_one_that_is_documented() -> None:
    said = Path("docs/understanding.md").read_text(encoding="utf-8")
    assert f"scores {THRESHOLD} or more is drawn" in said and f"scores {GUESS} or more" in said


def test_styles_are_found_wherever_they_stand() -> None:
    for prompt in ("in openmoji style, a dog", "an openmoji dog", "a dog drawn like openmoji", "狗，画成openmoji风格"):
        wording = take_apart(prompt, STYLES)
        assert (wording.subject in ("dog", "狗"), wording.style) == (True, "openmoji"), prompt


def test_records_keep_what_was_said_and_what_was_asked(embedded: UnclipModel) -> None:
    model = embedded
    settings = model.settings.for_draft()
    found = model.text_to_image(["❤️", "a cat"], seeds=[1, 2], settings=settings)
    heart, cat = map(images.read_record, found)
    assert (heart["prompt"], heart["asked"]) == ("❤️", "red heart")
    assert cat["asked"] == cat["prompt"]
    literal = model.text_to_image(["red heart"], seeds=[1], settings=settings, literal=True)[0]
    assert np.abs(np.asarray(literal, int) - np.asarray(found[0], int)).max() <= 1
    again = model.redraw(heart)
    assert np.abs(np.asarray(again, int) - np.asarray(found[0], int)).max() <= 1
    assert images.read_record(again)["asked"] == "red heart"
    assert "asked" not in images.read_record(literal)
    old = {name: value for name, value in heart.items() if name != "asked"}
    very_words = model.text_to_image(["❤️"], seeds=[1], settings=settings, literal=True)[0]
    assert np.array_equal(np.asarray(model.redraw(old)), np.asarray(very_words))
    with pytest.raises(ValueError, match="I do not know “🇫🇷”"):
        model.text_to_image(["🇫🇷"], seeds=[1], settings=settings)


@pytest.mark.parametrize(
    "prompt, drawn, left",
    [
        ("Harry Potter and a dog", "dog", "Harry Potter"),
        ("Mickey Mouse eating pizza", "pizza", "Mickey Mouse"),
        ("the Toronto skyline at night", "cityscape at dusk", "Toronto"),
        ("Paris in the rain", "cloud with rain", "Paris"),
        ("a guy with a guitar", "guitar", "guy"),
        ("a guy doing gymnastics sideways on his hands", "person cartwheeling", "guy"),
        ("a beautiful woman from Italy", "woman", "beautiful, from Italy"),
        ("🤖🍕🚗", "robot", "pizza, automobile"),
    ],
)
def test_names_sexes_and_whatever_else_is_not_drawn_is_told(
    interpreter: Interpreter, prompt: str, drawn: str, left: str
) -> None:
    found = interpreter.understand(prompt)
    assert (found.concept.label, [note.words for note in found.notes if note.kind == "left"]) == (drawn, [left])


@pytest.mark.parametrize("prompt", ["a bird that says quack", "a lady firefighter", "A Farm Animal That Gives Milk"])
def test_what_a_concept_stands_for_is_not_said_to_be_left_out(interpreter: Interpreter, prompt: str) -> None:
    assert "Left out" not in sentence(interpreter.understand(prompt))


@pytest.mark.parametrize(
    "prompt, kind, thing",
    [
        ("a horse with black and white stripes", "zebra", "horse"),
        ("a horse with a horn", "unicorn", "horse"),
        ("a chair with wheels", "manual wheelchair", "chair"),
        ("a dog with a bone", "dog", ""),
        ("a robot playing guitar", "robot", ""),
    ],
)
def test_a_description_of_a_kind_is_that_kind_and_not_the_noun_in_it(
    interpreter: Interpreter, prompt: str, kind: str, thing: str
) -> None:
    found = interpreter.understand(prompt)
    assert (found.concept.label, found.guessed) == (kind, bool(thing))
    assert not thing or found.alternatives[0].label == thing


def test_what_scores_less_than_what_is_known_is_said_to_be_a_guess(interpreter: Interpreter) -> None:
    for one in read_list("choose")[::4]:  # a quarter: each takes the sentence encoder
        found = interpreter.understand(one.prompt)
        if found.concept and found.concept.score < KNOWN:
            assert found.guessed and sentence(found).startswith("My best guess: "), one.prompt
