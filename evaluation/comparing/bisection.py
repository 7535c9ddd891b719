"""Snapshots of a training run, measured as bisection asks for them: the work of `evaluation.bisect`."""

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from evaluation.cli import command
from evaluation.cli.bisect import Options
from evaluation.comparing.comparison import Comparison, Contest, Measured, contests_of
from evaluation.comparing.conditions import Condition
from evaluation.comparing.measuring import (
    check_pairing,
    distinct,
    facts_of,
    measure,
    open_ways,
    ruler_of,
    scenes_of,
    with_their_own,
)
from evaluation.reporting import report


@dataclass(frozen=True)
class Snapshot:
    """A snapshot by its name, the step that plots have it at, and how it is opened: see `comparing.contestants`."""

    name: str
    step: str
    way: str


@dataclass(frozen=True)
class Bisection:
    """What was found.

    Attributes:
        snapshots: all of them, in order; `comparison` has those that were measured, each against the first.
        good: the last one before the first that is worse, or of all; worse: that one, None where the last is not worse.
        reasons: by the names of those that are worse what they are worse in.
    """

    snapshots: tuple[Snapshot, ...]
    comparison: Comparison
    good: str
    worse: str | None
    reasons: Mapping[str, Sequence[str]]

    @property
    def summary(self) -> list[str]:
        """Return what was found as sentences."""
        measured = f"{len(self.comparison.contestants):,} of {len(self.snapshots):,} snapshots were measured."
        if self.worse is None:
            others = [name for name in self.reasons if self.reasons[name]]
            told = f"{self.good}, the last, is not worse than {self.snapshots[0].name}. {measured}"
            return [told, *(f"{name} is, in between: {self.reasons[name][0]}" for name in others)]
        return [
            f"{self.worse} is the first that is worse; {self.good}, before it, is not. {measured}",
            *self.reasons[self.worse],
        ]

    @property
    def steps(self) -> dict[str, str]:
        """Return the steps by the snapshots' names."""
        return {snapshot.name: snapshot.step for snapshot in self.snapshots}


def bisect(options: Options) -> Bisection:
    """Draw and measure snapshots until the first that is worse than the first of all is known.

    ValueError for options that cannot be, and for what cannot be drawn or compared.
    """
    conditions = [Condition.read(text) for text in options.fail_if]
    snapshots = in_order(options.contestants)
    if len(snapshots) < 2:
        raise ValueError("Bisection needs two snapshots at least, the first of which is good.")
    ruler, told = ruler_of(options)
    (first,) = open_ways({snapshots[0].name: snapshots[0].way}, options)
    if options.reference is None:
        ruler, more = with_their_own(ruler, first.manifest)
        told += more
    found = {0: measure(first, ruler)}
    contests: dict[int, tuple[Contest, ...]] = {}
    reasons: dict[int, list[str]] = {}

    def fails(index: int) -> bool:
        if index not in found:
            snapshot = snapshots[index]
            print(f"Measuring {snapshot.name}.", file=sys.stderr)
            (contestant,) = open_ways({snapshot.name: snapshot.way}, options)
            check_pairing((first, contestant))
            found[index] = measure(contestant, ruler)
            contests[index] = contests_of((found[0], found[index]), ruler.seed)
            pair = _comparison(options, [found[0], found[index]], contests[index])
            reasons[index] = [sentence for one in conditions for sentence in one.failed(pair)]
        return bool(reasons[index])

    worse = first_failing(len(snapshots), fails, every=options.every)
    measured = [found[index] for index in sorted(found)]
    all_contests = [contest for index in sorted(contests) for contest in contests[index]]
    told += [warning for one in measured for warning in one.warnings]
    told.append(
        "Each snapshot is compared with the first alone: p-values are corrected for the measures, not for looks."
    )
    facts = facts_of([one.contestant for one in measured], ruler)
    facts |= {"fail_if": list(options.fail_if), "snapshots": {one.name: one.step for one in snapshots}}
    return Bisection(
        tuple(snapshots),
        _comparison(options, measured, all_contests, facts, told),
        snapshots[-1 if worse is None else worse - 1].name,
        None if worse is None else snapshots[worse].name,
        {snapshots[index].name: why for index, why in sorted(reasons.items())},
    )


def first_failing(count: int, fails: Callable[[int], bool], every: bool = False) -> int | None:
    """Return the first of 1 … count - 1 that fails, taken that all after it fail too; None where the last does not.

    Bisection asks for 1 + log2(count) of them; with `every` all are asked for, and the first is meant from which on all
    fail.
    """
    asked = [fails(index) for index in range(1, count)] if every else []
    if not fails(count - 1):
        return None
    good, worse = 0, count - 1
    if every:
        while worse > 1 and asked[worse - 2]:
            worse -= 1
        return worse
    while worse - good > 1:
        middle = (good + worse) // 2
        if fails(middle):
            worse = middle
        else:
            good = middle
    return worse


def in_order(ways: Sequence[str]) -> list[Snapshot]:
    """Return the snapshots by the number in their names, as given where not each has a number of its own.

    The number is the last one of the last part of the path in which all differ: 2000 of runs/a/step-2000/checkpoint.
    """
    names = distinct(ways)
    paths = [PurePath((shlex.split(way) or [""])[0]).parts[::-1] for way in ways]
    for depth in range(min(map(len, paths), default=0)):
        found = [re.findall(r"\d+", path[depth]) for path in paths]
        steps = [int(numbers[-1]) if numbers else -1 for numbers in found]
        if min(steps) >= 0 and len(set(steps)) == len(steps):
            rows = sorted(zip(steps, names, ways, strict=True))
            return [Snapshot(name, str(step), way) for step, name, way in rows]
    return [Snapshot(name, str(place), way) for place, (name, way) in enumerate(zip(names, ways, strict=True), 1)]


def _comparison(
    options: Options,
    measured: Sequence[Measured],
    contests: Sequence[Contest],
    facts: Mapping[str, object] | None = None,
    told: Sequence[str] = (),
) -> Comparison:
    """Return the measured snapshots, each contested by the first alone; `facts` where it is to be told."""
    first = measured[0].contestant
    provenance: Mapping[str, object] = {}
    if facts is not None:
        reference = "the prompts' own" if options.reference is None else str(options.reference)
        provenance = report.provenance(device=command.chosen_device(options.device), reference=reference, **facts)
    return Comparison(
        title=f"Bisection from {first.name}: {len(first.files):,} pictures of {first.manifest.prompts} each",
        contestants=tuple(measured),
        contests=tuple(contests),
        likenesses=(),
        scenes=() if facts is None else scenes_of(measured),
        provenance=provenance,
        warnings=tuple(dict.fromkeys(told)),
    )
