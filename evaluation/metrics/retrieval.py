"""What a CLIP recognises in pictures: the caption among a hundred, the style, the concept. Plain arrays in and out.

All embeddings are unit vectors; every answer is right or wrong, one bool a picture.
"""

from collections.abc import Mapping

import numpy as np

AMONG = 100  # captions, the right one among them


def ranks(
    pictures: np.ndarray,
    texts: np.ndarray,
    own: np.ndarray,
    among: int,
    seed: int,
    things: np.ndarray | None = None,
) -> np.ndarray:
    """Return how many of `among` - 1 other captions, drawn for each picture, fit it as well as its own, or better.

    Pictures are (n, d), texts (m, d) and `own` (n,) the number of each picture's text; the ranks (n,) count from 0.
    An equal one counts as better, so that a CLIP which sees no difference has no success. `things` (m,) number what
    texts are about, where several are about one: others are of another thing, and there are `others_of` at least.
    """
    rng = np.random.default_rng(seed)
    ranks = np.empty(len(own), dtype=int)
    things = np.arange(len(texts)) if things is None else things
    for index, right in enumerate(own):
        candidates = np.flatnonzero(things != things[right])
        others = candidates[rng.choice(len(candidates), among - 1, replace=False)]
        cosines = texts[others] @ pictures[index]
        ranks[index] = (cosines >= texts[right] @ pictures[index]).sum()
    return ranks


def others_of(things: np.ndarray) -> int:
    """Return how many texts are of other things, for any of them at least; `things` (m,) as of `ranks`."""
    return int(len(things) - np.bincount(things).max())


def found_caption(pictures: np.ndarray, texts: np.ndarray, own: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return whether the caption `own` (n,) of each picture (n, d) fits better than 99 others of `texts` (m, d).

    The others are drawn for each picture, without replacement, from all the texts but its own. Which ones, the seed,
    the picture's place and `own` decide, so that drawn and real pictures of the same captions face the same others.
    """
    return ranks(pictures, texts, own, min(AMONG, len(texts)), seed) == 0


def style_by_caption(pictures: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Return the style (n,) whose caption fits best; `captions` (n, styles, d) have each label in all styles."""
    return np.einsum("nsd,nd->ns", captions, pictures).argmax(1)


def style_by_mean(pictures: np.ndarray, training: np.ndarray, styles: np.ndarray) -> np.ndarray:
    """Return the style (n,) whose real training pictures (m, d), of `styles` (m,), have the nearest mean direction."""
    means = np.stack([training[styles == style].mean(0) for style in range(styles.max() + 1)])
    return (pictures @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(1)


def concept(pictures: np.ndarray, table: np.ndarray, styles: np.ndarray) -> np.ndarray:
    """Return the concept (n,) whose caption fits best, of all concepts in the picture's own style (n,).

    `table` (concepts, styles, d) are all captions.
    """
    return np.array([(table[:, style] @ picture).argmax() for picture, style in zip(pictures, styles, strict=True)])


def better(answers: Mapping[str, np.ndarray]) -> str:
    """Return the name of the answers, (n,) true or false each, that are right more often; the first of equals."""
    return max(answers, key=lambda way: answers[way].mean())
