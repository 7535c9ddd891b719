"""The emoji set and the drawn pictures of a scorecard in the space of a CLIP, each embedded once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dalle2.datasets.phrases import styled
from evaluation.comparing.contestants import Contestant
from evaluation.emoji.emoji_set import EmojiSet, Pair, embed
from evaluation.metrics.retrieval import found_caption
from evaluation.networks.clip import Clip, ClipFeatures
from evaluation.networks.features import extract

# Of what a picture shows: a pair that was not trained on, not even a concept that was, or a pair that was.
PAIR, CONCEPT, SEEN = "unseen_pairs", "unseen_concepts", "seen_pairs"
KINDS = {PAIR: "unseen pairs", CONCEPT: "unseen concepts", SEEN: "seen pairs"}


@dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """`drawn` are the contestant's folders by what they are drawn for; `trained` the pairs it was trained on.

    Features are raw, (n, dim), as distances are taken; all else is unit vectors.
    """

    emoji: EmojiSet
    trained: tuple[Pair, ...]
    clip: Clip
    network: ClipFeatures
    drawn: Mapping[str, Contestant]
    seed: int = 0
    workers: int | None = None
    progress: bool = False
    _kept: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return pixels a side of the drawn pictures, to which real ones are brought before they are judged."""
        return next(iter(self.drawn.values())).manifest.picture_size

    def pairs(self, what: str) -> list[Pair]:
        """Return the pairs that the drawn pictures should show, in their order."""
        return [self.emoji.by_id[row.id] for row in self.drawn[what].manifest.rows]

    def features(self, what: str) -> np.ndarray:
        """Return the features (n, d) of the drawn pictures, float32."""
        if what not in self._kept:
            files = self.drawn[what].files
            self._kept[what] = extract(files, self.network, None, 64, self.workers, self.progress)
        return self._kept[what]

    def real_features(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the features (n, d) of the pairs' real pictures, float32."""
        return self._real[self.places(pairs)]

    def pictures(self, what: str) -> np.ndarray:
        """Return the embeddings (n, d) of the drawn pictures, L2-normalised."""
        return _unit(self.features(what))

    def real(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the embeddings (n, d) of the pairs' real pictures, L2-normalised."""
        return _unit(self.real_features(pairs))

    def places(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the pairs' positions (n,) in the set."""
        return np.array([self._place[pair.id] for pair in pairs])

    def styles(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the numbers (n,) of the pairs' styles."""
        return np.array([self.emoji.styles.index(pair.style) for pair in pairs])

    def concepts(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Return the numbers (n,) of the pairs' concepts."""
        number = {label: index for index, label in enumerate(self.emoji.labels)}
        return np.array([number[pair.label] for pair in pairs])

    def kinds(self, what: str) -> np.ndarray:
        """Return for each drawn picture (n,) whether its pair was trained on, or at least its concept."""
        seen, known = {pair.id for pair in self.trained}, {pair.concept for pair in self.trained}
        return np.array(
            [SEEN if p.id in seen else PAIR if p.concept in known else CONCEPT for p in self.pairs(what)], dtype=object
        )

    def recognised(self, what: str) -> tuple[np.ndarray, np.ndarray]:
        """Return for each drawn picture (n,) and its pair's real one (n,) if the pair's caption is found among 100."""
        pairs = self.pairs(what)
        places = self.places(pairs)
        sides = (self.pictures(what), self.real(pairs))
        drawn, real = (found_caption(side, self._captions, places, self.seed) for side in sides)
        return drawn, real

    @cached_property
    def caption_table(self) -> np.ndarray:
        """Return every label in every style, (concepts, styles, dim), whether such a picture exists or not."""
        captions = [styled(label, style) for label in self.emoji.labels for style in self.emoji.styles]
        table = self.clip.embed_captions(captions, 256)
        return table.reshape(len(self.emoji.labels), len(self.emoji.styles), -1)

    @cached_property
    def _captions(self) -> np.ndarray:
        """Of the pairs that there are, in the set's order."""
        return self.caption_table[self.concepts(self.emoji.pairs), self.styles(self.emoji.pairs)]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {pair.id: index for index, pair in enumerate(self.emoji.pairs)}

    @cached_property
    def _real(self) -> np.ndarray:
        return embed(self.emoji.pairs, self.network, self.size, self.workers)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
