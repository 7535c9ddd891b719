"""What a comparison found: each contestant's measures, the paired differences, likenesses, votes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from evaluation.comparing.contestants import Contestant
from evaluation.comparing.votes import VoteCount
from evaluation.drawing.cost import SECONDS, Cost
from evaluation.metrics.bootstrap import (
    FEWEST,
    Difference,
    holm,
    jackknife,
    paired_bootstrap,
    paired_medians,
    paired_shares,
)
from evaluation.reporting.measure import Better, Measure

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """A contestant and its measures.

    Their `values` and `left_out` belong together by position among all contestants: prompts, reference pictures, or
    groups of prompts.
    """

    contestant: Contestant
    measures: tuple[Measure, ...]
    warnings: tuple[str, ...] = ()

    def measure(self, key: str) -> Measure | None:
        return next((measure for measure in self.measures if measure.key == key), None)

    def require(self, key: str) -> Measure:
        """Return the measure that every contestant has."""
        return next(measure for measure in self.measures if measure.key == key)


@dataclass(frozen=True)
class Contest:
    """One measure of two contestants: a - b, and whether it is more than chance once all contests are counted."""

    key: str
    label: str
    a: str
    b: str
    better: Better
    found: Difference
    p_holm: float

    @property
    def verdict(self) -> str:
        """Return the name of the better one, or that there is no difference."""
        if self.found.mean == 0 and not self.found.wins and not self.found.losses:
            return "no difference"
        low, high = self.found.interval
        if self.p_holm >= LEVEL or low <= 0 <= high:
            return "no difference shown"
        return self.a if (self.found.mean > 0) == (self.better == "higher") else self.b

    @property
    def score(self) -> str:
        """Return the prompts in which a was ahead, and b; of times, batches."""
        wins, losses = self.found.wins, self.found.losses
        if self.better == "lower":
            wins, losses = losses, wins
        return f"{wins:,} : {losses:,}" if wins or losses else ""


@dataclass(frozen=True)
class Likeness:
    """Mean SSIM and PSNR of two contestants' pictures of the same prompts and seeds."""

    a: str
    b: str
    ssim: float
    psnr: float
    identical: int
    n: int


@dataclass(frozen=True)
class Point:
    """A contestant at one guidance scale or number of steps: distance (lower is better) and CLIP score (higher).

    `guidance` or `steps` are as the sweep asked for them, "" for the contestant's own; intervals are 95 %.
    """

    name: str
    contestant: str
    distance: float
    score: float
    front: bool = False  # nobody is better in both
    guidance: str = ""
    steps: str = ""
    distance_interval: tuple[float, float] | None = None
    score_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scene:
    """A prompt in which the contestants differ, and their CLIP scores and files in the contestants' order."""

    id: str
    caption: str
    seed: int
    scores: tuple[float, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Table:
    """A table to be read; the columns `numbers` hold figures. `pair` are the two whose differences it has."""

    key: Literal["measures", "differences", "likenesses", "sweep", "votes"]
    heading: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numbers: tuple[int, ...]
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class Comparison:
    """Everything that is told of two or more contestants."""

    title: str
    contestants: tuple[Measured, ...]
    contests: tuple[Contest, ...]
    likenesses: tuple[Likeness, ...]
    scenes: tuple[Scene, ...]
    provenance: Mapping[str, object]
    votes: tuple[VoteCount, ...] = ()
    sweep: tuple[Point, ...] = ()
    distance: str = ""  # the sweep's measure
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> list[str]:
        """Return a sentence for each pair of contestants that were held against each other."""
        sentences = []
        for a, b in combinations([measured.contestant.name for measured in self.contestants], 2):
            contests = [contest for contest in self.contests if (contest.a, contest.b) == (a, b)]
            won = {name: [c.label for c in contests if c.verdict == name] for name in (a, b)}
            if any(won.values()):
                beaten = {a: b, b: a}
                sentences += [
                    f"{name} beats {beaten[name]} in {', '.join(names)}." for name, names in won.items() if names
                ]
            elif contests and all(contest.verdict == "no difference" for contest in contests):
                sentences.append(f"{a} and {b}: no difference, in any prompt.")
            elif contests:
                pictures = len(self.contestants[0].contestant.files)
                sentences.append(f"{a} and {b}: no difference shown over {pictures:,} pictures.")
        return sentences

    def measure_rows(self) -> Iterator[tuple[Measure, list[Measure | None]]]:
        """Return for each key its first measure, and the contestants' own, None where one has none."""
        firsts: dict[str, Measure] = {}
        for measured in self.contestants:
            for measure in measured.measures:
                firsts.setdefault(measure.key, measure)
        for key, first in firsts.items():
            yield first, [measured.measure(key) for measured in self.contestants]

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return {
            "title": self.title,
            "summary": self.summary,
            "contestants": [
                {
                    "name": measured.contestant.name,
                    "checkpoint": measured.contestant.manifest.checkpoint,
                    "checkpoint_hash": measured.contestant.manifest.checkpoint_hash,
                    "settings": measured.contestant.manifest.settings,
                    "dtype": measured.contestant.manifest.dtype,
                    "cost": measured.contestant.cost.model_dump() if measured.contestant.cost else None,
                    "measures": [measure.to_dict() for measure in measured.measures],
                }
                for measured in self.contestants
            ],
            "contests": [
                {
                    **{name: getattr(contest, name) for name in ("key", "label", "a", "b", "better")},
                    **asdict(contest.found),
                    "p_holm": contest.p_holm,
                    "verdict": contest.verdict,
                }
                for contest in self.contests
            ],
            "likenesses": [asdict(likeness) for likeness in self.likenesses],
            "sweep": {"distance": self.distance, "points": [asdict(point) for point in self.sweep]},
            "votes": [asdict(vote) for vote in self.votes],
            "prompts": [
                {"id": scene.id, "caption": scene.caption, "seed": scene.seed, "scores": scene.scores}
                for scene in self.scenes
            ],
            "warnings": self.warnings,
            "provenance": self.provenance,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def contests_of(contestants: Sequence[Measured], seed: int) -> tuple[Contest, ...]:
    """Return every pair of contestants in every measure that can be tested; p-values corrected over all of them."""
    found = []
    for a, b in combinations(contestants, 2):
        for one in a.measures:
            difference = _difference(one, b.measure(one.key), seed)
            if difference is not None:
                found.append((one.key, one.label, a.contestant.name, b.contestant.name, one.better, difference))
    corrected = holm([difference.p for *_, difference in found])
    contests = [Contest(*entry, p) for entry, p in zip(found, corrected, strict=True)]
    for a, b in combinations(contestants, 2):
        # A matter of the machine and not of the prompts, so not one of the questions that are asked of these.
        if (difference := speed_difference(a.contestant.cost, b.contestant.cost, seed)) is not None:
            names = a.contestant.name, b.contestant.name
            contests.append(Contest(*SECONDS, *names, "lower", difference, difference.p))
    return tuple(contests)


def speed_difference(a: Cost | None, b: Cost | None, seed: int) -> Difference | None:
    """Return the seconds a picture of a - b, batch by batch; None unless they took turns often enough in one run."""
    if a is None or b is None or not a.turns or a.turns != b.turns or len(a.batches) != len(b.batches):
        return None
    return paired_medians(a.batches, b.batches, seed)


def speed_notes(contestants: Sequence[Measured]) -> list[str]:
    """Say why no faster one is named, where none is."""
    costs = [measured.contestant.cost for measured in contestants]
    if not any(costs) or all(speed_difference(a, b, 0) is not None for a, b in combinations(costs, 2)):
        return []
    turns = {cost.turns if cost is not None else "" for cost in costs}
    if len(turns) == 1 and "" not in turns:
        return [f"Fewer than {FEWEST} batches of each were timed: too few to call one of them faster."]
    return [
        "The seconds a picture are not of one run in which the contestants took turns: the machine may have been "
        "busier for one of them, so none is called faster. Draw them together, into a new --out, to compare times."
    ]


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points, those marked that no other beats in one of distance and score without losing in the other."""

    def beaten(point: Point) -> bool:
        return any(
            other.distance <= point.distance
            and other.score >= point.score
            and (other.distance, other.score) != (point.distance, point.score)
            for other in points
        )

    return tuple(replace(point, front=not beaten(point)) for point in points)


def _difference(a: Measure, b: Measure | None, seed: int) -> Difference | None:
    """Return a - b from values that belong together, or from both without the same groups; None if neither.

    Of a measure that has both, errors add up: a share of the reference differs by chance with the pictures that reach
    it, and with the pictures of the reference. What has no better way is no question.
    """
    if b is None or not a.better:
        return None
    paired = a.values is not None and b.values is not None
    if a.left_out is None or b.left_out is None:
        return paired_bootstrap(a.values, b.values, seed, blocks=a.blocks) if paired else None
    without = np.subtract(a.left_out, b.left_out)
    if paired:
        return paired_shares(a.values, b.values, without)
    value = a.value - b.value
    _, interval, p = jackknife(value, without)
    return Difference(value, interval, p, a.n)
