"""Text diffs of real pictures, and who recognises what in them: the work of `evaluation.text_diff`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dalle2.datasets.phrases import styled
from dalle2.images import open_picture, save
from evaluation.cli import command
from evaluation.cli.text_diff import Options
from evaluation.drawing.text_diffs import open_mover
from evaluation.emoji.emoji_set import EmojiSet, Pair, embed, read_emoji_set, training_subgroups
from evaluation.emoji.scores import Score, Scorecard, of_values
from evaluation.metrics import retrieval
from evaluation.networks.clip import Clip, ClipFeatures, conditioned
from evaluation.reporting import report, sheets

STYLE_BAR, CONCEPT_BAR = 0.8, 0.7
PER_STYLE = 200  # real training pictures of which a style's mean is taken
SHOWN = 12  # rows of the sheet
HOW_CONCEPT = (
    "whether “LABEL, {} style” is nearer to the picture than the same of 99 other labels, drawn anew for each picture; "
    "drawn and real pictures face the same 99"
)


@dataclass(frozen=True, eq=False)
class Judge:
    """What knows a picture's style and concept: embeddings of captions and of real pictures, all of length 1.

    `names` (labels, dim) are of every label in the wanted style, `styled` (n, styles, dim) of each pair's own label in
    all styles, `training` (m, dim) of real pictures in `training_styles` (m,), `own` (n,) the pairs' labels' numbers.
    """

    names: np.ndarray
    styled: np.ndarray
    training: np.ndarray
    training_styles: np.ndarray
    own: np.ndarray
    wanted: int
    seed: int

    def restyled(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Return whether each picture (n, dim) is seen in the wanted style, (n,), by both ways of telling."""
        return {
            "captions of its label in each style": retrieval.style_by_caption(pictures, self.styled) == self.wanted,
            "mean of real training pictures": retrieval.style_by_mean(pictures, self.training, self.training_styles)
            == self.wanted,
        }

    def kept(self, pictures: np.ndarray) -> np.ndarray:
        """Return whether the concept of each picture (n, dim) is found among 100, (n,)."""
        return retrieval.found_caption(pictures, self.names, self.own, self.seed)


def scores(
    judge: Judge, real: np.ndarray, untouched: np.ndarray, drawn: Mapping[float, np.ndarray], style: str
) -> tuple[list[Score], float]:
    """Return both shares of each strength's pictures beside those of `real` ones in that style, and the best strength.

    The style is told in the way that is right more often: wanted on `real` and not on `untouched` pictures.
    """
    right = {
        way: np.concatenate([found, ~judge.restyled(untouched)[way]]) for way, found in judge.restyled(real).items()
    }
    way = retrieval.better(right)
    how_style = f"whether {style} is the nearest style, by {way} (right for {right[way].mean():.1%} of real pictures)"
    real_style, real_concept = judge.restyled(real)[way], judge.kept(real)
    shares = {
        strength: (judge.restyled(pictures)[way], judge.kept(pictures))
        for strength, pictures in {None: untouched, **drawn}.items()
    }
    margins = {
        strength: min(styles.mean() / STYLE_BAR, concepts.mean() / CONCEPT_BAR)
        for strength, (styles, concepts) in shares.items()
        if strength is not None
    }
    best = max(margins, key=lambda strength: margins[strength])
    found = []
    for strength, (styles, concepts) in shares.items():
        what = "untouched" if strength is None else f"strength {strength:g}{' (best)' if strength == best else ''}"
        name = f"style_recognised_{_at(strength)}", f"{style} recognised, {what}"
        found.append(of_values(*name, styles, real_style, judge.seed, how=how_style))
        name = f"concept_kept_{_at(strength)}", f"concept kept, {what}"
        found.append(of_values(*name, concepts, real_concept, judge.seed, how=HOW_CONCEPT.format(style)))
    return found, best


def verdict(found: Sequence[Score], best: float) -> str:
    """Return whether the best strength passes both bars, in a sentence."""
    values = {score.drawn.key: score.drawn.value for score in found}
    style, concept = values[f"style_recognised_{_at(best)}"], values[f"concept_kept_{_at(best)}"]
    passed = "both bars are" if style >= STYLE_BAR and concept >= CONCEPT_BAR else "not both bars are"
    return (
        f"The best strength is {best:g}: the style is recognised in {style:.1%} (bar {STYLE_BAR:.0%}) and the concept "
        f"kept in {concept:.1%} (bar {CONCEPT_BAR:.0%}), so {passed} passed."
    )


def _at(strength: float | None) -> str:
    """How a strength stands in a key; None is the picture as it was."""
    return "untouched" if strength is None else f"at_{strength:g}"


def measure_text_diffs(options: Options) -> Scorecard:
    """Measure both shares at each strength, and give the verdict; ValueError says what is wrong or missing."""
    device = command.chosen_device(options.device)
    options = replace(options, device=device)
    strengths = options.strengths
    emoji = read_emoji_set(options.data)
    pairs = _pairs(emoji, options)
    clip = Clip(options.clip, device)
    clip.require()
    mover = open_mover(options)
    size, files = mover.picture_size, [_files(options.out, pair, strengths) for pair in pairs]
    moving = tqdm(pairs, desc="moving", unit="picture", disable=not sys.stderr.isatty())
    for index, (pair, own) in enumerate(zip(moving, files, strict=True)):
        new = styled(pair.label, options.style)
        mover.move(pair.picture(size), pair.caption, new, options.seed + index, own)
    wanted = [emoji.by_id[_id(pair, options.style)] for pair in pairs]
    real, untouched = (_embed(side, clip, size, options) for side in (wanted, pairs))
    drawn = {s: clip.embed_pictures([open_picture(own[s]) for own in files]) for s in strengths}
    judge = _judge(emoji, pairs, clip, size, options)
    found, best = scores(judge, real, untouched, drawn, options.style)
    shown = []
    for pair, own in zip(pairs[:SHOWN], files, strict=False):
        shown += [pair.picture(size), *(open_picture(own[s]) for s in strengths)]
    save(sheets.grid(shown, 1 + len(strengths)), options.out / "sheet.png")
    notes = [verdict(found, best)]
    if shared := conditioned(clip, options.checkpoint):
        notes.append(f"{clip.source} conditions this checkpoint ({', '.join(shared)}): judge by another CLIP.")
    facts = {
        **mover.facts,
        "style": options.style,
        "way": options.way,
        "strengths": ", ".join(f"{s:g}" for s in strengths),
        "pictures": len(pairs),
        "seed": options.seed,
        "judge": clip.source,
        "judge_sha256": clip.sha256,
    }
    title = f"{options.checkpoint}, text diffs toward {options.style}"
    captions = tuple(pair.caption for pair in pairs[:SHOWN])
    return Scorecard(title, tuple(found), report.provenance(device=options.device, **facts), tuple(notes), captions)


def _pairs(emoji: EmojiSet, options: Options) -> list[Pair]:
    """Test pairs of other styles, of what the checkpoint was trained on, with a real picture in the wanted style."""
    if options.style not in emoji.styles:
        raise ValueError(f"There is no style {options.style!r} in {options.data}: it has {', '.join(emoji.styles)}.")
    subgroups = training_subgroups(options.checkpoint)
    found = [
        pair
        for pair in emoji.test
        if pair.style != options.style
        and (not subgroups or pair.subgroup in subgroups)
        and _id(pair, options.style) in emoji.by_id
    ]
    if not 2 <= options.num <= len(found):
        raise ValueError(f"--num must be from 2 to the {len(found):,} pictures that there are, not {options.num}.")
    order = np.random.default_rng(options.seed).permutation(len(found))[: options.num]
    return [found[place] for place in order]


def _judge(emoji: EmojiSet, pairs: Sequence[Pair], clip: Clip, size: int, options: Options) -> Judge:
    rng = np.random.default_rng(options.seed)
    training = []
    for style in emoji.styles:
        of_style = [pair for pair in emoji.train if pair.style == style]
        training += [of_style[place] for place in rng.permutation(len(of_style))[:PER_STYLE]]
    captions = [styled(pair.label, style) for pair in pairs for style in emoji.styles]
    return Judge(
        names=clip.embed_captions([styled(label, options.style) for label in emoji.labels], 256),
        styled=clip.embed_captions(captions, 256).reshape(len(pairs), len(emoji.styles), -1),
        training=_embed(training, clip, size, options),
        training_styles=np.array([emoji.styles.index(pair.style) for pair in training]),
        own=np.array([emoji.labels.index(pair.label) for pair in pairs]),
        wanted=emoji.styles.index(options.style),
        seed=options.seed,
    )


def _embed(pairs: Sequence[Pair], clip: Clip, size: int, options: Options) -> np.ndarray:
    """Return the pairs' real pictures -> (n, dim), of length 1."""
    rows = embed(pairs, ClipFeatures(clip.source, str(options.device)), size, options.workers)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _id(pair: Pair, style: str) -> str:
    return f"{pair.concept}-{style.replace(' ', '-')}"


def _files(out: Path, pair: Pair, strengths: Sequence[float]) -> dict[float, Path]:
    return {strength: out / "pictures" / f"{strength:g}" / f"{pair.id}.png" for strength in strengths}
