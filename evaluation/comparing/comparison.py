"""What a comparison found: each contestant's measures, the paired differences, likenesses, votes; as text."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from evaluation.comparing.contestants import Contestant
from evaluation.comparing.cost import SECONDS, Cost
from evaluation.metrics.bootstrap import (
    FEWEST,
    Difference,
    holm,
    jackknife,
    paired_bootstrap,
    paired_medians,
    sign_test,
)
from evaluation.reporting.report import Measure, digits, flat, markdown_table

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """A contestant's measures, and of those that can be tested the values.

    `values` has one number a prompt (or a reference picture), `left_out` what the measure would be without each group
    of prompts; positions are the same for all contestants.
    """

    contestant: Contestant
    measures: tuple[Measure, ...]
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def measure(self, name: str) -> Measure | None:
        return next((measure for measure in self.measures if measure.name == name), None)


@dataclass(frozen=True)
class Contest:
    """One measure of two contestants: a - b, and whether it is more than chance once all contests are counted."""

    measure: str
    a: str
    b: str
    better: str  # which way is better, as in Measure
    found: Difference
    p_holm: float

    @property
    def verdict(self) -> str:
        """The name of the better one, or that there is no difference."""
        if self.found.mean == 0 and not self.found.wins and not self.found.losses:
            return "no difference"
        low, high = self.found.interval
        if self.p_holm >= LEVEL or low <= 0 <= high:
            return "no difference shown"
        return self.a if (self.found.mean > 0) == (self.better == "higher") else self.b

    @property
    def score(self) -> str:
        """Prompts in which a was ahead, and b; of times, batches."""
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
class VoteCount:
    """What people said: a's share of the votes that were no ties, its interval, and the corrected p-value."""

    question: str
    a: str
    b: str
    wins: int
    losses: int
    ties: int
    share: float
    interval: tuple[float, float]
    p_holm: float


@dataclass(frozen=True)
class Point:
    """A contestant at one guidance scale: distance to the reference (lower is better) and CLIP score (higher)."""

    name: str
    contestant: str
    distance: float
    score: float
    front: bool = False  # nobody is better in both


@dataclass(frozen=True)
class Scene:
    """A prompt in which the contestants differ, and their CLIP scores and files in the contestants' order."""

    id: str
    caption: str
    seed: int
    scores: tuple[float, ...]
    files: tuple[Path, ...]


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
        """A sentence for each pair of contestants."""
        told = []
        for a, b in combinations([measured.contestant.name for measured in self.contestants], 2):
            contests = [contest for contest in self.contests if (contest.a, contest.b) == (a, b)]
            won = {name: [c.measure for c in contests if c.verdict == name] for name in (a, b)}
            if any(won.values()):
                beaten = {a: b, b: a}
                told += [f"{name} beats {beaten[name]} in {', '.join(names)}." for name, names in won.items() if names]
            elif contests and all(contest.verdict == "no difference" for contest in contests):
                told.append(f"{a} and {b}: no difference, in any prompt.")
            else:
                pictures = len(self.contestants[0].contestant.files)
                told.append(f"{a} and {b}: no difference shown over {pictures:,} pictures.")
        return told

    def measure_rows(self) -> Iterator[tuple[str, str, list[Measure | None]]]:
        """Each measure's name, the way that is better, and the contestants' own, None where one has none."""
        names = dict.fromkeys(m.name for measured in self.contestants for m in measured.measures)
        for name in names:
            found = [measured.measure(name) for measured in self.contestants]
            yield name, next(measure.better for measure in found if measure), found

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
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
                    "measures": [asdict(measure) for measure in measured.measures],
                }
                for measured in self.contestants
            ],
            "contests": [
                {
                    **{name: getattr(contest, name) for name in ("measure", "a", "b", "better")},
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

    def to_csv(self) -> str:
        """A row a measure, a difference, a likeness or a count of votes; `kind` says which."""
        columns = ["kind", "name", "a", "b", "value", "low", "high", "n", "p", "p_holm", "wins", "losses", "verdict"]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for measured in self.contestants:
            for one in measured.measures:
                low, high = one.interval or ("", "")
                row = {"kind": "measure", "name": one.name, "a": measured.contestant.name, "value": one.value}
                writer.writerow(row | {"low": low, "high": high, "n": one.n})
        for contest in self.contests:
            found = contest.found
            row = {"kind": "difference", "name": contest.measure, "a": contest.a, "b": contest.b, "value": found.mean}
            row |= {"low": found.interval[0], "high": found.interval[1], "n": found.n, "p": found.p}
            row |= {"p_holm": contest.p_holm, "wins": found.wins, "losses": found.losses, "verdict": contest.verdict}
            writer.writerow(row)
        for pair in self.likenesses:
            for name, value in (("SSIM", pair.ssim), ("PSNR in dB", pair.psnr)):
                writer.writerow(
                    {"kind": "likeness", "name": name, "a": pair.a, "b": pair.b, "value": value, "n": pair.n}
                )
        for vote in self.votes:
            row = {"kind": "votes", "name": vote.question, "a": vote.a, "b": vote.b, "value": vote.share}
            row |= {"low": vote.interval[0], "high": vote.interval[1], "n": vote.wins + vote.losses + vote.ties}
            writer.writerow(row | {"p_holm": vote.p_holm, "wins": vote.wins, "losses": vote.losses})
        return text.getvalue()

    def to_markdown(self) -> str:
        """The same in tables, without the pictures."""
        lines = [f"# {self.title}", "", *(f"- {sentence}" for sentence in self.summary), ""]
        for heading, names, rows in self.tables():
            lines += [f"## {heading}", "", *markdown_table(names, rows), ""]
        lines += [f"> **Note** {warning}\n" for warning in self.warnings]
        lines += ["## Provenance", "", *markdown_table(("fact", "value"), list(flat(self.provenance)))]
        return "\n".join(lines) + "\n"

    def tables(self) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
        """Heading, column names and rows of all tables that are not empty, ready to be read."""
        names = [measured.contestant.name for measured in self.contestants]
        arrows = {"higher": " ↑", "lower": " ↓", "": ""}
        rows = [
            (name + arrows[better], *(interval_text(measure) for measure in found))
            for name, better, found in self.measure_rows()
        ]
        yield "Measures", ("measure", *names), rows
        for a, b in combinations(names, 2):
            rows = [
                (
                    contest.measure,
                    digits(contest.found.mean),
                    " … ".join(map(digits, contest.found.interval)),
                    f"{contest.p_holm:.3g}",
                    contest.score,
                    contest.verdict,
                )
                for contest in self.contests
                if (contest.a, contest.b) == (a, b)
            ]
            columns = ("measure", "difference", "95% interval", "p (Holm)", "won", "better")
            yield f"Paired differences: {a} − {b}", columns, rows
        if self.likenesses:
            rows = [
                (f"{pair.a} and {pair.b}", digits(pair.ssim), digits(pair.psnr), f"{pair.identical:,} of {pair.n:,}")
                for pair in self.likenesses
            ]
            yield "How alike the pictures are", ("pair", "SSIM", "PSNR in dB", "identical"), rows
        if self.sweep:
            rows = [
                (point.name, digits(point.distance), digits(point.score), "yes" if point.front else "")
                for point in self.sweep
            ]
            columns = ("contestant and guidance", f"{self.distance} ↓", "CLIP score ↑", "Pareto front")
            yield "Guidance", columns, rows
        if self.votes:
            rows = [
                (
                    vote.question,
                    f"{vote.a} against {vote.b}",
                    f"{vote.wins:,} : {vote.losses:,}, {vote.ties:,} ties",
                    f"{vote.share:.0%} ({vote.interval[0]:.0%} … {vote.interval[1]:.0%})",
                    f"{vote.p_holm:.3g}",
                )
                for vote in self.votes
            ]
            yield "Human votes", ("question", "pair", "votes", "won by the first", "p (Holm)"), rows


def contests_of(contestants: Sequence[Measured], seed: int) -> tuple[Contest, ...]:
    """Every pair of contestants in every measure that can be tested; p-values corrected over all of them."""
    found = []
    for a, b in combinations(contestants, 2):
        for one in a.measures:
            difference = _difference(one.name, a, b, seed)
            if difference is not None:
                found.append((one.name, a.contestant.name, b.contestant.name, one.better, difference))
    corrected = holm([difference.p for *_, difference in found])
    contests = [Contest(*entry, p) for entry, p in zip(found, corrected, strict=True)]
    for a, b in combinations(contestants, 2):
        # A matter of the machine and not of the prompts, so not one of the questions that are asked of these.
        if (difference := speed_difference(a.contestant.cost, b.contestant.cost, seed)) is not None:
            contests.append(Contest(SECONDS, a.contestant.name, b.contestant.name, "lower", difference, difference.p))
    return tuple(contests)


def speed_difference(a: Cost | None, b: Cost | None, seed: int) -> Difference | None:
    """Seconds a picture of a - b, batch by batch; None unless they took turns in one run, often enough to tell."""
    if a is None or b is None or not a.turns or a.turns != b.turns or len(a.batches) != len(b.batches):
        return None
    return paired_medians(a.batches, b.batches, seed)


def speed_notes(contestants: Sequence[Measured]) -> list[str]:
    """Why no faster one is named, where none is."""
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


def count_votes(rows: Sequence[Mapping[str, str]]) -> tuple[VoteCount, ...]:
    """Rows of question, a, b and winner ("a", "b" or "tie"), in any order of the two, to a line a question and pair."""
    counts: dict[tuple[str, str, str], list[int]] = {}  # won by the first of the two, by the second, by none
    for row in rows:
        first, second = sorted((row["a"], row["b"]))
        entry = counts.setdefault((row["question"], first, second), [0, 0, 0])
        entry[2 if row["winner"] == "tie" else (first, second).index(row[row["winner"]])] += 1
    tests = [sign_test(wins, losses) for wins, losses, _ in counts.values()]
    corrected = holm([p for *_, p in tests])
    return tuple(
        VoteCount(*pair, *entry, share, interval, p)
        for (pair, entry), (share, interval, _), p in zip(counts.items(), tests, corrected, strict=True)
    )


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points, those marked that no other beats in one of distance and score without losing in the other."""

    def beaten(point: Point) -> bool:
        return any(
            other.distance <= point.distance
            and other.score >= point.score
            and (other.distance, other.score) != (point.distance, point.score)
            for other in points
        )

    return tuple(
        Point(point.name, point.contestant, point.distance, point.score, not beaten(point)) for point in points
    )


def interval_text(measure: Measure | None) -> str:
    """The value, and its interval in brackets."""
    if measure is None:
        return "–"
    bounds = "" if measure.interval is None else f" ({' … '.join(map(digits, measure.interval))})"
    return digits(measure.value) + bounds


def _difference(name: str, a: Measured, b: Measured, seed: int) -> Difference | None:
    if name in a.values and name in b.values:
        return paired_bootstrap(a.values[name], b.values[name], seed)
    if name not in a.left_out or name not in b.left_out:
        return None
    value = a.measure(name).value - b.measure(name).value
    parts = np.subtract(a.left_out[name], b.left_out[name])
    _, interval, p = jackknife(value, parts)
    return Difference(value, interval, p, a.measure(name).n)
