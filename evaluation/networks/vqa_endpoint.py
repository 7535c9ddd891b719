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
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from evaluation.reporting.command_line import hidden

ATTEMPTS = 3
WAIT, LONGEST_WAIT = 2.0, 60.0  # seconds before another attempt: the first one, and the most that a server may ask for
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
OF_THE_QUESTION = (400, 413, 415, 422, 451)  # of one picture or question, as a filter of contents or a limit of bytes
TOKENS = 16
ALTERNATIVES = (20, 5, 0)  # to the first token of an answer, with their probabilities: as many as an endpoint allows


class NoAnswer(Exception):
    """The endpoint was too slow, too busy, not to be reached, or answered nonsense, also when asked again."""


class QuestionRefused(Exception):
    """The endpoint does not take this question or picture, however often it is asked."""


class _Nonsense(Exception):
    """What came is no answer of this API."""


@dataclass(frozen=True)
class Reply:
    """What was answered, and how likely the first token and its alternatives were, where the endpoint tells."""

    text: str
    likely: Mapping[str, float] | None = None


@dataclass
class Endpoint:
    """An endpoint and a model; `key` goes to nobody else and into no report. Threads may ask at once.

    A user and a password in the URL are sent as HTTP's basic authorization, and told to nobody either.
    """

    url: str
    model: str
    key: str = ""
    timeout: float = 60.0
    wait: float = WAIT
    alternatives: int = field(default=ALTERNATIVES[0], init=False)  # fewer where the endpoint refuses

    @property
    def shown(self) -> str:
        """Return the URL as it may be told."""
        return hidden(self.url)

    def ask(self, picture: bytes, prompt: str) -> Reply:
        """Return what is answered about a PNG.

        Raises:
            Unanswered: there was no answer after several attempts.
            Refused: this question or picture is refused.
            ValueError: the endpoint refuses whatever it is asked, as for a wrong key or model.
        """
        fault, attempt = "", 0
        while attempt < ATTEMPTS:
            alternatives, wait = self.alternatives, None
            try:
                return _reply(self._post(_body(self.model, picture, prompt, alternatives)))
            except urllib.error.HTTPError as error:
                reason = _reason(error)
                if error.code in (400, 422) and alternatives and "logprob" in reason.lower():
                    self.alternatives = min(
                        self.alternatives, max(fewer for fewer in ALTERNATIVES if fewer < alternatives)
                    )
                    continue
                if error.code in OF_THE_QUESTION:
                    raise QuestionRefused(f"{error.code}: {reason}") from error
                if error.code not in BUSY:
                    raise ValueError(f"{self.shown} refuses the question ({error.code}): {reason}") from error
                fault, wait = f"{error.code}: {reason}", _retry_after(error)
            except _Nonsense as error:
                fault = f"it does not answer as OpenAI's API does: {error}"
            except (OSError, http.client.HTTPException) as error:  # not reached, cut off, too slow
                fault = str(getattr(error, "reason", error))
            attempt += 1
            if attempt < ATTEMPTS:
                time.sleep(self.wait * 2 ** (attempt - 1) if wait is None else wait)
        raise NoAnswer(fault)

    def _post(self, body: Mapping[str, Any]) -> Any:
        address, headers = _address(self.url)
        headers["Content-Type"] = "application/json"
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with _STAYS.open(request, timeout=self.timeout) as answer:
            data = answer.read()
        try:
            return json.loads(data)
        except ValueError as error:
            raise _Nonsense(_shown(data)) from error


def _address(url: str) -> tuple[str, dict[str, str]]:
    """Return where completions are asked for, and the header that says who asks, where the URL says it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit((parts.scheme, host, f"{parts.path.rstrip('/')}/chat/completions", parts.query, ""))
    if parts.username is None:
        return address, {}
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return address, {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """To another address the key and the pictures are not sent: the status is an error, as any that is not 200."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


_STAYS = urllib.request.build_opener(_NoRedirect)


def key_of(variable: str) -> str:
    """Return the endpoint's key, "" where there is none."""
    return os.environ.get(variable, "").strip()


def _body(model: str, picture: bytes, prompt: str, alternatives: int) -> dict[str, Any]:
    data = base64.b64encode(picture).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "text", "text": prompt},
    ]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": TOKENS}
    return body | ({"logprobs": True, "top_logprobs": alternatives} if alternatives else {})


def _reply(answer: Any) -> Reply:
    """Return what a completion says; _Nonsense for what is none."""
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"] or ""
        first = ((choice.get("logprobs") or {}).get("content") or [None])[0]
        likely = None
        if first is not None:
            likely = {}
            for one in first.get("top_logprobs") or [first]:
                share = math.exp(one["logprob"])
                if not share <= 1.001:  # also what is no number
                    raise ValueError("no probability")
                likely[one["token"]] = likely.get(one["token"], 0.0) + share
        if not isinstance(text, str):
            raise TypeError("the content is no text")
        return Reply(text, likely)
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise _Nonsense(_shown(json.dumps(answer).encode())) from error


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what a refusal says, in short."""
    data = error.read(10_000)
    try:
        found = json.loads(data)["error"]
        return str(found["message"] if isinstance(found, dict) else found)[:300]
    except (ValueError, KeyError, TypeError):
        return _shown(data) or str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds that a busy server asks to wait for."""
    alternatives = error.headers.get("Retry-After", "")
    return min(float(alternatives), LONGEST_WAIT) if alternatives.replace(".", "", 1).isdigit() else None


def _shown(data: bytes) -> str:
    return " ".join(data[:200].decode(errors="replace").split())
