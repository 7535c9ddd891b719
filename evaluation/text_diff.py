"""python -m evaluation.text_diff: does a text diff change the style of a real picture, and leave its concept?

    python -m evaluation.text_diff emoji --data data/emoji --num 100 --out diffs
    python -m evaluation.text_diff emoji --data data/emoji --way slerp --strengths 0.3,0.4,0.5 --out turned

Real test pictures of other styles are moved from "LABEL, STYLE style" toward "LABEL, fluent color style" (paper,
section 3.3), by either way of a text diff. For each strength the judge says in how many the new style is recognised,
and in how many the concept is still found among 100. `--out` then holds text_diff.json, text_diff.md, sheet.png (real
picture, then the strengths) and the pictures; the same command goes on after an interruption.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dalle2.images import open_picture, read_record, save
from dalle2.model import UnclipModel
from dalle2.settings import RETRACING_STEPS, Settings
from dalle2.settings import STRENGTHS as WAYS
from dalle2.tasks.text_diff import TextDiff
from evaluation.cli import command
from evaluation.drawing.enlargement import open_drawer
from evaluation.emoji.emoji_set import EmojiSet, Pair, embed, read_emoji_set, training_subgroups
from evaluation.emoji.scores import Score, Scorecard, deliver, of_values
from evaluation.metrics import retrieval
from evaluation.networks.clip import Clip, conditioned, default_judge
from evaluation.networks.features import ClipFeatures
from evaluation.pictures.manifest import is_whole
from evaluation.reporting import report, sheets

STYLE = "fluent color"
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
STYLE_BAR, CONCEPT_BAR = 0.8, 0.7
PER_STYLE = 200  # real training pictures of which a style's mean is taken
SHOWN = 12  # rows of the sheet
HOW_CONCEPT = (
    "whether “LABEL, {} style” is nearer to the picture than the same of 99 other labels, drawn anew for each picture; "
    "drawn and real pictures face the same 99"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, measure, write; exits with 2 and one sentence when something is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with command.sentences(parser.prog, goes_on=True):
        files = [command.report_file(str(options.out / f"text_diff{suffix}")) for suffix in (".json", ".md")]
        card = _measure(options)
        deliver(card, card.contestant, *files)


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
        """Whether each picture is seen in the wanted style, by both ways of telling."""
        return {
            "captions of its label in each style": retrieval.style_by_caption(pictures, self.styled) == self.wanted,
            "mean of real training pictures": retrieval.style_by_mean(pictures, self.training, self.training_styles)
            == self.wanted,
        }

    def kept(self, pictures: np.ndarray) -> np.ndarray:
        """Whether each picture's concept is found among 100."""
        return retrieval.found_caption(pictures, self.names, self.own, self.seed)


def scores(
    judge: Judge, real: np.ndarray, untouched: np.ndarray, drawn: Mapping[float, np.ndarray], style: str
) -> tuple[list[Score], float]:
    """Both shares of each strength's pictures, beside those of `real` pictures in the wanted style; the best strength.

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
    best = max(margins, key=margins.get)
    found = []
    for strength, (styles, concepts) in shares.items():
        name = "untouched" if strength is None else f"strength {strength:g}{' (best)' if strength == best else ''}"
        found.append(of_values(f"{style} recognised, {name}", styles, real_style, judge.seed, how=how_style))
        how = HOW_CONCEPT.format(style)
        found.append(of_values(f"concept kept, {name}", concepts, real_concept, judge.seed, how=how))
    return found, best


def verdict(found: Sequence[Score], best: float) -> str:
    """Whether the best strength passes both bars, in a sentence."""
    style, concept = (score.drawn.value for score in found if score.drawn.name.endswith("(best)"))
    passed = "both bars are" if style >= STYLE_BAR and concept >= CONCEPT_BAR else "not both bars are"
    return (
        f"The best strength is {best:g}: the style is recognised in {style:.1%} (bar {STYLE_BAR:.0%}) and the concept "
        f"kept in {concept:.1%} (bar {CONCEPT_BAR:.0%}), so {passed} passed."
    )


def _measure(options: argparse.Namespace) -> Scorecard:
    strengths = _strengths(options.strengths)
    emoji = read_emoji_set(options.data)
    pairs = _pairs(emoji, options)
    clip = Clip(options.clip, options.device)
    clip.require()
    model, settings = open_drawer([options.checkpoint, "--device", options.device, "--dtype", options.dtype])
    settings = settings.rewording(options.steps)
    _draw(model, settings, pairs, strengths, options)
    wanted = [emoji.by_id[_id(pair, options.style)] for pair in pairs]
    real, untouched = (_embed(side, clip, model.picture_size, options) for side in (wanted, pairs))
    files = {s: [_file(options.out, pair, s) for pair in pairs] for s in strengths}
    drawn = {s: clip.embed_pictures([open_picture(file) for file in files[s]]) for s in strengths}
    judge = _judge(emoji, pairs, clip, model.picture_size, options)
    found, best = scores(judge, real, untouched, drawn, options.style)
    shown = []
    for place, pair in enumerate(pairs[:SHOWN]):
        shown += [pair.picture(model.picture_size), *(open_picture(files[s][place]) for s in strengths)]
    save(sheets.grid(shown, 1 + len(strengths)), options.out / "sheet.png")
    notes = [verdict(found, best)]
    if shared := conditioned(clip, options.checkpoint):
        notes.append(f"{clip.source} conditions this checkpoint ({', '.join(shared)}): judge by another CLIP.")
    facts = {
        "checkpoint": model.checkpoint,
        "checkpoint_hash": model.checkpoint_hash,
        "settings": settings.to_dict(),
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


def _pairs(emoji: EmojiSet, options: argparse.Namespace) -> list[Pair]:
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


def _draw(
    model: UnclipModel,
    settings: Settings,
    pairs: Sequence[Pair],
    strengths: Sequence[float],
    options: argparse.Namespace,
) -> None:
    """What is not there yet; ValueError for pictures that were drawn in another way."""
    for index, pair in enumerate(tqdm(pairs, desc="moving", unit="picture", disable=not sys.stderr.isatty())):
        new = f"{pair.label}, {options.style} style"
        expected = {
            "new": new,
            "way": options.way,
            "checkpoint_hash": model.checkpoint_hash,
            "settings": settings.to_dict(),
        }
        missing = []
        for strength in strengths:
            file = _file(options.out, pair, strength)
            if not is_whole(file):
                missing.append(strength)
            elif other := [key for key, value in expected.items() if read_record(file).get(key) != value]:
                raise ValueError(f"{file} was drawn before with other {other[0]}: choose another --out.")
        if missing:
            picture = pair.picture(model.picture_size)
            request = TextDiff(picture, new, pair.caption, missing, options.way)
            moved = request.draw(model, [options.seed + index], settings)
            for strength, one in zip(missing, moved, strict=True):
                save(one, _file(options.out, pair, strength))


def _judge(emoji: EmojiSet, pairs: Sequence[Pair], clip: Clip, size: int, options: argparse.Namespace) -> Judge:
    rng = np.random.default_rng(options.seed)
    training = []
    for style in emoji.styles:
        of_style = [pair for pair in emoji.train if pair.style == style]
        training += [of_style[place] for place in rng.permutation(len(of_style))[:PER_STYLE]]
    styled = [f"{pair.label}, {style} style" for pair in pairs for style in emoji.styles]
    return Judge(
        names=clip.embed_captions([f"{label}, {options.style} style" for label in emoji.labels], 256),
        styled=clip.embed_captions(styled, 256).reshape(len(pairs), len(emoji.styles), -1),
        training=_embed(training, clip, size, options),
        training_styles=np.array([emoji.styles.index(pair.style) for pair in training]),
        own=np.array([emoji.labels.index(pair.label) for pair in pairs]),
        wanted=emoji.styles.index(options.style),
        seed=options.seed,
    )


def _embed(pairs: Sequence[Pair], clip: Clip, size: int, options: argparse.Namespace) -> np.ndarray:
    """The pairs' real pictures -> (n, dim), of length 1."""
    rows = embed(pairs, ClipFeatures(clip.source, options.device), size, options.workers)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _id(pair: Pair, style: str) -> str:
    return f"{pair.concept}-{style.replace(' ', '-')}"


def _file(out: Path, pair: Pair, strength: float) -> Path:
    return out / "pictures" / f"{strength:g}" / f"{pair.id}.png"


def _strengths(text: str) -> tuple[float, ...]:
    try:
        found = tuple(sorted({float(value) for value in text.split(",")}))
    except ValueError as error:
        raise ValueError(f"--strengths takes numbers with commas between them, not {text!r}.") from error
    if not all(0 <= strength <= 1 for strength in found):
        raise ValueError(f"--strengths takes numbers from 0 to 1, not {text!r}.")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m evaluation.text_diff",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", nargs="?", default="emoji", help="name, folder or hub id; default: emoji")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="what dalle2.datasets.emoji built")
    words = "pictures and tables; goes on, and replaces its tables"
    parser.add_argument("--out", type=command.out_folder, required=True, metavar="DIR", help=words)
    parser.add_argument("--num", type=int, default=100, metavar="N", help="real test pictures; default 100")
    parser.add_argument("--style", default=STYLE, help=f"what they are moved toward; default: {STYLE}")
    parser.add_argument("--way", choices=WAYS, default="prior", help="prior, or slerp, the paper's; default: prior")
    default = ",".join(f"{strength:g}" for strength in STRENGTHS)
    parser.add_argument("--strengths", default=default, help=f"from 0 to 1, with commas; default {default}")
    parser.add_argument(
        "--steps", type=command.positive, help=f"of the decoder, there and back; default {RETRACING_STEPS}"
    )
    command.add_arguments(parser, "of the choice, of picture 0, of intervals", batch_size=None)
    parser.add_argument("--clip", help=f"the judge: folder or hub id; default: the embedded {default_judge()}")
    parser.add_argument("--dtype", default="float32", help="what the networks compute in; default float32")
    return parser


if __name__ == "__main__":
    main()
