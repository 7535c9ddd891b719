"""What an endpoint answered, or refused, in a file that is only added to: a line each, kept as soon as it is known."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation.networks.vqa_endpoint import Reply

VERSION = 2  # of what is asked beside the prompt, and of how answers are kept: answers to another one are other answers


@dataclass(frozen=True)
class Question:
    """A picture, what the model is told to answer about it, the right answer, and by what the answer is kept.

    `text` is the question, `prompt` all that is sent; `skill` is what it asks for, where the list says it.
    """

    picture: Path
    text: str
    prompt: str
    expected: str
    picture_sha256: str
    key: str
    skill: str = ""


class Answers:
    """Answers and refusals by picture, question and model; threads may add at once.

    ValueError for a file of somebody else's. Half a line, which a kill left, is cut off.
    """

    def __init__(self, file: Path) -> None:
        self.file, self._found, self._refused = file, dict[str, Reply](), dict[str, str]()
        self._lock = threading.Lock()
        data = file.read_bytes() if file.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}, line {number} is no answer of ours: name another file.") from error
        if whole != data:
            os.truncate(file, len(whole))

    def get(self, question: Question) -> Reply | None:
        """Return what was answered; None where nobody answered."""
        return self._found.get(question.key)

    def refusal(self, question: Question) -> str | None:
        """Return why the endpoint refused the question; None where it did not."""
        return self._refused.get(question.key)

    def add(self, question: Question, model: str, reply: Reply) -> None:
        """Keep an answer, before it is counted."""
        self._add(question, model, {"answer": reply.text, "likely": reply.likely})

    def refuse(self, question: Question, model: str, why: str) -> None:
        """Keep that the endpoint refused a question, so that it is not asked again."""
        self._add(question, model, {"refused": why})

    def _add(self, question: Question, model: str, said: Mapping[str, object]) -> None:
        row: dict[str, object] = {"key": question.key, "picture_sha256": question.picture_sha256}
        row |= {
            "picture": question.picture.name,
            "question": question.text,
            "prompt": question.prompt,
            "model": model,
            "version": VERSION,
        }
        row |= {**said, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        data = (json.dumps(row, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        with self._lock:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            before = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, data) != len(data):  # a disk that is nearly full takes a part
                    raise OSError(f"{self.file} could not be written to its end.")
            except OSError:
                os.ftruncate(descriptor, before)
                raise
            finally:
                os.close(descriptor)
            self._take(row)

    def _take(self, row: Any) -> None:
        if "refused" in row:
            self._refused[str(row["key"])] = str(row["refused"])
        else:
            self._found[str(row["key"])] = Reply(row["answer"], row["likely"])
