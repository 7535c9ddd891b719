"""Questions about pictures, put to an OpenAI-compatible endpoint (`/chat/completions`)."""

import base64
import http.client
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ATTEMPTS = 3
WAIT, LONGEST_WAIT = 2.0, 60.0  # seconds before another attempt: the first one, and the most that a server may ask for
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
TOKENS, ALTERNATIVES = 16, 5
INSTRUCTION = "Answer with one word or one number, nothing else."
VERSION = 1  # of instruction and settings: answers to another one are other answers


class Unanswered(Exception):
    """The endpoint was too slow, too busy or not to be reached, also when asked again."""


@dataclass(frozen=True)
class Reply:
    """What was answered, and how likely the first word and its alternatives were, where the endpoint tells."""

    text: str
    likely: Mapping[str, float] | None = None


@dataclass
class Endpoint:
    """An endpoint and a model; `key` goes to nobody else and into no report. Threads may ask at once."""

    url: str
    model: str
    key: str = ""
    timeout: float = 60.0
    wait: float = WAIT
    tells_likely: bool = True  # until it refuses to

    def ask(self, picture: bytes, question: str) -> Reply:
        """Return what is answered about a PNG; Unanswered after several attempts.

        ValueError for an endpoint that refuses the question, or whose answers are not of this API.
        """
        fault = "it tells no probabilities"
        for attempt in range(ATTEMPTS):
            likely = self.tells_likely
            try:
                return _reply(self._post(_asked(self.model, picture, question, likely)), self.url)
            except urllib.error.HTTPError as error:
                said = _said(error)
                if error.code == 400 and likely and "logprob" in said.lower():
                    self.tells_likely = False
                    continue
                if error.code not in BUSY:
                    raise ValueError(f"{self.url} refuses the question ({error.code}): {said}") from error
                fault, wait = f"{error.code}: {said}", _retry_after(error)
            except (OSError, http.client.HTTPException) as error:  # not reached, cut off, too slow
                fault, wait = str(getattr(error, "reason", error)), None
            if attempt < ATTEMPTS - 1:
                time.sleep(self.wait * 2**attempt if wait is None else wait)
        raise Unanswered(fault)

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{self.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with _STAYS.open(request, timeout=self.timeout) as answer:
            data = answer.read()
        try:
            return json.loads(data)
        except ValueError as error:
            raise ValueError(f"{self.url} does not answer as OpenAI's API does: {_shown(data)}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """To another address the key and the pictures are not sent: the status is an error, as any that is not 200."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


_STAYS = urllib.request.build_opener(_NoRedirect)


def key_of(variable: str) -> str:
    """Return the endpoint's key, "" where there is none."""
    return os.environ.get(variable, "").strip()


def _asked(model: str, picture: bytes, question: str, likely: bool) -> dict[str, Any]:
    data = base64.b64encode(picture).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": f"{question} {INSTRUCTION}"},
    ]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": TOKENS}
    return body | ({"logprobs": True, "top_logprobs": ALTERNATIVES} if likely else {})


def _reply(answer: Any, url: str) -> Reply:
    """Return what a completion says; ValueError for what is none."""
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"] or ""
        first = ((choice.get("logprobs") or {}).get("content") or [None])[0]
        likely = None
        if first is not None:
            likely = {}
            for one in first.get("top_logprobs") or [first]:
                likely[one["token"]] = likely.get(one["token"], 0.0) + math.exp(one["logprob"])
        if not isinstance(text, str):
            raise TypeError("the content is no text")
        return Reply(text, likely)
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        shown = _shown(json.dumps(answer).encode())
        raise ValueError(f"{url} does not answer as OpenAI's API does: {shown}") from error


def _said(error: urllib.error.HTTPError) -> str:
    """Return what a refusal says, in short."""
    data = error.read(10_000)
    try:
        found = json.loads(data)["error"]
        return str(found["message"] if isinstance(found, dict) else found)[:300]
    except (ValueError, KeyError, TypeError):
        return _shown(data) or str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds that a busy server asks to wait for."""
    asked = error.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT) if asked.replace(".", "", 1).isdigit() else None


def _shown(data: bytes) -> str:
    return " ".join(data[:200].decode(errors="replace").split())
