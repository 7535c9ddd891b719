"""What was answered to an attack, and whether it tells more of the server than it should, or is of another shape."""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from dalle2.serving.api.problems import MOST_RETRY_SECONDS
from dalle2.serving.api.replies import Completed, Errored, PartialImage

ROOT = Path(__file__).parents[2]
# What no client may read: Python's traces, and where the server's files are.
SECRETS = (
    "Traceback (most recent",
    'File "/',
    "site-packages",
    str(ROOT),
    sys.prefix,
    str(Path.home()) + "/",
    tempfile.gettempdir() + "/",
)
STREAM = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """One request: how it ended, such as "200" or "left", after how many seconds, and what was wrong with it, or "".

    `error` is the kind of an error, as its code or type, and the field that it is about.
    """

    outcome: str
    seconds: float
    fault: str = ""
    error: str = ""


@dataclass(frozen=True)
class Attack:
    """All requests of one kind, and the server's memory before and after them, in megabytes (nan where unseen).

    It may have grown by the `kept` megabytes of pictures that lie at addresses for an hour.
    """

    name: str
    answers: Sequence[Answer]
    memory: tuple[float, float] = (float("nan"), float("nan"))
    kept: float = 0.0

    def outcomes(self) -> Counter[str]:
        """Return how many ended in each way."""
        return Counter(answer.outcome for answer in self.answers)

    def errors(self) -> Counter[str]:
        """Return how many errors there were of each kind, as "400 invalid_request_error n"."""
        return Counter(f"{answer.outcome} {answer.error}" for answer in self.answers if answer.error)

    def faults(self) -> Counter[str]:
        """Return what was wrong, and how often."""
        return Counter(answer.fault for answer in self.answers if answer.fault)

    def seconds(self, share: float) -> float:
        """Return the seconds within which this share of the requests was answered; nan of none."""
        ordered = sorted(answer.seconds for answer in self.answers)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def leaks(text: str) -> str:
    """Return what the text tells of the server, as a sentence; "" for nothing."""
    found = next((secret for secret in SECRETS if secret in text), "")
    if not found:
        return ""
    place = text.index(found)
    return f"A client reads of the server: {text[max(place - 60, 0) : place + 80]!r}"


def judged(
    answer: httpx.Response, seconds: float, allowed: Sequence[int], reply: type[BaseModel] | None = None
) -> Answer:
    """Return an answer of the API with what is wrong with it: what it tells, its status, or its shape.

    `reply` is the shape of what is answered with 200, None where any is right; a stream's events have their own.
    """
    error, wrong = "", ""
    if answer.status_code >= 400:
        error, wrong = _error(answer)
    elif answer.headers.get("content-type", "").startswith(STREAM):
        error, wrong = _stream(answer.text)
    elif reply is not None:
        wrong = _unlike(reply, answer.content)
    fault = leaks(answer.text) or leaks(str(answer.headers))
    if answer.status_code not in allowed:
        fault = fault or f"Status {answer.status_code} was not to be expected: {answer.text[:200]}"
    return Answer(str(answer.status_code), seconds, fault or wrong, error)


def events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream."""
    for line in text.splitlines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _error(answer: httpx.Response) -> tuple[str, str]:
    """Return the error's kind, and what is wrong with its shape."""
    try:
        said = Errored.model_validate_json(answer.content).error
    except ValidationError:
        return "of another shape", f"An error of another shape than OpenAI's: {answer.text[:200]}"
    kind = " ".join(filter(None, (said.code or said.type, said.param)))
    if not said.message.rstrip("”\"'").endswith((".", "…", "?")):
        return kind, f"An error that is no sentence: {said.message[:200]}"
    retry_after = answer.headers.get("retry-after", "")
    if answer.status_code == 429 and not (retry_after.isdigit() and 1 <= int(retry_after) <= MOST_RETRY_SECONDS):
        return kind, f"Retry-After is {retry_after!r}, and not 1 to {MOST_RETRY_SECONDS}."
    return kind, ""


def _stream(text: str) -> tuple[str, str]:
    """Return the kind of the error that ends a whole stream, if one does, and what is wrong with its shape."""
    found = list(events(text))
    if not found or not text.endswith("\n\n"):
        return "", f"A stream that ends early: {text[-200:]}"
    if "error" in found[-1]:
        said = found[-1]["error"]
        return " ".join(filter(None, (said.get("code") or said.get("type"), said.get("param")))), ""
    shapes = [Completed if str(event.get("type")).endswith(".completed") else PartialImage for event in found]
    wrong = (_unlike(shape, json.dumps(event).encode()) for shape, event in zip(shapes, found, strict=True))
    late = "" if shapes[-1] is Completed else "A stream without a picture at its end."
    return "", next(filter(None, wrong), late)


def _unlike(reply: type[BaseModel], content: bytes) -> str:
    try:
        reply.model_validate_json(content)
    except ValidationError as error:
        return f"An answer that is no {reply.__name__}: {str(error)[:200]}"
    return ""
