"""Errors as OpenAI's clients know them: a status, and {"error": {"message", "type", "param", "code"}}."""

import logging
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from dalle2.serving.refusal import Busy, Fault, Forbidden, NoMemory, Refusal, Unwritable
from dalle2.understanding.sentences import NotUnderstood

log = logging.getLogger(__name__)

# A client that is told to wait for longer gives up at once (openai 3.57).
MOST_RETRY_SECONDS = 120
CODES = {401: "invalid_api_key", 413: "request_too_large", 429: "rate_limit_exceeded"}
SAID = {
    404: "There is no such address: the images API is at /v1/images/generations, /v1/images/edits and so on, and "
    "/v1/openapi.json lists it all.",
    405: "This address takes another method: /v1/openapi.json says which.",
}


class Problem(Exception):
    """An answer that is an error.

    `param` is the field that is wrong, `code` what programs know the error by, `retry_after` the seconds until it is
    worth asking again, `more` what else stands beside the message, and `headers` what else before it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.code = code or CODES.get(status)
        self.retry_after, self.more, self.headers = retry_after, more or {}, headers or {}

    @property
    def type(self) -> str:
        """OpenAI's kind of error."""
        if self.status >= 500:
            return "server_error"
        return "requests" if self.status == 429 else "invalid_request_error"

    def body(self) -> dict[str, Any]:
        """Return the answer's JSON."""
        shape = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": {**shape, **self.more}}

    def response(self) -> JSONResponse:
        """Return the answer."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(min(max(math.ceil(self.retry_after), 1), MOST_RETRY_SECONDS))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.code == "out_of_memory":  # the same again would fail again
            headers["x-should-retry"] = "false"
        return JSONResponse(self.body(), self.status, headers)


@contextmanager
def about(param: str) -> Generator[None]:
    """Let what the block refuses be a problem with this field."""
    try:
        yield
    except Refusal as error:
        found = problem_of(error)
        found.param = found.param or param
        raise found from error


def problem_of(error: Exception) -> Problem:
    """Return any error as an answer; what is a fault of ours goes to the log, and not to the client."""
    match error:
        case Problem():
            return error
        case NotUnderstood(understanding=found):
            nearest = [near.label for near in found.nearest]
            return Problem(400, str(error), param="prompt", code="prompt_not_understood", more={"nearest": nearest})
        case RequestValidationError():
            return _invalid(error.errors())
        case HTTPException(status_code=400, __cause__=OSError()):  # a form's larger files lie on the disk meanwhile
            log.error("A request's body could not be kept", exc_info=error.__cause__)
            return Problem(503, "The server cannot keep what was sent, and its log says why: please try again later.")
        case HTTPException(status_code=400):  # a form's parser
            return Problem(400, f"The body cannot be read: {str(error.detail).rstrip('.')}.")
        case HTTPException():
            sentence = SAID.get(error.status_code, str(error.detail).rstrip(".") + ".")
            return Problem(
                error.status_code, sentence, headers=error.headers
            )  # as Allow, of the methods that there are
        case Refusal():
            return _refused(error)
        case _:
            log.error("A request to the API failed", exc_info=error)
            return Problem(500, "Something went wrong here, and the server's log says what: please try again.")


def _refused(error: Refusal) -> Problem:
    """Return what the service refuses as an answer, by its kind."""
    match error:
        case Busy():
            return Problem(429, str(error), retry_after=error.seconds)
        case Forbidden():
            return Problem(400, str(error), code="content_policy_violation")
        case NoMemory():
            return Problem(503, str(error), code="out_of_memory")
        case Unwritable():
            return Problem(503, str(error))
        case Fault():
            return Problem(500, str(error))
    return Problem(400, str(error))


def _invalid(errors: Sequence[Any]) -> Problem:
    """Return what pydantic found first, as a sentence with the field's name."""
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "path", "query")]
    param = place[0] if place and not place[0].isdigit() else None
    if first["type"] == "json_invalid":
        return Problem(400, f"The body is not JSON ({first.get('ctx', {}).get('error', 'it cannot be read')}).")
    if first["type"] in ("model_attributes_type", "dict_type") and param is None:
        return Problem(400, "The body must be a JSON table: send the header Content-Type: application/json with it.")
    if first["type"] == "missing":
        sentence = f"The field {param} is missing." if param else "The body is empty: send a JSON table or a form."
        return Problem(400, sentence, param=param, code="missing_required_parameter")
    if "UploadFile" in first["msg"]:
        return Problem(400, f"{param} must be a picture's file, not text.", param=param)
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] != "value_error":
        said = f"{'.'.join(place) or 'The body'} cannot be used: {said[:1].lower()}{said[1:]}."
    return Problem(400, said, param=param)
