"""A study: fixed pairs of pictures, the questions that are asked of each, and the answers, a row each.

A folder holds `study.json`, the pictures it names, and `answers.csv` as soon as somebody has answered.
"""

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal, Self

import pydantic

FILE, ANSWERS = "study.json", "answers.csv"
CONSENT, AGREED, WITHDRAWN = "consent", "agreed", "withdrawn"  # a question and its answers, beside those of pairs
Winner = Literal["a", "b", "tie"]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Side(_Strict):
    """A picture of a pair: what drew it, which raters are not told, and its file beside the study's."""

    name: str = pydantic.Field(min_length=1)
    picture: str = pydantic.Field(min_length=1)


class Pair(_Strict):
    """Two pictures of a prompt; `right` is the answer to every question where the pair is an attention check."""

    id: str = pydantic.Field(min_length=1)
    prompt: str
    a: Side
    b: Side
    right: Literal["a", "b"] | None = None


class Question(_Strict):
    """What is asked of every pair: `key` names it in the answers, `en` and `zh` are what raters read."""

    key: str = pydantic.Field(min_length=1)
    en: str = pydantic.Field(min_length=1)
    zh: str = ""


class Study(_Strict):
    """All that is asked, of how many people.

    Attributes:
        words: what raters read before they begin. consent: what they agree to; without it nothing is asked or kept.
        ties: whether "the same" is an answer.
        pairs: what is compared. checks: pairs whose answer is known, mixed among them.
        per_rater: pairs of each rater, None for all; every pair then comes to about as many raters.
        raters: how many may take part, None for any number.
        completion: what raters are told at the end, such as a code that their pay depends on.
    """

    version: Literal[1] = 1
    title: str = pydantic.Field(min_length=1)
    words: str = ""
    consent: str = pydantic.Field(min_length=1)
    questions: tuple[Question, ...] = pydantic.Field(min_length=1)
    ties: bool = True
    pairs: tuple[Pair, ...] = pydantic.Field(min_length=1)
    checks: tuple[Pair, ...] = ()
    per_rater: int | None = pydantic.Field(default=None, ge=1)
    raters: int | None = pydantic.Field(default=None, ge=1)
    completion: str = ""

    @pydantic.model_validator(mode="after")
    def _require_sense(self) -> Self:
        ids = [pair.id for pair in (*self.pairs, *self.checks)]
        keys = [question.key for question in self.questions]
        for named, what in ((ids, "pairs"), (keys, "questions")):
            if len(set(named)) < len(named):
                raise ValueError(f"two {what} have the same name")
        if CONSENT in keys:
            raise ValueError(f"a question cannot be named {CONSENT!r}")
        if any(pair.right is not None for pair in self.pairs) or any(pair.right is None for pair in self.checks):
            raise ValueError("checks have a right answer, and pairs have none")
        if any(pair.a.name == pair.b.name for pair in self.pairs):
            raise ValueError("both pictures of a pair are of the same name")
        return self

    @property
    def hash(self) -> str:
        """Return what answers are kept by: they belong to these very questions and pairs, in this order."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Answer:
    """A row of `answers.csv`.

    Attributes:
        time: when it came, in UTC. study: the study's hash.
        rater: who answered, by a name that tells nobody who that is.
        pair: the pair's id; "" where the question is that of consent.
        a, b: what drew the two pictures; left: which of them was shown at the left, "a" or "b".
        winner: "a", "b" or "tie"; of consent "agreed" or "withdrawn". right: the known answer of a check, else "".
        seconds: from when both pictures were to be seen.
    """

    time: str
    study: str
    rater: str
    pair: str
    question: str
    a: str
    b: str
    left: str
    winner: str
    right: str
    seconds: str


COLUMNS = tuple(field.name for field in fields(Answer))


def study_file(place: Path) -> Path:
    """Return the study's file, which may be named by its folder."""
    return place / FILE if place.is_dir() else place


def read_study(place: Path) -> Study:
    """Return the study of a file or a folder; ValueError says what is wrong with it, pictures that are missing too."""
    file = study_file(place)
    if not file.is_file():
        raise ValueError(f"There is no study at {file}: make one with python -m evaluation.study.")
    try:
        study = Study.model_validate_json(file.read_bytes())
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{file} is not a study{f' ({where})' if where else ''}: {first['msg']}.") from error
    for pair in (*study.pairs, *study.checks):
        for side in (pair.a, pair.b):
            if not (file.parent / side.picture).is_file():
                raise ValueError(f"{file} names the picture {side.picture}, which is not there.")
    return study


def read_answers(place: Path) -> list[Answer]:
    """Return all rows of a study's answers, [] before the first; ValueError, with the line, for what is none."""
    file = study_file(place).with_name(ANSWERS)
    if not file.is_file():
        return []
    data = file.read_bytes()
    try:
        text = data[: whole(data)].decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} holds no answers of a study: it is no text in UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""))  # a quoted value may hold line breaks
    if tuple(next(reader, COLUMNS)) != COLUMNS:
        raise ValueError(f"{file} holds no answers of a study: its columns must be {', '.join(COLUMNS)}.")
    found = []
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if len(row) != len(COLUMNS):
            raise ValueError(f"{where} holds no answer of a study: its columns must be {', '.join(COLUMNS)}.")
        found.append(_checked(Answer(*row), where))
    return found


def whole(data: bytes) -> int:
    """Return where the last whole row of a CSV ends: of what comes after it, a power cut has taken the rest.

    A line break ends a row where as many quotes are open as closed.
    """
    end = data.rfind(b"\n") + 1
    while data.count(b'"', 0, end) % 2:
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def _checked(answer: Answer, where: str) -> Answer:
    """Return an answer that can be counted; ValueError for another."""
    winners = {AGREED, WITHDRAWN} if answer.question == CONSENT else {"a", "b", "tie"}
    sides = {"a", "b", ""}
    for name, allowed in (("winner", winners), ("left", sides), ("right", sides)):
        if getattr(answer, name) not in allowed:
            raise ValueError(f"{where}: {name} is {getattr(answer, name)!r}, which is no answer of a study.")
    if answer.question != CONSENT:
        try:
            told = math.isfinite(float(answer.seconds))
        except ValueError:
            told = False
        if not told:
            raise ValueError(f"{where}: seconds is {answer.seconds!r}, which is no answer of a study.")
    return answer


def as_rows(answers: Sequence[Answer], header: bool) -> str:
    """Return answers as they stand in the file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(map(astuple, answers))
    return text.getvalue()
