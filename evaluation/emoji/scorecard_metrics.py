"""The measures of a scorecard: each looks at the embedded set, and gives scores of drawn beside real pictures."""

import dataclasses
import shlex
from collections.abc import Callable, Sequence

import numpy as np

from dalle2.images import open_picture
from evaluation.comparing.contestants import Contestant
from evaluation.drawing import cost
from evaluation.drawing.enlargement import open_drawer, psnr_and_bicubic
from evaluation.emoji import backgrounds, memorization, scene_tasks, scenes
from evaluation.emoji.embedded_set import CONCEPT, KINDS, PAIR, SEEN, EmbeddedSet
from evaluation.emoji.emoji_set import EmojiSet, Pair
from evaluation.emoji.prompt_lists import UNDERSTOOD, colours, words
from evaluation.emoji.scores import Score, of_values, ratio
from evaluation.metrics import retrieval
from evaluation.metrics.distances import measure
from evaluation.metrics.frechet import Moments
from evaluation.metrics.statistics import Statistics
from evaluation.networks.network import space_of

HOW_PARAPHRASES = (
    "seen pairs drawn from paraphrases.tsv, which are no label or tag of the concept in any language, judged against "
    "the label's caption among 100"
)
ENLARGED = 100  # real pictures that the upsampler is tried on
HOW_CAPTION = (
    "whether the picture's own caption, “LABEL, STYLE style”, is nearer to it than all of 99 others, drawn anew for "
    "each picture, without replacement, from the captions of all other pairs of the set: of other concepts and, now "
    "and then, of the same concept in another style; drawn and real pictures face the same 99"
)


def recognised(data: EmbeddedSet) -> list[Score]:
    """Measure R@1 of unseen pairs, unseen concepts and seen pairs."""
    found = []
    for what in ("unseen", "seen"):
        drawn, real = data.recognised(what)
        kinds = data.kinds(what)
        for kind in (PAIR, CONCEPT, SEEN):
            if (chosen := kinds == kind).any():
                name = f"recall_at_1_{kind}", f"R@1 among 100 captions, {KINDS[kind]}"
                found.append(of_values(*name, drawn[chosen], real[chosen], data.seed, how=HOW_CAPTION))
    return found


def style_and_concept(data: EmbeddedSet) -> list[Score]:
    """Return the right style of all, by the way that is right more often on real pictures; the right concept of all."""
    test = data.emoji.test
    answers = _styles(data, data.real(test), test)
    right = {way: styles == data.styles(test) for way, styles in answers.items()}
    way = retrieval.better(right)
    detail = "; ".join(
        f"{name} is right for {answer.mean():.1%} of the real test pictures" for name, answer in right.items()
    )
    how = f"the nearest of {len(data.emoji.styles)} styles, by {way} ({detail})"
    found = []
    for what, kind, shown in (("unseen", "unseen", "unseen pairs and concepts"), ("seen", SEEN, KINDS[SEEN])):
        pairs = data.pairs(what)
        sides = [data.pictures(what), data.real(pairs)]
        drawn, real = (_styles(data, side, pairs)[way] == data.styles(pairs) for side in sides)
        found.append(of_values(f"style_{kind}", f"style right, {shown}", drawn, real, data.seed, how=how))
        concepts = [retrieval.concept(side, data.caption_table, data.styles(pairs)) for side in sides]
        drawn, real = (answer == data.concepts(pairs) for answer in concepts)
        how_concept = (
            f"the nearest of the captions of all {len(data.emoji.labels):,} concepts in the picture's own style"
        )
        found.append(
            of_values(f"concept_{kind}", f"concept right among all, {shown}", drawn, real, data.seed, how=how_concept)
        )
    return found


def distances(data: EmbeddedSet) -> list[Score]:
    """Measure Fréchet and kernel distance to the real test pictures, beside those of as many real training pictures."""
    features = data.features("unseen")
    rng = np.random.default_rng(data.seed)
    places = rng.permutation(len(data.emoji.train))[: len(features)]
    real = data.real_features([data.emoji.train[place] for place in places])
    space = space_of(data.network)
    sides = [Statistics(space, Moments.of(side), side) for side in (features, real)]
    reference = data.real_features(data.emoji.test)
    test = Statistics(space, Moments.of(reference), reference)
    drawn, ceiling = (measure(side, test, data.network, data.seed) for side in sides)
    how = (
        f"to the {len(reference):,} real test pictures, in the judge's features (not FID); in the column of real "
        f"pictures: of {len(real):,} real training pictures"
    )
    return [Score(one, other, how=how) for one, other in zip(drawn, ceiling, strict=True)]


def copied(data: EmbeddedSet) -> list[Score]:
    """Measure how near to training pictures the pictures of unseen pairs and concepts lie."""
    training, test = data.real(data.trained), data.real(data.emoji.test)
    drawn = memorization.nearest(data.pictures("unseen"), training)
    real = memorization.nearest(data.real(data.pairs("unseen")), training)
    strict = memorization.strict_threshold(test, training)
    usual = memorization.nearest_threshold(memorization.nearest(test, training))
    among = f"{len(training):,} training pictures"
    how = f"the judge's, mean over unseen pairs and concepts, {among}; a real test picture is not a copy of any of them"
    one = (
        f"the cosine to the nearest of {among} is above {strict:.3f}, which 0.1% of all cosines of real test to "
        "training pictures exceed; with so many to choose from, the nearest one of a real picture does so too"
    )
    other = (
        f"the same above {usual:.3f}, which 1% of the real test pictures' own nearest cosines exceed: where it is much "
        "more than that, pictures are copied"
    )
    cosine = of_values(
        "nearest_cosine", "cosine to the nearest training picture", drawn.first, real.first, data.seed, ""
    )
    strictly = of_values(
        "copies_strict",
        "nearest cosine above that of 99.9% of other pairs",
        drawn.first > strict,
        real.first > strict,
        data.seed,
    )
    closer = of_values(
        "copies_nearest",
        "nearer to a training picture than 99% of real test pictures",
        drawn.first > usual,
        real.first > usual,
        data.seed,
    )
    return [_plain(cosine, how), _plain(strictly, one), _plain(closer, other)]


def chinese(data: EmbeddedSet) -> list[Score]:
    """Measure R@1 of unseen pairs drawn from Chinese captions, and its share of English's."""
    return _chinese(data, "chinese", data.recognised("chinese"))


def _chinese(data: EmbeddedSet, what: str, recognised: tuple[np.ndarray, np.ndarray], detail: str = "") -> list[Score]:
    drawn, real = recognised
    english = data.recognised("unseen")[0][: len(drawn)]  # the same pairs, seeds and other captions
    chosen = data.kinds(what) == PAIR
    if not chosen.any():
        return []
    key = "recall_at_1_chinese" + ("_understood" if detail else "")
    label = "R@1, Chinese captions" + (", understood" if detail else "")
    how = "unseen pairs drawn from “标签，STYLE风格”, judged against the English caption among the same 100 as English"
    found = [of_values(key, label, drawn[chosen], real[chosen], data.seed, how=how + detail)]
    share = ratio(f"{key}_of_english", f"{label} as a share of English", drawn[chosen], english[chosen], data.seed)
    return found + ([] if share is None else [Score(share, unit="%", how=how + detail)])


def paraphrased(data: EmbeddedSet) -> list[Score]:
    """Measure R@1 of pictures drawn from everyday paraphrases."""
    name = "recall_at_1_paraphrases", "R@1, English paraphrases"
    return [of_values(*name, *data.recognised("paraphrases"), data.seed, how=HOW_PARAPHRASES)]


def understood(data: EmbeddedSet) -> list[Score]:
    """Return the same two after understanding: of what it is asked, its R@1; what is not understood counts as wrong."""
    what, detail = f"paraphrases{UNDERSTOOD}", "; {} of {} are not understood, and count as wrong"
    drawn, real, missed = _understood(data, what)
    how = HOW_PARAPHRASES + detail.format(missed, len(drawn))
    name = "recall_at_1_paraphrases_understood", "R@1, English paraphrases, understood"
    found = [of_values(*name, drawn, real, data.seed, how=how)]
    what = f"chinese{UNDERSTOOD}"
    drawn, real, missed = _understood(data, what)
    return found + _chinese(data, what, (drawn, real), detail.format(missed, len(drawn)))


def _understood(data: EmbeddedSet, what: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Whether drawn and real pictures are recognised, and how many prompts are drawn by their very words."""
    drawn, real = data.recognised(what)
    said = words(what.removesuffix(UNDERSTOOD), data.emoji, data.trained)
    missed = np.array([row.caption == said.get(row.id) for row in data.drawn[what].manifest.rows])
    return drawn & ~missed, real, int(missed.sum())


def on_backgrounds(data: EmbeddedSet) -> list[Score]:
    """Measure how often the border has the colour that the caption names."""
    contestant, pairs = data.drawn["backgrounds"], data.pairs("backgrounds")
    asked = [colours(data.trained)[pair.id] for pair in pairs]
    drawn = [backgrounds.border_colour(open_picture(file)) for file in contestant.files]
    grounds = [backgrounds.BACKGROUNDS[name] for name in asked]
    real = [backgrounds.border_colour(p.picture(data.size, ground)) for p, ground in zip(pairs, grounds, strict=True)]
    right, right_real = (
        np.array([backgrounds.nearest_name(colour) == name for colour, name in zip(side, asked, strict=True)])
        for side in (drawn, real)
    )
    how = (
        f"“LABEL, STYLE style on a COLOUR background”, {len(backgrounds.ASKED)} colours in turn: the median of the "
        f"border's pixels is nearest to the named colour among {len(backgrounds.BACKGROUNDS)}"
    )
    return [of_values("background", "background right", right, right_real, data.seed, how=how)]


def in_scenes(data: EmbeddedSet) -> list[Score]:
    """Measure how often a scene has as many things as asked for, and in the asked place."""
    how = (
        "“{}, STYLE style”, of things that the checkpoint was trained on in this style: nearest to the picture are, of "
        f"the same real drawings put together in {{}} ways, {scenes.LAYOUTS} pictures each, those of the asked way"
    )
    described = {
        scene_tasks.NUMBER: ("number right, two to four", how.format("two cats", 4)),
        scene_tasks.PLACE: ("place right, left to below", how.format("a cat left of a dog", 4)),
    }
    tasks = scene_tasks.of_scenes(data, things=False)
    return [
        of_values(one.key, described[one.key][0], one.drawn, one.true, data.seed, how=described[one.key][1])
        for one in tasks
    ]


def coloured(data: EmbeddedSet) -> list[Score]:
    """Measure how often a thing that comes in several colours has the asked one."""
    how = (
        "“blue heart, STYLE style” and other labels that differ from at least two more by nothing but the colour: the "
        "nearest of their captions"
    )
    task = scene_tasks.of_colours(data)
    return [of_values(task.key, "colour right", task.drawn, task.true, data.seed, how=how)]


def enlarged(name: str, emoji: EmojiSet, num: int, seed: int, device: str) -> list[Score]:
    """Measure the PSNR of the upsampler over the bicubic filter, on real test pictures."""
    model, settings = open_drawer([*shlex.split(name), "--device", device])
    order = np.random.default_rng(seed).permutation(len(emoji.test))[: min(num, ENLARGED)]
    pictures = [emoji.test[place].picture(model.picture_size) for place in order]
    ours, bicubic = psnr_and_bicubic(model, pictures, settings, seed)
    detail = f"{ours.mean():.2f} dB against {bicubic.mean():.2f} dB"
    how = f"real test pictures made {model.upsampling} times smaller: {detail}"
    label = "PSNR of the upsampler over bicubic"
    return [of_values("upsampler_over_bicubic", label, ours - bicubic, None, seed, "dB", how)]


def speed(drawn: Sequence[Contestant]) -> tuple[list[Score], list[str]]:
    """Measure median seconds a picture and peak memory; note what was not drawn in one go, whose speed nobody knows."""
    found, notes = [], []
    how = "median of warm batches on the processor below, which must be free of other work"
    for contestant in drawn:
        n, size = len(contestant.files), contestant.manifest.batch_size
        name = f"{contestant.name}, {size} at a time"
        if contestant.cost is None or contestant.cost.seconds_a_picture is None:
            notes.append(f"The speed of {name} is not known: its pictures were not drawn in one go, or are too few.")
            continue
        shown = (("seconds a picture", "s", how), ("peak memory", "MB", ""))
        for one, (label, unit, detail) in zip(cost.measures(contestant.cost, n, size), shown, strict=True):
            measure = dataclasses.replace(one, label=f"{label}, {name}")
            found.append(Score(measure, unit=unit, how=detail))
    return found, notes


QUESTIONS: dict[str, Callable[[EmbeddedSet], list[Score]]] = {
    "recognition": recognised,
    "style": style_and_concept,
    "distance": distances,
    "copies": copied,
    "chinese": chinese,
    "paraphrases": paraphrased,
    "understanding": understood,
    "backgrounds": on_backgrounds,
    "scenes": in_scenes,
    "colours": coloured,
}
# What each part looks at, by the names of `prompt_lists.MEANINGS`.
NEEDS = {
    "recognition": ("unseen", "seen"),
    "style": ("unseen", "seen"),
    "distance": ("unseen",),
    "copies": ("unseen",),
    "chinese": ("unseen", "chinese"),
    "paraphrases": ("paraphrases",),
    "understanding": ("unseen", f"chinese{UNDERSTOOD}", f"paraphrases{UNDERSTOOD}"),
    "backgrounds": ("backgrounds",),
    "scenes": ("scenes",),
    "colours": ("colours",),
    "upsampler": (),
    "speed": ("single",),
}


def _styles(data: EmbeddedSet, pictures: np.ndarray, pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Return the style of each picture, by both ways."""
    captions = data.caption_table[data.concepts(pairs)]
    training = data.real(data.trained)
    return {
        "captions of its label in each style": retrieval.style_by_caption(pictures, captions),
        "mean of real training pictures": retrieval.style_by_mean(pictures, training, data.styles(data.trained)),
    }


def _plain(score: Score, how: str) -> Score:
    """Return the score of a number of which neither more nor less is better."""
    drawn = dataclasses.replace(score.drawn, better="")
    real = score.real and dataclasses.replace(score.real, better="")
    return Score(drawn, real, None, score.unit, how)
