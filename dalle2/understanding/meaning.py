"""How near each concept is to a text in meaning, by the sentence encoder."""

import re
from collections.abc import Sequence

import numpy as np

from dalle2.sentence_encoder import SentenceEncoder
from dalle2.understanding.descriptions import Overlap, read_descriptions
from dalle2.understanding.lookup import Lookup
from dalle2.understanding.vocabulary import Vocabulary
from dalle2.understanding.wording import COLOUR

TAG_SHARE = 0.3  # of a score that comes from the nearest tag
DESCRIPTION = 3  # words, from which on a text is rather a description than a name
NAMED_DESCRIPTION = 4  # the same of a text with a word in capitals, such as "flag of France"
GLOSS_SHARE = 0.5  # of a description's score that comes from the nearest of what is said of the concept
OVERLAP = 0.15  # more for a description whose words are all said of the concept
TAGGED = 0.05  # more where the text is a tag
PARTICULAR = 0.02  # less for the man or the woman of a concept, which not many ask for
OTHER_COLOUR = 0.1  # less for a thing of another colour than the text names


class Meaning:
    """Scores of all concepts for texts; a vocabulary's concepts are given by their number."""

    def __init__(self, vocabulary: Vocabulary, lookup: Lookup, encoder: SentenceEncoder) -> None:
        self._vocabulary, self._lookup, self._encoder = vocabulary, lookup, encoder
        rows = [[vocabulary.tags[tag] for tag in entry.words["en"][1:]] for entry in vocabulary.entries]
        # -1 points to a column that is never the greatest.
        longest = max(map(len, rows), default=1) or 1
        self._tags = np.array([row + [-1] * (longest - len(row)) for row in rows])
        self._untagged = np.array([not row for row in rows])
        self._particular = np.array([bool(re.search(r"-200d-264[02]", entry.code)) for entry in vocabulary.entries])
        descriptions = read_descriptions()
        self._overlap = Overlap([*e.words["en"], *descriptions.get(e.label, ())] for e in vocabulary.entries)
        self._colours = [set(COLOUR.findall(entry.label.lower())) for entry in vocabulary.entries]

    @property
    def words(self) -> frozenset[str]:
        """Words that the encoder knows as they are written."""
        return self._encoder.words

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, concepts); about the cosine to a concept's label and tags or, of a description, its glosses."""
        vectors = self._vocabulary.projected(self._encoder.embed(texts))
        tags = np.pad(vectors @ self._vocabulary.tag_meanings.T, ((0, 0), (0, 1)), constant_values=-1)
        meant, tagged = vectors @ self._vocabulary.meanings.T, tags[:, self._tags].max(2)
        found = meant + TAG_SHARE * np.where(self._untagged, 0, tagged - meant)
        for row, text in enumerate(texts):
            if describes(text):
                found[row] = meant[row] + GLOSS_SHARE * (self._glossed(vectors[row], meant[row]) - meant[row])
                found[row] += OVERLAP * self._overlap.of(text)
        found -= PARTICULAR * self._particular
        for row, text in zip(found, texts, strict=True):
            row[list(self._lookup.tagged(text))] += TAGGED
            if (everyday := self._lookup.everyday(text)) is not None:
                row[everyday] = 1
            if named := set(COLOUR.findall(text.lower())):
                row[[number for number, said in enumerate(self._colours) if said - named]] -= OTHER_COLOUR
            if (exact := self._lookup.exact(text)) is not None:
                row[exact] = 1
        return np.minimum(found, 1)

    def _glossed(self, vector: np.ndarray, meant: np.ndarray) -> np.ndarray:
        """(concepts,) likeness to the nearest gloss or description; what was `meant` where a concept has none."""
        likeness = np.full(len(meant), -np.inf, np.float32)
        np.maximum.at(likeness, self._vocabulary.glossed, self._vocabulary.gloss_meanings @ vector)
        return np.where(np.isinf(likeness), meant, likeness)


def describes(text: str) -> bool:
    """Whether a text is so long that it describes a thing rather than names it."""
    words = text.split()
    return len(words) >= (NAMED_DESCRIPTION if any(word[0].isupper() for word in words[1:]) else DESCRIPTION)
