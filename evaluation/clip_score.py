"""python -m evaluation.clip_score: how well pictures fit their captions, in the eyes of a CLIP.

    python -m evaluation.clip_score --images drawn --clip openai/clip-vit-base-patch32
    python -m evaluation.clip_score --images val2017 --prompts coco:COCO --sampling pictures

The cosine of every picture and its caption, the caption's rank among a hundred, the same for the real pictures
(ceiling) and for captions of other pictures (floor).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.cli import command
from evaluation.metrics.bootstrap import mean_interval
from evaluation.metrics.retrieval import AMONG, ranks
from evaluation.networks.clip import JUDGES, Clip, conditioned, default_judge
from evaluation.networks.features import extract
from evaluation.pictures.manifest import read_manifest
from evaluation.prompts.pairing import Pair, read_pairs
from evaluation.prompts.prompt_sets import SAMPLINGS
from evaluation.reporting import report
from evaluation.reporting.report import Measure, Report

RANKS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a CLIP says of n pictures, one value each in their order; `spread` has one value a repeated prompt.

    `cosine` is of picture and caption, `floor` of picture and another caption, `ceiling` of reference and caption
    (None unless every picture has one); `rank` counts the other captions, of `among` in all, that fit as well.
    """

    cosine: np.ndarray
    floor: np.ndarray
    rank: np.ndarray
    among: int
    ceiling: np.ndarray | None
    spread: np.ndarray
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
    references = [pair.reference for pair in pairs]
    if None not in references:
        once = list(dict.fromkeys(references))
        real = extract(once, clip, None, batch_size, workers, progress)
        place = {path: index for index, path in enumerate(once)}
        ceiling = (real[[place[path] for path in references]] * texts[own]).sum(1, dtype=np.float64)
    among = min(AMONG, len(distinct))
    return Scores(
        cosine=(pictures * texts[own]).sum(1, dtype=np.float64),
        floor=(pictures * texts[_others(own, len(distinct), seed)]).sum(1, dtype=np.float64)
        if len(distinct) > 1
        else np.array([]),
        rank=ranks(pictures, texts, own, among, seed),
        among=among,
        ceiling=ceiling,
        spread=_spread(pictures, own),
        cut=clip.count_cut(captions),
    )


def measures_of(scores: Scores, seed: int = 0) -> list[Measure]:
    """The scores as a report has them."""
    n = len(scores.cosine)
    found = [
        _mean("CLIP cosine", scores.cosine, "higher", seed),
        _mean("CLIP score (100 × cosine)", 100 * scores.cosine, "higher", seed),
    ]
    if scores.ceiling is not None:
        found.append(_mean("CLIP cosine, ceiling: the real pictures", scores.ceiling, "", seed))
    if len(scores.floor):
        found.append(_mean("CLIP cosine, floor: captions of other pictures", scores.floor, "", seed))
    for k in RANKS:
        if k < scores.among:
            name = "R-precision" if k == 1 else f"R@{k}"
            details = {"captions": scores.among, "by_chance": round(k / scores.among, 4)}
            found.append(_mean(name, (scores.rank < k).astype(float), "higher", seed, details))
    if len(scores.spread):
        details = {"pictures": n, "prompts": len(scores.spread)}
        found.append(_mean("diversity (mean 1 − cosine within a prompt)", scores.spread, "higher", seed, details))
    return found


def warnings_of(scores: Scores, clip: Clip, checkpoint: str | None) -> list[str]:
    """What a reader of the scores must know; `checkpoint` is the one that drew the pictures, if known."""
    told = []
    if clip.source in JUDGES:
        told.append(
            f"{clip.source} saw only emoji: its scores compare with nothing published, and photographs mislead it."
        )
    shared = [] if checkpoint is None else conditioned(clip, checkpoint)
    if shared is None:
        told.append(
            f"The checkpoint {checkpoint} is not on this machine, so whether {clip.source} is the CLIP that "
            "conditioned it is not known."
        )
    elif shared:
        told.append(
            f"{clip.source} is the CLIP that conditioned {checkpoint}, which was optimised against it (the same "
            f"weights: {', '.join(shared)}): judge by another one for a score that means something."
        )
    if scores.cut:
        told.append(
            f"{scores.cut:,} captions are longer than the {clip.context} tokens that {clip.source} reads and were cut, "
            "the end token kept."
        )
    if scores.among < AMONG:
        told.append(f"There are only {scores.among} distinct captions: the ranks are among these, not among {AMONG}.")
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the reports, print; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with command.sentences(parser.prog):
        command.keep(options.report, (options.prompts,))
        report.deliver(_measure(options), options.report)


def _measure(options: argparse.Namespace) -> Report:
    found = read_pairs(options.images, options.prompts, options.num, options.seed, options.sampling)
    pairs = found.pairs
    if len(pairs) < 2:
        raise ValueError(f"A score needs at least two pictures, not {len(pairs)}.")
    clip = Clip(options.clip, options.device)
    clip.require()
    scores = score(pairs, clip, options.batch_size, options.workers, options.seed, sys.stderr.isatty())
    manifest = read_manifest(options.images.expanduser())
    checkpoint = options.checkpoint or (manifest.checkpoint if manifest else None)
    facts = {
        "images": str(options.images),
        "prompts": options.prompts or "the manifest's",
        "clip": clip.source,
        "clip_image_sha256": clip.sha256,
        "clip_text_sha256": clip.text_sha256,
        "picture_processor": "CLIPImageProcessorPil",
        "seed": options.seed,
    }
    if manifest is not None:
        facts["generation"] = manifest.model_dump(mode="json")
    return Report(
        f"CLIP score of {options.images.name}, judged by {clip.source}",
        tuple(measures_of(scores, options.seed)),
        report.provenance(device=options.device, **facts),
        (*found.notes, *warnings_of(scores, clip, checkpoint)),
    )


def _others(own: np.ndarray, count: int, seed: int) -> np.ndarray:
    """For each picture the index of another caption than its own: the next one in a shuffled circle."""
    circle = np.random.default_rng(seed).permutation(count)
    following = np.empty(count, dtype=int)
    following[circle] = np.roll(circle, -1)
    return following[own]


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


def _mean(name: str, values: np.ndarray, better: str, seed: int, details: dict | None = None) -> Measure:
    interval = mean_interval(values, seed) if len(values) > 1 else None
    return Measure(name, float(values.mean()), len(values), better, interval, details or {})


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(prog="python -m evaluation.clip_score", description=__doc__.split("\n")[0][33:])
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="the pictures to measure")
    parser.add_argument("--prompts", metavar="SOURCE", help="their captions; default: those of the folder's manifest")
    parser.add_argument("--sampling", choices=tuple(SAMPLINGS), default="captions", help="of --prompts")
    parser.add_argument("--clip", help=f"folder, hub id or id@revision; default: the embedded {default_judge()}")
    parser.add_argument("--checkpoint", help="what drew the pictures, to warn of its own CLIP; default: the manifest's")
    parser.add_argument("--num", type=int, help="measure so many, chosen by the seed; default: all")
    command.add_arguments(parser, seed="of --num, of the other captions, of intervals")
    command.add_report(parser)
    return parser


if __name__ == "__main__":
    main()
