"""The lexicon: what a dictionary's texts mean in concepts, and the text tower that learns it."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dalle2.datasets import lexicon
from dalle2.datasets.lexicon import CONCEPTS, LIKENESS, SAID_OF, Lexicon, understand
from dalle2.datasets.pictures import PicturesInMemory
from dalle2.datasets.randomness import Randomness
from dalle2.datasets.wordnet import read_senses
from dalle2.training.clip import ClipTowers
from dalle2.training.recipe import ClipRecipe
from dalle2.training.text import LexiconTargets
from dalle2.training.tokenizer import merges_of, train_tokenizer
from dalle2.training.words import widened

VERBS = """\
00000001 29 v 02 purr 0 make_vibrant_sounds 0 001 @ 00000002 v 0000 02 + 02 00 + 22 00 | indicate pleasure; "the cat"
00000002 29 v 01 sound 0 000 01 + 08 00 | make a certain noise or sound that can be heard from far away
"""
ADJECTIVES = "00000003 00 a 02 feline(p) 0 catlike 0 000 | of or relating to cats\n"
CODES = [f"c{number}" for number in range(12)]


def made(*rows: tuple[str, dict[str, float]]) -> Lexicon:
    """A lexicon in which each text means two concepts."""
    concepts = np.array([list(meaning) for _, meaning in rows])
    shares = np.array([list(meaning.values()) for _, meaning in rows], np.float32)
    return Lexicon([text for text, _ in rows], concepts, shares)


def test_verbs_and_adjectives_are_read() -> None:
    verbs, adjectives = list(read_senses(VERBS)), list(read_senses(ADJECTIVES))
    assert [(sense.words, sense.kin) for sense in verbs] == [
        (("purr", "make vibrant sounds"), ("00000002",)),
        (("sound",), ()),
    ]
    assert [sense.examples for sense in verbs] == [("the cat",), ()] and not any(sense.offends for sense in verbs)
    assert next(read_senses(VERBS.replace("pleasure", "sexual pleasure"))).offends
    assert adjectives[0].words == ("feline", "catlike")


def test_known_words_and_pieces_of_meanings_are_said_once() -> None:
    senses = list(read_senses(VERBS)) * 2
    known = set(re.findall(r"\w+", VERBS)) - {"purr"}
    texts = lexicon.read(senses, known, random.Random(0))
    assert len(texts) == len(set(texts)) > 3
    assert {"indicate pleasure", "sound", "the cat"} <= set(texts) and "purr" not in texts
    pieces = [text for text in texts if text in "make a certain noise or sound that can be heard from far away"]
    assert len(pieces) > 1 and all(len(piece.split()) <= 8 for piece in pieces)
    assert lexicon.read(senses, {"purr"}, random.Random(0)) == ["purr"]


def test_a_text_means_what_is_near_and_what_is_near_nothing_is_left_out() -> None:
    cosines = np.zeros((3, 12), np.float32)
    cosines[0, [4, 7]] = 0.8, 0.7
    cosines[1] = LIKENESS - 0.01
    cosines[2, 1] = LIKENESS
    found = understand(["a purring pet", "appendicitis", "a bone"], cosines, CODES)
    assert found.texts == ["a purring pet", "a bone"]
    assert found.concepts.shape == found.shares.shape == (2, CONCEPTS)
    assert found.concepts[:, 0].tolist() == ["c4", "c1"] and found.concepts[0, 1] == "c7"
    assert np.allclose(found.shares.sum(1), 1) and (np.diff(found.shares, axis=1) <= 0).all()
    ratio = found.shares[0, 1] / found.shares[0, 0]
    assert ratio == pytest.approx(np.exp(-0.1 / lexicon.TEMPERATURE), rel=1e-5)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    before = understand(["one", "two"], np.random.default_rng(0).uniform(0.4, 1, (2, 12)), CODES)
    before.write(tmp_path / "new" / "lexicon.parquet")
    after = Lexicon.read(tmp_path / "new" / "lexicon.parquet")
    assert after.texts == before.texts
    assert (after.concepts == before.concepts).all() and (after.shares == before.shares).all()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["lexicon.parquet"]
    (tmp_path / "other").write_text("no table")
    for file in ("none", "other"):
        with pytest.raises(ValueError, match=r"is not a lexicon .*: build it with python -m dalle2.datasets.lexicon"):
            Lexicon.read(tmp_path / file)


def test_captions_say_what_means_mostly_their_concept() -> None:
    words = made(
        ("a tabby", {"cat": 0.9, "dog": 0.1}),
        ("a pet", {"dog": 0.5, "cat": SAID_OF}),
        ("a mouser", {"cat": 0.95, "dog": 0.05}),
    )
    assert words.said_of() == {"cat": ["a mouser", "a tabby", "a pet"], "dog": ["a pet"]}
    english = {"language": "en", "label": "cat", "tags": []}
    cat = {"concept": "cat", "label": "cat", "style": "noto", "captions": [english], "paraphrases": ["a tabby"]}
    crow = {"concept": "crow", "label": "crow", "style": "noto", "captions": [english]}
    pictures = PicturesInMemory([cat, crow], torch.zeros(2, 4, 8, 8, dtype=torch.uint8), None)
    pictures.learn(words)
    assert [row["paraphrases"] for row in pictures.records] == [["a tabby", "a mouser", "a pet"], []]
    batches = (pictures.batch(Randomness(0, "clip", step, 8)) for step in range(20))
    assert any("mouser" in caption for batch in batches for caption in batch.captions)
    with pytest.raises(ValueError, match="of the emoji set's concepts only"):
        PicturesInMemory([{}], torch.zeros(1, 4, 8, 8, dtype=torch.uint8), [["a cat"]]).learn(words)


@pytest.fixture
def lessons() -> LexiconTargets:
    """Of two concepts in two styles, the dog without the second; "ghost" is no picture's."""
    records = [
        {"concept": concept, "label": concept, "style": style}
        for concept, style in (("cat", "noto"), ("cat", "twemoji"), ("dog", "noto"))
    ]
    pictures = PicturesInMemory(records, torch.zeros(3, 4, 8, 8, dtype=torch.uint8), None)
    words = made(("a purrer", {"cat": 0.75, "ghost": 0.25}), ("a barker", {"dog": 1.0, "cat": 0.0}))
    return LexiconTargets.of(words, pictures, 5 * torch.eye(3))


def test_the_means_are_of_each_concept_in_each_style(lessons: LexiconTargets) -> None:
    cat, dog = lessons.means
    half = 0.5**0.5
    assert torch.allclose(cat, torch.tensor([[1, 0, 0], [0, 1, 0], [half, half, 0]]))
    assert torch.allclose(dog, torch.tensor([[0.0, 0, 1], [0, 0, 0], [0, 0, 1]]))
    assert lessons.concepts.tolist() == [[0, 2], [1, 0]]  # 2: none


def test_a_lesson_is_the_encoders_cross_entropy_over_what_has_pictures(lessons: LexiconTargets) -> None:
    said = F.normalize(torch.tensor([[1.0, 2, 3], [1, 1, 1], [3, 2, 1]]), dim=-1)
    texts, styles, scale = torch.tensor([0, 1, 1]), torch.tensor([0, 2, 1]), torch.tensor(4.0)
    found = lessons.loss(said, texts, styles, scale)
    # By hand: text 0 means the cat to three quarters; text 1 the dog, which has no picture in the second style.
    logits = [
        4 * torch.stack([said[0, 0], said[0, 2]]),
        4 * torch.stack([(said[1, 0] + said[1, 1]) / 2**0.5, said[1, 2]]),
    ]
    losses = [-0.75 * logits[0].log_softmax(0)[0], -logits[1].log_softmax(0)[1]]
    assert found["lexicon"] == pytest.approx(float(sum(losses) / 1.75), rel=1e-5)
    assert float(found["lexicon_r@1"]) == 0  # both are nearer to the other one
    swapped = lessons.loss(said.flip(1), texts[:1], styles[:1], scale)
    assert float(swapped["lexicon_r@1"]) == pytest.approx(1)


def test_lessons_are_drawn_for_each_slot(lessons: LexiconTargets) -> None:
    whole = lessons.draw(Randomness(3, "text", 5, 8), 4)
    half = lessons.draw(Randomness(3, "text", 5, 8, slice(4, 8)), 4)
    assert half[0] == whole[0][16:] and torch.equal(half[1], whole[1][16:]) and torch.equal(half[2], whole[2][16:])
    assert len(whole[0]) == 32 and set(whole[1].tolist()) == {0, 1} and set(whole[2].tolist()) == {0, 1, 2}
    for caption, text, style in zip(whole[0], *(rows.tolist() for rows in whole[1:]), strict=True):
        assert lessons.texts[text] in caption.lower()
        assert (style == 2) == ("noto" not in caption.lower() and "tw" not in caption.lower()), caption


def test_new_words_begin_with_what_the_encoder_knows() -> None:
    small = train_tokenizer(["a cat", "a dog", "кот"] * 9, 540, 12)
    large = train_tokenizer(["a cat", "a dog", "a kitten", "a puppy", "кот", "котёнок"] * 9, 640, 12)
    plan = ClipRecipe(embedding_dim=64, text_layers=1, picture_width=32, picture_layers=1, picture_head_dim=16)
    torch.manual_seed(0)
    towers = ClipTowers.build(plan.model_copy(update={"context_length": 12}), small)
    asked = []

    def embed(words: list[str]) -> np.ndarray:
        asked.extend(words)
        meanings = {"cat": [1.0, 0, 0], "kitten": [1, 0.1, 0], "dog": [0, 0, 1], "puppy": [0, 0.1, 1]}
        return np.array([meanings.get(word, [0.3, 0.5, 0.3]) for word in words], np.float32)

    tower = widened(towers, large, embed)
    assert {"cat", "kitten", "dog", "puppy"} <= set(asked) and all(word.isascii() for word in asked)
    before, after = (text.get_input_embeddings().weight.detach() for text in (towers.text, tower))
    assert after.shape == (len(large), 64)
    old, new = small.get_vocab(), large.get_vocab()
    rows = {word: after[new[f"{word}</w>"]] for word in ("cat", "kitten", "dog", "puppy")}
    distance = {pair: float((rows[pair[0]] - rows[pair[1]]).norm()) for pair in (("cat", "kitten"), ("cat", "dog"))}
    assert distance["cat", "dog"] / distance["cat", "kitten"] == pytest.approx(2**0.5 / 0.1, rel=1e-4)
    words = [f"{word}</w>" for word in asked]
    assert float(after[[new[word] for word in words]].detach().std()) == pytest.approx(float(before.std()), rel=1e-3)
    for token in set(old) & set(new) - set(words):
        assert torch.equal(before[old[token]], after[new[token]]), token
    made = [pair for pair in merges_of(large) if "".join(pair) not in {*old, *words}]
    assert made
    for first, second in made:
        parts = after[[new[first], new[second]]]
        assert torch.allclose(after[new[first + second]], parts.mean(0), atol=1e-6)
    kept = {name: weight for name, weight in towers.text.state_dict().items() if weight.shape != before.shape}
    assert all(torch.equal(weight, tower.state_dict()[name]) for name, weight in kept.items())
    towers.text, towers.tokenizer = tower, large
    assert towers.embed_texts(["a kitten", "котёнок"]).isfinite().all()


def test_texts_are_read_the_same_among_others_of_any_length() -> None:
    texts = ["a", "a cat", "a cat and a dog and a cat and a dog", "", "a dog", "dog cat dog"]
    tokenizer = train_tokenizer(texts, 540, 12)
    towers = ClipTowers.build(ClipRecipe(embedding_dim=64, text_layers=2, context_length=12), tokenizer).eval()
    with torch.no_grad():
        together, whole = towers.embed_texts(texts), towers.read(texts)[0]
        assert torch.allclose(together, whole, atol=1e-5)
        for row, text in zip(together, texts, strict=True):
            assert torch.allclose(row, towers.embed_texts([text])[0], atol=1e-5)
