"""Captions: true of their picture, drawn by chance of the right shares, the same for the same seed."""

import math
import random
from collections import Counter

import pytest

from dalle2.datasets import caption_words, captions
from dalle2.datasets.caption_words import BACKGROUNDS, STYLE_PHRASES
from dalle2.datasets.captions import Caption, canonical_caption, draw_caption

DRAWS = 8000
RECORD = {
    "concept": "1f431",
    "label": "cat face",
    "style": "openmoji",
    "captions": [
        {"language": "de", "label": "Katzengesicht", "tags": ["Haustier"]},
        {"language": "en", "label": "cat face", "tags": ["pet", "kitty", "whiskers"]},
        {"language": "en-gb", "label": "cat face", "tags": ["pussycat"]},
        {"language": "th", "label": "หน้าแมว", "tags": []},
        {"language": "zh", "label": "猫脸", "tags": ["宠物"]},
        {"language": "zh-hant", "label": "貓臉", "tags": ["寵物"]},
    ],
}


def draw(record: dict = RECORD, seed: int = 0, count: int = DRAWS) -> list[Caption]:
    rng = random.Random(seed)
    return [draw_caption(record, rng) for _ in range(count)]


@pytest.fixture(scope="module")
def drawn() -> list[Caption]:
    return draw()


def share(drawn: list[Caption], test: object) -> float:
    return sum(map(test, drawn)) / len(drawn)


def test_the_seed_decides() -> None:
    assert draw(seed=3, count=50) == draw(seed=3, count=50)
    assert draw(seed=3, count=50) != draw(seed=4, count=50)


def test_the_global_generator_is_left_alone() -> None:
    random.seed(1)
    state = random.getstate()
    draw(count=20)
    assert random.getstate() == state


def test_languages_have_their_shares(drawn: list[Caption]) -> None:
    count = Counter(caption.language for caption in drawn)
    assert set(count) == {words["language"] for words in RECORD["captions"]}
    assert (count["en"] + count["en-gb"]) / DRAWS == pytest.approx(0.6, abs=0.02)
    assert (count["zh"] + count["zh-hant"]) / DRAWS == pytest.approx(0.3, abs=0.02)
    assert count["en"] > count["en-gb"]
    assert count["zh"] > count["zh-hant"]
    assert count["de"] / DRAWS == pytest.approx(0.05, abs=0.01)


def test_the_words_are_those_of_the_language(drawn: list[Caption]) -> None:
    words = {entry["language"]: [entry["label"], *entry["tags"]] for entry in RECORD["captions"]}
    for caption in drawn:
        assert any(word.lower() in caption.text.lower() for word in words[caption.language]), caption


def test_labels_tags_and_both_are_drawn(drawn: list[Caption]) -> None:
    english = [caption.text.lower() for caption in drawn if caption.language == "en"]
    tags = RECORD["captions"][1]["tags"]
    found = Counter(("cat face" in text, sum(tag in text for tag in tags)) for text in english)
    assert set(found) == {(True, 0), (True, 1), (False, 1), (False, 2), (False, 3)}
    assert found[True, 0] / len(english) == pytest.approx(0.65, abs=0.03)
    assert found[True, 1] / len(english) == pytest.approx(0.15, abs=0.03)


LONG = "a thoroughly domesticated feline mammal with thick soft fur and no ability to roar at night"
PARAPHRASES = ["mouser", "true cat", LONG, "tabby"]


def test_paraphrases_stand_for_a_quarter_of_the_english_subjects() -> None:
    drawn = draw(RECORD | {"paraphrases": PARAPHRASES})
    plain = {"cat face", *RECORD["captions"][1]["tags"], *RECORD["captions"][2]["tags"]}
    english = [caption for caption in drawn if caption.language in caption_words.ENGLISH]
    other = [caption for caption in english if not any(word in caption.text.lower() for word in plain)]
    assert len(other) / len(english) == pytest.approx(captions.PARAPHRASE_SHARE, abs=0.02)
    assert any("a mouser" in caption.text for caption in other)
    # the nearest is said the most often
    said = [sum(word in caption.text.lower() for caption in other) for word in ("mouser", "true cat", "tabby")]
    assert said == sorted(said, reverse=True)
    assert said[0] > 2 * said[2] > 0
    assert not any("mouser" in caption.text for caption in drawn if caption.language not in caption_words.ENGLISH)


def test_a_long_paraphrase_is_cut_to_a_run_of_its_words() -> None:
    record = RECORD | {"captions": [{"language": "en", "label": "X", "tags": []}], "paraphrases": [LONG]}
    drawn = [caption.text for caption in draw(record, count=3000) if caption.text[:1].islower()]
    alone = {text for text in drawn if text.removeprefix("a ").removeprefix("an ") in LONG}
    assert len(alone) > 20
    assert max(len(text.split()) for text in alone) <= captions.LONG + 1  # and an article
    for text in alone:
        assert text.split()[-1] not in captions.LINKS | captions.DETERMINERS, text
        assert text.split()[0] not in captions.LINKS, text
    assert sum(text.startswith("a thoroughly") for text in drawn) > 0
    assert not any(text.startswith(("a a ", "an a ")) for text in alone)


def test_without_paraphrases_nothing_changes() -> None:
    assert draw(RECORD | {"paraphrases": []}, count=200) == draw(RECORD | {"paraphrases": None}, count=200)
    assert draw(RECORD | {"paraphrases": []}, count=200) == draw(RECORD, count=200)


@pytest.mark.parametrize("style", STYLE_PHRASES)
def test_a_caption_names_its_style_when_it_says_so_and_no_other(style: str) -> None:
    languages = ("en", "zh", "zh-hant")
    own = {name.lower() for language in languages for name in caption_words.style_phrases(style, language)}
    others = {name for other in STYLE_PHRASES if other != style for name in STYLE_PHRASES[other]}
    # "noto" is a part of "noto v1": what is left once the own names are gone must name no style
    drawn = draw(RECORD | {"style": style}, count=1500)
    for caption in drawn:
        text = caption.text.lower()
        assert any(name in text for name in own) == caption.style_named, caption
        for name in sorted(own, key=len, reverse=True):
            text = text.replace(name, "")
        assert not any(name in text for name in others), caption
    assert share(drawn, lambda caption: caption.style_named) == pytest.approx(0.65, abs=0.05)


def nearest_colour(rgb: tuple[int, int, int]) -> str:
    return min(BACKGROUNDS, key=lambda name: math.dist(BACKGROUNDS[name], rgb))


def test_a_named_background_is_the_colour_that_the_picture_gets(drawn: list[Caption]) -> None:
    seen = Counter()
    for caption in drawn:
        says_so = "background" in caption.text.lower() or "背景" in caption.text
        assert says_so == (caption.background is not None), caption
        if caption.background is not None:
            assert all(0 <= channel <= 255 for channel in caption.background)
            name = nearest_colour(caption.background)
            seen[name, caption.language] += 1
            said = caption_words.background_name(name, caption.language)
            around = [f"{said}背景"] if caption.language in caption_words.CHINESE else [f"{said} background"]
            assert any(part in caption.text.lower() for part in around), caption
            if name == "blue":
                assert "light blue" not in caption.text.lower()
    assert {name for name, _ in seen} == set(BACKGROUNDS)
    assert sum(seen.values()) / DRAWS == pytest.approx(0.31, abs=0.02)
    assert sum(n for (name, _), n in seen.items() if name == "white") / DRAWS == pytest.approx(0.06, abs=0.01)


def test_backgrounds_come_in_shades_that_cannot_be_confused(drawn: list[Caption]) -> None:
    shades = {caption.background for caption in drawn if caption.background}
    assert len(shades) > 1000
    gaps = [math.dist(a, b) for a in BACKGROUNDS.values() for b in BACKGROUNDS.values() if a != b]
    assert min(gaps) > 2 * math.dist((0, 0, 0), (captions.SHADE,) * 3)
    assert {c.background for c in drawn if "white background" in c.text.lower()} == {(255, 255, 255)}


def test_no_placeholder_and_no_wrong_article_is_left(drawn: list[Caption]) -> None:
    for caption in [*drawn, *draw(RECORD | {"style": "emojione"}, count=2000)]:
        assert not set("{}") & set(caption.text)
        assert caption.text == caption.text.strip() != ""
        padded = f" {caption.text.lower()} "
        assert not any(f" a {noun}" in padded for noun in ("openmoji", "open moji", "emoji", "orange"))
        assert not any(f" an {noun}" in padded for noun in ("cat", "blue", "red"))


@pytest.mark.parametrize(
    ("label", "articles"),
    [
        ("cat face", {"", "a "}),
        ("owl", {"", "an "}),
        ("unicorn", {"", "a "}),
        ("grapes", {""}),
        ("Tokyo tower", {""}),
        ("keycap: 3", {""}),
    ],
)
def test_articles_stand_where_they_fit(label: str, articles: set[str]) -> None:
    record = RECORD | {"label": label, "captions": [{"language": "en", "label": label, "tags": []}]}
    drawn = [caption.text.lower() for caption in draw(record, count=400)]
    starts = {
        text.removesuffix(label.lower()) for text in drawn if text in {f"{a}{label.lower()}" for a in ("", "a ", "an ")}
    }
    assert starts == articles


def test_some_captions_are_capitalised_and_some_lower_case(drawn: list[Caption]) -> None:
    german = [caption.text for caption in drawn if caption.language == "de" and "atzengesicht" in caption.text]
    assert any("katzengesicht" in text for text in german)
    english = [caption for caption in drawn if caption.language == "en"]
    assert share(english, lambda caption: caption.text[0].isupper()) == pytest.approx(0.15, abs=0.02)


def test_one_language_is_enough() -> None:
    record = RECORD | {"captions": [{"language": "bn", "label": "বিড়ালের মুখ", "tags": []}]}
    drawn = draw(record, count=50)
    assert {caption.language for caption in drawn} == {"bn"}
    assert all("বিড়ালের মুখ" in caption.text for caption in drawn)


def test_no_caption_and_an_unknown_style_are_refused() -> None:
    with pytest.raises(ValueError, match="'1f431' has no caption in any language"):
        draw_caption(RECORD | {"captions": []}, random.Random(0))
    with pytest.raises(ValueError, match="unknown style 'cubism'; the styles are: twemoji, noto"):
        caption_words.style_phrases("cubism")


def test_the_canonical_caption_is_fixed() -> None:
    assert canonical_caption(RECORD) == "cat face, openmoji style"


def test_style_phrases_belong_to_one_style_and_start_with_its_name() -> None:
    for language in ("en", "zh", "zh-hant", "fr"):
        names = [name for style in STYLE_PHRASES for name in caption_words.style_phrases(style, language)]
        assert len(names) == len(set(names))
        assert all(caption_words.style_phrases(style, language)[0] == style for style in STYLE_PHRASES)
    assert all(set(names) == set(BACKGROUNDS) for names in caption_words.CHINESE_BACKGROUNDS.values())


def test_all_texts_hold_every_word_once(drawn: list[Caption]) -> None:
    dog = {"concept": "1f436", "captions": [{"language": "fr", "label": "tête de chien", "tags": ["chien"]}]}
    texts = list(captions.all_texts([RECORD, RECORD | {"style": "noto v1"}, dog | {"paraphrases": PARAPHRASES}]))
    assert set(PARAPHRASES) <= set(texts)
    assert len(texts) == len(set(texts))
    words = [
        word for record in (RECORD, dog) for entry in record["captions"] for word in [entry["label"], *entry["tags"]]
    ]
    assert set(words) <= set(texts)
    # nothing that a caption says is missing: take the drawn words and the texts apart
    known = set(" ".join(texts).lower().replace(",", " ").split()) | {"a", "an"}
    said = {
        word for caption in drawn if caption.language == "en" for word in caption.text.lower().replace(",", " ").split()
    }
    assert said <= known
    assert "紫色背景上的emoji" in texts
    assert "旧版noto风格的emoji" in texts
    assert not any("twemoji" in text for text in texts)  # no record has the style
