"""How well pictures fit their captions, in the eyes of a CLIP: cosines, ranks, and anchors that tell their worth."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from evaluation.metrics.means import mean_of, notes_on
from evaluation.metrics.retrieval import AMONG, others_of, ranks
from evaluation.networks.clip import Clip, conditioned
from evaluation.networks.embedded import JUDGES
from evaluation.networks.features import extract
from evaluation.prompts.blocks import blocks_of
from evaluation.prompts.pairing import Pair
from evaluation.reporting.measure import Measure

RANKS = (1, 5, 10)
# Keys of the measures.
# CLIPs that were trained on what people prefer, whose published score is the cosine too (arXiv 2305.01569, 2306.09341).
PREFERENCES = {"pickscore": "PickScore", "hpsv2": "HPSv2"}
COSINE, SCORE, CEILING, FLOOR = "clip_cosine", "clip_score", "clip_cosine_ceiling", "clip_cosine_floor"


@dataclass(frozen=True, eq=False)
class Scores:
    """What a CLIP says of n pictures, one value each in their order; `spread` has one value a repeated prompt.

    `cosine` is of picture and caption, `floor` of picture and a caption of another one, `ceiling` of reference and
    caption (None unless every picture has one); `rank` counts the captions of others, of `among` in all with its own,
    that fit as well. `floor` is empty where there are no captions of others.
    """

    cosine: np.ndarray
    floor: np.ndarray
    rank: np.ndarray
    among: int
    ceiling: np.ndarray | None
    spread: np.ndarray
    blocks: np.ndarray | None  # which pairs hang together: see `prompts.blocks`
    cut: int  # captions longer than the CLIP reads


def score(
    pairs: Sequence[Pair],
    clip: Clip,
    batch_size: int = 32,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Scores:
    """Embed pictures, captions and references once, and compare; ValueError for a picture that cannot be opened.

    `seed` chooses the captions of the floor and of the ranks.
    """
    captions = [pair.caption for pair in pairs]
    pictures = extract([pair.picture for pair in pairs], clip, None, batch_size, workers, progress)
    distinct = list(dict.fromkeys(captions))
    texts = clip.embed_captions(distinct)
    number = {caption: index for index, caption in enumerate(distinct)}
    own = np.array([number[caption] for caption in captions])
    ceiling = None
    references = [pair.reference for pair in pairs if pair.reference is not None]
    if len(references) == len(pairs):
        once = list(dict.fromkeys(references))
        real = extract(once, clip, None, batch_size, workers, progress)
        place = {path: index for index, path in enumerate(once)}
        ceiling = (real[[place[path] for path in references]] * texts[own]).sum(1, dtype=np.float64)
    blocks = blocks_of(pairs)
    things = _things(own, blocks)
    among = min(AMONG, others_of(things) + 1)
    return Scores(
        cosine=(pictures * texts[own]).sum(1, dtype=np.float64),
        floor=(pictures * texts[_others(things, seed)[own]]).sum(1, dtype=np.float64) if among > 1 else np.array([]),
        rank=ranks(pictures, texts, own, among, seed, things),
        among=among,
        ceiling=ceiling,
        spread=_spread(pictures, own),
        blocks=blocks,
        cut=clip.count_cut(captions),
    )


def measures_of(scores: Scores, seed: int = 0, preference: str | None = None) -> list[Measure]:
    """Return the scores as a report has them; `preference` names the CLIP where it is one of `PREFERENCES`."""
    n, blocks = len(scores.cosine), scores.blocks
    key, name = (SCORE, "CLIP score") if preference is None else (preference, PREFERENCES[preference])
    mean = partial(mean_of, seed=seed, blocks=blocks)
    found = [
        mean(COSINE, "CLIP cosine", scores.cosine),
        mean(key, f"{name} (100 × cosine)", 100 * scores.cosine),
    ]
    if scores.ceiling is not None:
        name = "CLIP cosine, ceiling: the real pictures"
        found.append(mean(CEILING, name, scores.ceiling, ""))
    if len(scores.floor):
        name = "CLIP cosine, floor: captions of other pictures"
        found.append(mean(FLOOR, name, scores.floor, ""))
    for k in RANKS:
        if k < scores.among:
            key, label = _recall(k)
            details = {"captions": scores.among, "by_chance": round(k / scores.among, 4)}
            hit = (scores.rank < k).astype(float)
            found.append(mean(key, label, hit, details=details))
    if len(scores.spread):
        details = {"pictures": n, "prompts": len(scores.spread)}
        label = "diversity (mean 1 − cosine within a prompt)"
        diversity = mean_of("diversity", label, scores.spread, seed=seed, details=details)
        found.append(dataclasses.replace(diversity, values=None))  # of prompts, not of pictures
    return found


def warnings_of(scores: Scores, clip: Clip, checkpoint: str | None) -> list[str]:
    """Return what a reader of the scores must know; `checkpoint` is the one that drew the pictures, if known."""
    warnings = []
    if clip.source in JUDGES:
        warnings.append(
            f"{clip.source} saw only emoji: its scores compare with nothing published, and photographs mislead it."
        )
    shared = [] if checkpoint is None else conditioned(clip, checkpoint)
    if shared is None:
        warnings.append(
            f"The checkpoint {checkpoint} is not on this machine, so whether {clip.source} is the CLIP that "
            "conditioned it is not known."
        )
    elif shared:
        warnings.append(
            f"{clip.source} is the CLIP that conditioned {checkpoint}, which was optimised against it (the same "
            f"weights: {', '.join(shared)}): judge by another one for a score that means something."
        )
    if scores.cut:
        warnings.append(
            f"{scores.cut:,} captions are longer than the {clip.context} tokens that {clip.source} reads and were cut, "
            "the end token kept."
        )
    warnings += notes_on(scores.blocks)
    if scores.among < AMONG:
        warnings.append(
            f"There are only {scores.among} distinct captions: the ranks are among these, not among {AMONG}."
        )
    return warnings


def compared() -> list[str]:
    """Return the keys of the measures in which two contestants are compared; ranks need that many captions, and one."""
    return [SCORE, *(_recall(k)[0] for k in RANKS)]


def _recall(k: int) -> tuple[str, str]:
    """Return the key and the label of how often the right caption is among the first k."""
    return ("r_precision", "R-precision") if k == 1 else (f"recall_at_{k}", f"R@{k}")


def _things(own: np.ndarray, blocks: np.ndarray | None) -> np.ndarray:
    """Return which thing each of m captions is about: (m,), the same for captions whose pairs hang together.

    Other captions of a photograph fit it too: they are no captions of another picture.
    """
    things = np.arange(own.max() + 1)
    if blocks is not None:
        things[own] = blocks
    return things


def _others(things: np.ndarray, seed: int) -> np.ndarray:
    """For each caption (m,) the index of one of another thing: the next such one in a shuffled circle."""
    circle = np.random.default_rng(seed).permutation(len(things))
    following = np.empty(len(things), dtype=int)
    for place, one in enumerate(circle):
        after = (circle[(place + step) % len(circle)] for step in range(1, len(circle)))
        following[one] = next(other for other in after if things[other] != things[one])
    return following


def _spread(pictures: np.ndarray, own: np.ndarray) -> np.ndarray:
    """For each caption with several pictures: the mean of 1 - cosine over their pairs."""
    spread = []
    order = np.argsort(own, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
        if (n := len(group)) > 1:
            total = pictures[group].sum(0)
            # The squared length of the sum holds every pair twice, and each picture with itself.
            spread.append(1 - (total @ total - np.square(pictures[group]).sum()) / (n * (n - 1)))
    return np.array(spread)
