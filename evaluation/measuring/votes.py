"""Answers of people counted, and held against measures: the work of `evaluation.votes`."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from evaluation.cli import command
from evaluation.cli.votes import Options
from evaluation.comparing import answers as reading
from evaluation.comparing.answers import Judgement
from evaluation.metrics.human_answers import Answers, Share
from evaluation.networks.clip import Clip
from evaluation.networks.features import extract
from evaluation.prompts.tables import read_json
from evaluation.reporting import report
from evaluation.reporting.measure import Better, Measure
from evaluation.reporting.report import Report

FEW = 10  # raters, below which resampling them tells little


def count(options: Options) -> Report:
    """Return what the answers add up to: see `evaluation.votes.run`."""
    found = reading.read(options.votes, options.least_checks)
    if options.clip and found.study is None:
        raise ValueError("--clip is asked about a study's pictures, which the page's votes do not hold: leave it out.")
    comparison = None if options.comparison is None else _read_comparison(options.comparison)
    device = command.chosen_device(options.device)
    scores = {source: _scores(found, source, device, options) for source in options.clip}
    measures: list[Measure] = []
    for question in dict.fromkeys(one.question for one in found.judgements):
        judgements = [one for one in found.judgements if one.question == question]
        answers = Answers(judgements, options.seed)
        ranked = dict(answers.ratings())
        measures += _won(answers, ranked, question)
        measures += _agreed(answers, judgements, question)
        for source, of_pair in scores.items():
            ahead = np.array([of_pair[one.pair] for one in judgements])
            label = f"{question}: won by the higher CLIP score ({source}), ties left out"
            measures += _measured(f"predicted@{question}@clip:{source}", label, answers.predicted(ahead), "higher")
        if comparison is not None:
            measures += _in_order(comparison, {name: one.value for name, one in ranked.items()}, question)
    facts: dict[str, object] = {"votes": str(options.votes), "least_checks": options.least_checks}
    facts |= {"raters": found.raters or "unknown", "answers": len(found.judgements), "seed": options.seed}
    facts |= {"intervals": "raters and pairs resampled together (Owen 2007)"}
    if found.study is not None:
        facts["study"] = {"title": found.study.title, "hash": found.study.hash, "pairs": len(found.study.pairs)}
    notes = [*found.notes, *_few(found)]
    return Report(_title(found), tuple(measures), report.provenance(device=device, **facts), tuple(notes))


def _title(found: reading.Answers) -> str:
    if found.study is None or found.raters is None:
        return f"{len(found.judgements):,} votes"
    return f"{found.study.title} {len(found.judgements):,} answers of {found.raters:,} raters"


def _few(found: reading.Answers) -> list[str]:
    if found.raters is None or found.raters >= FEW:
        return []
    return [f"{found.raters:,} raters are few: the intervals tell little of what other people would say."]


def _won(answers: Answers, ranked: dict[str, Share], question: str) -> Iterator[Measure]:
    for a, b, share in answers.win_rates():
        yield from _measured(f"win_rate@{question}@{a}@{b}", f"{question}: {a} wins against {b}, ties half", share)
    for name, share in sorted(ranked.items(), key=lambda one: -one[1].value):
        label = f"{question}: rating of {name} (Bradley–Terry, 400 points are 10 : 1)"
        yield from _measured(f"rating@{question}@{name}", label, share, "higher")


def _agreed(answers: Answers, judgements: Sequence[Judgement], question: str) -> Iterator[Measure]:
    """Yield how far raters agree, how often they chose the left, and how long they took."""
    alpha = answers.alpha("nominal")
    if alpha is not None:
        ordinal = answers.alpha("ordinal")
        details: dict[str, object] = {"pairs of two answers or more": answers.rated_twice}
        if ordinal is not None:
            details["ordinal"] = round(ordinal, 4)
        label = f"{question}: agreement of raters (Krippendorff's α, nominal)"
        yield Measure(f"alpha@{question}", label, alpha, len(judgements), "", None, details)
    label = f"{question}: a rater answers as most others do, ties left out"
    yield from _measured(f"ceiling@{question}", label, answers.ceiling())
    sided = [index for index, one in enumerate(judgements) if one.left and one.winner != "tie"]
    if sided:
        left = np.array([float(judgements[index].winner == judgements[index].left) for index in sided])
        label = f"{question}: the left one chosen, ties left out"
        yield from _measured(f"left@{question}", label, answers.share(left, sided))
    if seconds := [one.seconds for one in judgements if one.seconds is not None]:
        yield Measure(
            f"seconds@{question}", f"{question}: median seconds", float(np.median(seconds)), len(judgements), ""
        )


def _measured(key: str, label: str, share: Share | None, better: Better = "") -> Iterator[Measure]:
    if share is not None:
        yield Measure(key, label, share.value, share.n, better, share.interval)


def _scores(found: reading.Answers, source: str, device: str, options: Options) -> dict[str, float]:
    """Return for each pair that was answered the cosine of a's picture and the prompt less that of b's."""
    clip = Clip(source, device)
    clip.require()
    pairs = [found.pairs[pair] for pair in dict.fromkeys(one.pair for one in found.judgements)]
    files = [found.folder / side.picture for pair in pairs for side in (pair.a, pair.b)]
    features = extract(files, clip, None, options.batch_size, options.workers, progress=False)
    texts = clip.embed_captions([pair.prompt for pair in pairs])
    cosines = (features.reshape(len(pairs), 2, -1) * texts[:, None]).sum(-1, dtype=np.float64)
    return {pair.id: float(a - b) for pair, (a, b) in zip(pairs, cosines, strict=True)}


def _read_comparison(file: Path) -> dict[str, dict[str, Measure]]:
    found = read_json(file)
    try:
        return {
            one["name"]: {measure.key: measure for measure in map(Measure.from_dict, one["measures"])}
            for one in found["contestants"]
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not a comparison.json of evaluation.compare.") from error


def _in_order(comparison: dict[str, dict[str, Measure]], ratings: dict[str, float], question: str) -> Iterator[Measure]:
    """Yield for each measure of the comparison in how many pairs of contestants it names the one that people prefer."""
    names = [name for name in comparison if name in ratings]
    if len(names) < 2:
        raise ValueError(
            f"The comparison is of {', '.join(comparison)}, and people were asked about {', '.join(ratings)}: fewer "
            "than two are the same."
        )
    for key, first in comparison[names[0]].items():
        values = {name: comparison[name][key].value for name in names if key in comparison[name]}
        if first.better and len(values) == len(names):
            sign = 1 if first.better == "higher" else -1
            by_name = {name: sign * value for name, value in values.items()}
            pairs = list(combinations(names, 2))
            right = [(by_name[a] - by_name[b]) * (ratings[a] - ratings[b]) > 0 for a, b in pairs]
            label = f"{question}: contestants in the order of {first.label}"
            yield Measure(f"ordered@{question}@{key}", label, float(np.mean(right)), len(pairs), "higher")
