"""Who is asked what, and what they answered: each rater's pairs in an order and with sides of their own.

All of it follows from the study, the rater's name and how many began before, so whoever comes back goes on where they
were, whatever happened to the server in between.
"""

import os
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dalle2.judgements.study import (
    AGREED,
    ANSWERS,
    CONSENT,
    WITHDRAWN,
    Answer,
    Pair,
    Study,
    Winner,
    as_rows,
    read_answers,
    study_file,
    whole,
)

LONGEST = 86_400.0  # seconds; a browser may tell anything
SIDES = ("left", "right")


@dataclass(frozen=True)
class Shown:
    """A pair as a rater sees it: which of the two is at the left, "a" or "b"."""

    pair: Pair
    left: str

    def picture(self, side: str) -> str:
        """Return the file at the "left" or the "right", beside the study's."""
        return (self.pair.a if (side == "left") == (self.left == "a") else self.pair.b).picture

    def winner(self, said: str) -> Winner:
        """Return who won, of "left", "right" or "tie"."""
        if said == "tie":
            return "tie"
        return "a" if (said == "left") == (self.left == "a") else "b"


@dataclass
class Rater:
    """Who agreed: the pairs they are asked, how many they answered, whether they took all of it back."""

    shown: list[Shown]
    answered: set[str] = field(default_factory=set)
    withdrawn: bool = False

    @property
    def next(self) -> int | None:
        """Return the position of the first pair without an answer; None at the end."""
        return next((place for place, one in enumerate(self.shown) if one.pair.id not in self.answered), None)


def plan(study: Study, rater: str, number: int) -> list[Shown]:
    """Return what the rater who began as the `number`th (from 0) is asked, in order.

    With `per_rater`, raters take the pairs in turn, so that each pair is asked about equally often. Checks lie between
    them, never first, and each picture of a pair is as often at the left as at the right.
    """
    order = list(study.pairs)
    random.Random(study.hash).shuffle(order)
    count = min(study.per_rater or len(order), len(order))
    mine = [order[(number * count + place) % len(order)] for place in range(count)]
    draw = random.Random(f"{study.hash} {rater}")
    draw.shuffle(mine)
    for place, check in zip(
        _between(count, len(study.checks)), draw.sample(study.checks, len(study.checks)), strict=True
    ):
        mine.insert(place, check)
    sides = ["a", "b"] * len(mine)
    sides = draw.sample(sides[: len(mine)], len(mine))
    return [Shown(pair, left) for pair, left in zip(mine, sides, strict=True)]


def _between(count: int, checks: int) -> list[int]:
    """Return where so many checks go, evenly among `count` pairs; the last one first, so that none moves another."""
    return [1 + (count - 1) * place // max(1, checks) for place in reversed(range(checks))] if count else [0] * checks


class Answers:
    """The answers of a study beside its file; threads of one server may call.

    ValueError for a file of another study, OSError where it cannot be written.
    """

    def __init__(self, place: Path, study: Study) -> None:
        self.study, self.file = study, study_file(place).with_name(ANSWERS)
        self._raters: dict[str, Rater] = {}
        self._lock = threading.Lock()
        self._mend()
        for row in read_answers(place):
            if row.study != study.hash:
                raise ValueError(
                    f"{self.file} holds answers to another version of this study: move it away, or undo the change."
                )
            self._take(row)
        with self.file.open("a", encoding="utf-8"):
            pass  # said now, and not to the first rater

    def rater(self, name: str) -> Rater | None:
        """Return who agreed under this name; None for a stranger."""
        return self._raters.get(name)

    @property
    def full(self) -> bool:
        """Whether as many agreed as the study has room for."""
        taking_part = sum(not rater.withdrawn for rater in self._raters.values())
        return self.study.raters is not None and taking_part >= self.study.raters

    def agree(self, name: str) -> bool:
        """Keep a rater's consent; False where there is no room any more."""
        with self._lock:
            if name not in self._raters:
                if self.full:
                    return False
                self._write([self._row(name, winner=AGREED)])
            return True

    def withdraw(self, name: str) -> None:
        """Keep that a rater takes everything back; the report leaves their answers out."""
        with self._lock:
            rater = self._raters.get(name)
            if rater is not None and not rater.withdrawn:
                self._write([self._row(name, winner=WITHDRAWN)])

    def add(self, name: str, place: int, said: Mapping[str, str], seconds: float) -> bool:
        """Keep the answers to the pair at this place, by question, each "left", "right" or "tie".

        False for anything but a whole answer to the pair that this rater is at: one that came twice, or late.
        """
        with self._lock:
            rater = self._raters.get(name)
            if rater is None or rater.withdrawn or place != rater.next or not self._whole(said):
                return False
            shown = rater.shown[place]
            told = f"{min(max(seconds, 0.0), LONGEST):.2f}"
            self._write([self._row(name, shown, question, shown.winner(one), told) for question, one in said.items()])
            return True

    def _whole(self, said: Mapping[str, str]) -> bool:
        allowed = {*SIDES, "tie"} if self.study.ties else set(SIDES)
        return set(said) == {question.key for question in self.study.questions} and set(said.values()) <= allowed

    def _row(
        self, rater: str, shown: Shown | None = None, question: str = CONSENT, winner: str = "", seconds: str = ""
    ) -> Answer:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        if shown is None:
            return Answer(time, self.study.hash, rater, "", question, "", "", "", winner, "", seconds)
        pair = shown.pair
        sides = (pair.id, question, pair.a.name, pair.b.name, shown.left)
        return Answer(time, self.study.hash, rater, *sides, winner, pair.right or "", seconds)

    def _write(self, rows: list[Answer]) -> None:
        """Append the rows in one piece, and have the disk hold them before anybody is thanked."""
        text = as_rows(rows, header=not self.file.exists() or self.file.stat().st_size == 0)
        descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        before = os.fstat(descriptor).st_size
        try:
            data = text.encode()
            if os.write(descriptor, data) != len(data):  # a disk that is nearly full takes a part
                raise OSError(f"{self.file} could not be written to its end.")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
        finally:
            os.close(descriptor)
        for row in rows:
            self._take(row)

    def _take(self, row: Answer) -> None:
        if row.question != CONSENT:
            self._raters[row.rater].answered.add(row.pair)
        elif row.winner == WITHDRAWN:
            self._raters[row.rater].withdrawn = True
        else:
            self._raters[row.rater] = Rater(plan(self.study, row.rater, len(self._raters)))

    def _mend(self) -> None:
        """Cut off what a power cut left of a last row."""
        if self.file.is_file() and (end := whole(data := self.file.read_bytes())) < len(data):
            os.truncate(self.file, end)
