"""Answers of people, as a study or the page's votes have them, and which of them count."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dalle2.judgements.study import CONSENT, WITHDRAWN, Answer, Pair, Study, read_answers, read_study, study_file
from evaluation.comparing.votes import read_rows


@dataclass(frozen=True)
class Judgement:
    """One answer that counts: who won of a and b, or "tie"; `left` is which was at the left, "" where nobody knows."""

    question: str
    a: str
    b: str
    winner: str
    rater: str
    pair: str
    left: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Answers:
    """What counts, what was left out, and the study and number of raters: None for the page's votes."""

    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...]
    study: Study | None
    folder: Path
    raters: int | None

    @property
    def pairs(self) -> dict[str, Pair]:
        """Return the study's pairs by their ids."""
        return {} if self.study is None else {pair.id: pair for pair in self.study.pairs}


def read(place: Path, least_checks: float) -> Answers:
    """Read a study's folder or file, or a CSV of votes; ValueError says what is wrong, or that nothing counts."""
    if not place.exists():
        raise ValueError(f"There is nothing at {place}: name a study's folder, or a CSV of votes.")
    if place.is_dir() or place.suffix == ".json":
        return _of_study(place, least_checks)
    judgements = [
        Judgement(row["question"], row["a"], row["b"], row["winner"], rater="", pair=str(number))
        for number, row in enumerate(read_rows(place))
    ]
    note = "Votes of the page have no raters: each counts as if it were somebody else's, on other pictures."
    return Answers(tuple(judgements), (note,), None, place.parent, None)


def _of_study(place: Path, least_checks: float) -> Answers:
    study, rows = read_study(place), read_answers(place)
    if foreign := sum(row.study != study.hash for row in rows):
        raise ValueError(f"{foreign:,} answers beside {study_file(place)} are to another version of this study.")
    withdrawn = {row.rater for row in rows if row.question == CONSENT and row.winner == WITHDRAWN}
    began = {row.rater for row in rows} - withdrawn
    answered = [row for row in rows if row.question != CONSENT and row.rater not in withdrawn]
    inattentive = _inattentive(answered, least_checks)
    judgements = tuple(_judgement(row) for row in answered if not row.right and row.rater not in inattentive)
    notes = []
    if withdrawn:
        notes.append(f"{len(withdrawn):,} raters took their answers back: they are left out.")
    if inattentive:
        share = f"{least_checks:.0%}"
        notes.append(f"{len(inattentive):,} of {len(began):,} raters had fewer than {share} of checks right: left out.")
    if not study.checks:
        notes.append("The study has no attention checks: nobody knows who did not look.")
    if unfinished := sum(count < _share_of(study) for count in Counter(one.rater for one in judgements).values()):
        notes.append(f"{unfinished:,} raters did not come to the end: what they answered counts.")
    if not judgements:
        raise ValueError(" ".join([f"No answers to {study_file(place)} count yet.", *notes]))
    return Answers(judgements, tuple(notes), study, study_file(place).parent, len({one.rater for one in judgements}))


def _share_of(study: Study) -> int:
    """Return how many answers a rater gives who comes to the end."""
    return min(study.per_rater or len(study.pairs), len(study.pairs)) * len(study.questions)


def _inattentive(rows: Sequence[Answer], least: float) -> set[str]:
    """Return the raters with too small a share of right answers to checks; who saw none yet counts."""
    right: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row.right:
            right[row.rater].append(row.winner == row.right)
    return {rater for rater, found in right.items() if sum(found) < least * len(found)}


def _judgement(row: Answer) -> Judgement:
    return Judgement(row.question, row.a, row.b, row.winner, row.rater, row.pair, row.left, float(row.seconds))
