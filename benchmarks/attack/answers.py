"""What was answered to an attack, and whether it tells more of the server than it should."""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Answer:
    """One request: how it ended, such as "200" or "left", after how many seconds, and what was wrong with it, or ""."""

    outcome: str
    seconds: float
    fault: str = ""


@dataclass(frozen=True)
class Attack:
    """All requests of one kind, and the server's memory before and after them, in megabytes (nan where unseen)."""

    name: str
    answers: Sequence[Answer]
    memory: tuple[float, float] = (float("nan"), float("nan"))

    def outcomes(self) -> Counter[str]:
        """Return how many ended in each way."""
        return Counter(answer.outcome for answer in self.answers)

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


def judged(status: int, text: str, kind: str, seconds: float, allowed: Sequence[int]) -> Answer:
    """Return an answer of the API with what is wrong with it: its status, its shape, or what it tells."""
    fault = leaks(text)
    if status not in allowed:
        fault = fault or f"Status {status} was not to be expected: {text[:200]}"
    elif status >= 400 and not (kind.startswith("application/json") and '"error"' in text and '"message"' in text):
        fault = fault or f"An error of another shape than OpenAI's: {text[:200]}"
    return Answer(str(status), seconds, fault)
