"""Captions for the emoji set, drawn afresh each time: words, languages, styles, templates and backgrounds.

Three augmentations live here. Synonym replacement: a tag of the concept may stand for its label. Paraphrase: one
English caption in four says other words, or a piece of their meaning, as a dictionary has them.
Back-translation: about four captions in ten take the label and tags of another language.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dalle2.datasets.caption_words import (
    BACKGROUNDS,
    CHINESE,
    ENGLISH,
    STYLE_PHRASES,
    Phrasing,
    article,
    background_name,
    in_style,
    phrasing,
    style_phrases,
)

OTHER_LANGUAGE_SHARE = 0.4
CHINESE_SHARE = 0.75  # of the captions in another language
PARAPHRASE_SHARE = 0.25  # of the English captions, where the record has paraphrases
STYLE_SHARE = 0.65
COLOUR_SHARE = 0.25
WHITE_SHARE = 0.06  # says "on a white background", which is what a caption without a background gets too
SHORT, LONG = 3, 8  # words that are left of a paraphrase
DETERMINERS = {"a", "an", "the", "any", "some", "several", "one", "its", "your"}
LINKS = {"of", "and", "or", "by", "in", "on", "to", "for", "from", "with", "as", "at", "is", "are", "that", "which"}
SHADE = 12  # how far a channel may lie from the named colour, of 255


@dataclass(frozen=True)
class Caption:
    """A caption and what it promises of the picture."""

    text: str
    language: str
    style_named: bool
    background: tuple[int, int, int] | None  # RGB; the picture is composited on it, on white when None


def draw_caption(record: Mapping[str, Any], rng: random.Random) -> Caption:
    """Return one caption that is true of the picture; the same ``rng`` state draws the same caption.

    Args:
        record: a row of the emoji set; ``style``, ``captions`` and, where it has them, ``paraphrases`` are read.
        rng: the only source of chance.

    Raises:
        ValueError: the style has no phrases here, or the record has no caption.
    """
    words = _draw_words(record, rng)
    language = words["language"]
    paraphrases = record.get("paraphrases") if language in ENGLISH else None
    if paraphrases and rng.random() < PARAPHRASE_SHARE:
        subject = _draw_paraphrase(paraphrases, rng)
    else:
        subject = _draw_subject(words, phrasing(language), rng)
    return complete(subject, language, record["style"], rng)


def complete(subject: str, language: str, style: str, rng: random.Random) -> Caption:
    """Return the caption of a subject: with or without style and background; ValueError for an unknown style."""
    forms = phrasing(language)
    style_named = rng.random() < STYLE_SHARE
    if style_named:
        name = _draw(style_phrases(style, language), rng)
        text = _draw(forms.styled, rng).format(x=subject, s=name, a=article(name))
    else:
        text = _draw(forms.plain, rng).format(x=subject)
    background, name = _draw_background(rng)
    if name is not None:
        colour = background_name(name, language)
        text = _draw(forms.background, rng).format(x=text, c=colour, a=article(colour))
    return Caption(_draw_case(text, rng), language, style_named, background)


def canonical_caption(record: Mapping[str, Any]) -> str:
    """Return the fixed prompt of a picture: "LABEL, STYLE style"."""
    return f"{record['label']}, {in_style(record['style'])}"


def all_texts(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return every label, tag, paraphrase and template that captions can hold, each once, to train a tokenizer on.

    Templates come filled: with the names of each style of the records and of each colour, and the word "emoji" as
    their subject.
    """
    seen = set()
    for text in _texts(records):
        if text not in seen:
            seen.add(text)
            yield text


def _texts(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    read, styles = set(), set()
    for record in records:
        styles.add(record.get("style"))
        if record["concept"] not in read:  # each style repeats its concept's words
            read.add(record["concept"])
            for words in record["captions"]:
                yield words["label"]
                yield from words["tags"]
            yield from record.get("paraphrases") or ()
    for language in ("en", *CHINESE, "de"):  # "de" stands for all that have English additions
        forms = phrasing(language)
        yield from (template.format(x="emoji") for template in forms.plain)
        for style in [style for style in STYLE_PHRASES if style in styles]:
            for name in style_phrases(style, language):
                yield from (template.format(x="emoji", s=name, a=article(name)) for template in forms.styled)
        for colour in BACKGROUNDS:
            name = background_name(colour, language)
            yield from (template.format(x="emoji", c=name, a=article(name)) for template in forms.background)


def _draw(choices: tuple[str, ...], rng: random.Random) -> str:
    """Return the first choice half of the time, else any of the others."""
    if len(choices) == 1 or rng.random() < 0.5:
        return choices[0]
    return rng.choice(choices[1:])


def _draw_words(record: Mapping[str, Any], rng: random.Random) -> Mapping[str, Any]:
    by_language = {words["language"]: words for words in record["captions"]}
    if not by_language:
        raise ValueError(f"the record of {record.get('concept', 'a picture')!r} has no caption in any language.")
    english = [language for language in ENGLISH if language in by_language]
    chinese = [language for language in CHINESE if language in by_language]
    others = sorted(by_language.keys() - {*ENGLISH, *CHINESE})
    kinds = [
        (english, 1 - OTHER_LANGUAGE_SHARE),
        (chinese, OTHER_LANGUAGE_SHARE * CHINESE_SHARE),
        (others, OTHER_LANGUAGE_SHARE * (1 - CHINESE_SHARE)),
    ]
    present, shares = zip(*[kind for kind in kinds if kind[0]], strict=True)
    languages = rng.choices(present, shares)[0]
    # American English and simplified Chinese come first in their kind and twice as often
    weights = [1] * len(languages) if languages is others else [2, 1][: len(languages)]
    return by_language[rng.choices(languages, weights)[0]]


def _draw_subject(words: Mapping[str, Any], forms: Phrasing, rng: random.Random) -> str:
    label, tags = words["label"], list(words["tags"])
    chance = rng.random()
    if not tags or chance < 0.65:
        return _draw_article(label, rng) if words["language"] in ENGLISH else label
    if chance < 0.85:
        return forms.comma.join(rng.sample(tags, min(len(tags), rng.randint(1, 3))))
    return forms.comma.join([label, rng.choice(tags)])


def _draw_paraphrase(paraphrases: Sequence[str], rng: random.Random) -> str:
    """One of them, the nearer the likelier, as people type."""
    farther = int(len(paraphrases) * rng.random() ** 2)  # the nearest stand first
    text = shorten(paraphrases[farther], rng)
    return text if text.split()[0] in DETERMINERS else _draw_article(text, rng)


def shorten(text: str, rng: random.Random) -> str:
    """Return a long text without its beginning or its end, as people type; half of the shorter ones stay whole."""
    words = text.split()
    if len(words) > SHORT and (len(words) > LONG or rng.random() < 0.5):
        length = rng.randint(SHORT, min(LONG, len(words) - 1))
        start = 0 if rng.random() < 0.5 else rng.randint(0, len(words) - length)
        words = words[start : start + length]
        while len(words) > 1 and words[-1] in LINKS | DETERMINERS:
            words.pop()
        while len(words) > 1 and words[0] in LINKS:
            words.pop(0)
    return " ".join(words).strip(" ,:;")


def _draw_article(label: str, rng: random.Random) -> str:
    """Say "a cat face" two times in five, where an article is likely to be right."""
    countable = label.replace(" ", "").replace("-", "").isalpha() and label.islower() and not label.endswith("s")
    if not countable or rng.random() < 0.6:
        return label
    return f"{article(label)} {label}"


def _draw_background(rng: random.Random) -> tuple[tuple[int, int, int] | None, str | None]:
    chance = rng.random()
    if chance < WHITE_SHARE:
        return BACKGROUNDS["white"], "white"
    if chance >= WHITE_SHARE + COLOUR_SHARE:
        return None, None
    name = rng.choice([name for name in BACKGROUNDS if name != "white"])
    red, green, blue = (min(255, max(0, value + rng.randint(-SHADE, SHADE))) for value in BACKGROUNDS[name])
    return (red, green, blue), name


def _draw_case(text: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.15:
        return text[:1].upper() + text[1:]
    return text.lower() if chance < 0.25 else text
