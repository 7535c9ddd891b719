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
    open_specs,
    require_comparable,
    ruler_of,
    scenes_of,
    with_their_own,
)
from evaluation.reporting import report

# Numbers of a name, those that say best when the snapshot was kept first: 500 of epoch=2-step=500-val_loss=0.31.
NUMBERS = {
    "step": re.compile(r"(?i)(?<![a-z])steps?[^a-z0-9]{0,3}(\d+)"),
    "iteration": re.compile(r"(?i)(?<![a-z])iter(?:ation)?s?[^a-z0-9]{0,3}(\d+)"),
    "epoch": re.compile(r"(?i)(?<![a-z])epochs?[^a-z0-9]{0,3}(\d+)"),
    "number": re.compile(r"(\d+)"),
}


@dataclass(frozen=True)
class Snapshot:
    """A snapshot by its name, the step that plots have it at, and how it is opened: see `comparing.contestants`."""

    name: str
    step: str
    spec: str


@dataclass(frozen=True)
class Bisection:
    """What was found.

    Attributes:
        snapshots: all of them, in order; `comparison` has those that were measured, each against the first.
        good: the last one before the first that is worse, or of all; worse: that one, None where the last is not worse.
        reasons: by the names of those that are worse what they are worse in.
        every: whether all were measured, and not only those that bisection asks for.
    """

    snapshots: tuple[Snapshot, ...]
    comparison: Comparison
    good: str
    worse: str | None
    reasons: Mapping[str, Sequence[str]]
    every: bool = False

    @property
    def summary(self) -> list[str]:
        """Return what was found as sentences."""
        measured = f"{len(self.comparison.contestants):,} of {len(self.snapshots):,} snapshots were measured."
        names = [snapshot.name for snapshot in self.snapshots]
        before = names if self.worse is None else names[: names.index(self.worse)]
        earlier = [name for name in before if self.reasons.get(name)]
        if self.worse is None:
            warnings = f"{self.good}, the last, is not worse than {names[0]}. {measured}"
            return [warnings, *(f"{name} is, in between: {self.reasons[name][0]}" for name in earlier)]
        what = "the first from which on all measured ones are worse" if self.every else "the first that is worse"
        return [
            f"{self.worse} is {what}; {self.good}, before it, is not. {measured}",
            *self.reasons[self.worse],
            *(f"{name} is worse too, and others after it are not: {self.reasons[name][0]}" for name in earlier),
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
    snapshots, notes = in_order(options.contestants)
    if len(snapshots) < 2:
        raise ValueError("Bisection needs two snapshots at least, the first of which is good.")
    listed = ", ".join(f"{snapshot.name} ({snapshot.step})" for snapshot in snapshots)
    print("\n".join([f"The snapshots and their steps, in order: {listed}.", *notes]), file=sys.stderr)
    ruler, warnings = ruler_of(options)
    require_comparable(options, ruler)
    warnings = [*warnings, *notes]
    (first,) = open_specs({snapshots[0].name: snapshots[0].spec}, options)
    if options.reference is None:
        ruler, more = with_their_own(ruler, first.manifest)
        warnings += more
    found = {0: measure(first, ruler)}
    contests: dict[int, tuple[Contest, ...]] = {}
    reasons: dict[int, list[str]] = {}

    def fails(index: int) -> bool:
        if index not in found:
            snapshot = snapshots[index]
            print(f"Measuring {snapshot.name}.", file=sys.stderr)
            (contestant,) = open_specs({snapshot.name: snapshot.spec}, options)
            check_pairing((first, contestant))
            found[index] = measure(contestant, ruler)
            contests[index] = contests_of((found[0], found[index]), ruler.seed)
            pair = _comparison(options, [found[0], found[index]], contests[index])
            reasons[index] = [sentence for one in conditions for sentence in one.failed(pair)]
        return bool(reasons[index])

    worse = first_failing(len(snapshots), fails, every=options.every)
    measured = [found[index] for index in sorted(found)]
    all_contests = [contest for index in sorted(contests) for contest in contests[index]]
    warnings += [warning for one in measured for warning in one.warnings]
    warnings.append(
        "Each snapshot is compared with the first alone: p-values are corrected for the measures, not for looks."
    )
    if not options.every:
        warnings.append(
            "Bisection takes it that all snapshots after the first that is worse are worse too; --every measures all."
        )
    facts = facts_of([one.contestant for one in measured], ruler)
    facts |= {"fail_if": list(options.fail_if), "snapshots": {one.name: one.step for one in snapshots}}
    return Bisection(
        tuple(snapshots),
        _comparison(options, measured, all_contests, facts, warnings),
        snapshots[-1 if worse is None else worse - 1].name,
        None if worse is None else snapshots[worse].name,
        {snapshots[index].name: why for index, why in sorted(reasons.items())},
        options.every,
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


def in_order(specs: Sequence[str]) -> tuple[list[Snapshot], list[str]]:
    """Return the snapshots by the number in their names, and what must be told where they are left as given.

    The number is of the last part of the path in which all differ: 2000 of runs/a/step-2000/checkpoint. It is that
    after "step", "iter" or "epoch", and the last one where no name has such a word. ValueError where only some of the
    names have one.
    """
    names = distinct(specs)
    paths = [PurePath((shlex.split(spec) or [""])[0]).parts[::-1] for spec in specs]
    for depth in range(min(map(len, paths), default=0)):
        for what, pattern in NUMBERS.items():
            found = [pattern.findall(path[depth]) for path in paths]
            if not any(found):
                continue
            if not all(found):
                by_having = {bool(own): name for name, own in zip(names, found, strict=True)}
                raise ValueError(
                    f"The order of the snapshots is not known: {by_having[True]} has a {what} in its name, and "
                    f"{by_having[False]} has none. Name all of them alike, as step-1000."
                )
            steps = [int(numbers[-1]) for numbers in found]
            if len(set(steps)) == len(steps):
                rows = sorted(zip(steps, names, specs, strict=True))
                return [Snapshot(name, str(step), spec) for step, name, spec in rows], []
    kept = [Snapshot(name, str(place), spec) for place, (name, spec) in enumerate(zip(names, specs, strict=True), 1)]
    return kept, ["The names do not tell the snapshots' steps, so they are taken in the order given, the oldest first."]


def _comparison(
    options: Options,
    measured: Sequence[Measured],
    contests: Sequence[Contest],
    facts: Mapping[str, object] | None = None,
    warnings: Sequence[str] = (),
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
        warnings=tuple(dict.fromkeys(warnings)),
    )
