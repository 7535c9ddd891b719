"""Conditions under which a comparison fails, as a project tests its changes: "fid worse than 2 % at p < 0.01"."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from evaluation.comparing.comparison import LEVEL, Comparison, Contest

FORM = 'MEASURE worse [than NUMBER [%]] [at p < NUMBER], as in "fid worse than 2 % at p < 0.01"'
_PATTERN = re.compile(
    r"(?P<key>\S.*?) worse(?: than (?P<margin>\d+(?:\.\d+)?)\s*(?P<percent>%)?)?(?: at p\s*<\s*(?P<p>\d*\.?\d+))?"
)


@dataclass(frozen=True)
class Condition:
    """A measure in which no contestant may be worse than the first one.

    Attributes:
        text: as it was written.
        key: of the measure.
        margin: by how much it may be worse; with `relative` as a share of the first one's value.
        p: the corrected p-value below which a difference counts.
    """

    text: str
    key: str
    margin: float = 0.0
    relative: bool = False
    p: float = LEVEL

    @classmethod
    def read(cls, text: str) -> "Condition":
        """Return what a text says; ValueError for another form."""
        found = _PATTERN.fullmatch(" ".join(text.split()))
        p = LEVEL if found is None or found["p"] is None else float(found["p"])
        if found is None or not 0 < p <= 1:
            raise ValueError(f"A condition is written {FORM}, not {text!r}.")
        margin, relative = float(found["margin"] or 0), found["percent"] is not None
        return cls(text, found["key"], margin / 100 if relative else margin, relative, p)

    def failed(self, comparison: Comparison) -> list[str]:
        """Return a sentence for each contestant that is worse; ValueError where nobody is compared in the measure."""
        first = comparison.contestants[0]
        contests = [one for one in comparison.contests if one.key == self.key and one.a == first.contestant.name]
        if not contests:
            keys = ", ".join(dict.fromkeys(one.key for one in comparison.contests))
            raise ValueError(f"--fail-if {self.text!r}: nothing is compared in {self.key!r}, but in {keys}.")
        allowed = self.margin * abs(first.require(self.key).value) if self.relative else self.margin
        return [
            f"{one.b} is worse than {one.a} in {one.label} by {_worse(one):.5g} (p = {one.p_holm:.2g}), which is more "
            f"than {allowed:.5g}: {self.text}."
            for one in contests
            if _worse(one) > allowed and one.p_holm < self.p
        ]


def require_known(conditions: Iterable[Condition], keys: Collection[str], distances: Collection[str]) -> None:
    """Raise ValueError for a condition in none of these measures; `distances` are those that real pictures are for.

    Before anything is drawn: a word that is no measure's would be told after hours.
    """
    for condition in conditions:
        if condition.key not in (*keys, *distances):
            listed = ", ".join((*keys, *distances))
            raise ValueError(
                f"--fail-if {condition.text!r}: nothing is compared in {condition.key!r}, but in {listed}."
            )


def failures(conditions: Iterable[Condition], comparison: Comparison) -> list[str]:
    """Return what fails, as sentences."""
    return [sentence for condition in conditions for sentence in condition.failed(comparison)]


def _worse(contest: Contest) -> float:
    """Return by how much b is worse than a, below zero where it is better."""
    return contest.found.mean if contest.better == "higher" else -contest.found.mean
