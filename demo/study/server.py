"""The study's page and what it asks of the server. A rater is told no name, and gets no file's name or record."""

import contextlib
import io
import re
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import uvicorn
from fastapi import Body, Cookie, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, Response
from PIL import Image
from starlette.requests import Request

from dalle2.judgements.study import Study, read_study, study_file
from dalle2.serving.api.connections import uvicorn_options
from demo.study.answers import Answers

PAGE = Path(__file__).with_name("page.html")
PORT = 7860
COOKIE, DAYS = "rater", 90
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAMED_BY = ("rater", "PROLIFIC_PID", "workerId")  # what links carry that places of paid raters hand out
HEADERS = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}

Rater = Annotated[str, Cookie(alias=COOKIE)]


class AnswerForm(pydantic.BaseModel):
    """An answer: the pair's place, what is said to each question, and how long it took."""

    place: int
    said: dict[str, Literal["left", "right", "tie"]]
    seconds: float = pydantic.Field(allow_inf_nan=False)


def serve(place: Path, host: str | None = None, port: int | None = None, *, proxies: Sequence[str] = ()) -> None:
    """Ask the study's questions until interrupted; ValueError or OSError for a study that cannot be asked.

    These `proxies` are believed when they say for whom they ask.
    """
    study = read_study(place)
    answers = Answers(place, study)
    host = host or "127.0.0.1"
    port = port or _first_free(host)
    asked = f"{len(study.pairs):,} pairs, {len(study.checks):,} checks"
    print(f"{study.title} ({asked}): open http://{host}:{port} in your browser; Ctrl-C ends the page.", flush=True)
    print(f"Answers are kept in {answers.file}; python -m evaluation.votes {place} tells them.", file=sys.stderr)
    app, limits = build(place, study, answers), uvicorn_options(proxies)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, **limits)


def build(place: Path, study: Study, answers: Answers) -> FastAPI:
    """Return the application: `/`, `/task`, `/agree`, `/answer`, `/withdraw` and `/picture/PLACE/SIDE`."""
    app = FastAPI(title=study.title, docs_url=None, redoc_url=None, openapi_url=None)
    folder = study_file(place).parent

    @app.get("/")
    def page(request: Request, rater: Rater = "") -> Response:
        found = next((value for key in NAMED_BY if (value := request.query_params.get(key))), None)
        name = found or rater
        if not NAME.fullmatch(name):
            name = secrets.token_hex(8)
        answer = HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, name, DAYS * 86_400, httponly=True, samesite="lax", secure=secure)
        return answer

    @app.get("/task")
    def task(rater: Rater = "") -> Response:
        return _state_of(study, answers, rater)

    @app.post("/agree")
    def agree(rater: Rater = "") -> Response:
        kept = bool(NAME.fullmatch(rater)) and _kept(lambda: answers.agree(rater))
        return _state_of(study, answers, rater, kept)

    @app.post("/answer")
    def answer(given: Annotated[AnswerForm, Body()], rater: Rater = "") -> Response:
        kept = _kept(lambda: answers.add(rater, given.place, given.said, given.seconds))
        return _state_of(study, answers, rater, kept)

    @app.post("/withdraw")
    def withdraw(rater: Rater = "") -> Response:
        return _state_of(study, answers, rater, _kept(lambda: answers.withdraw(rater) is None))

    @app.get("/picture/{place}/{side}")
    def picture(place: int, side: Literal["left", "right"], rater: Rater = "") -> Response:
        asking = answers.rater(rater)
        if asking is None or asking.withdrawn or place != asking.next:
            return Response("There is no such picture.", 404, HEADERS, "text/plain")
        file = io.BytesIO()
        with Image.open(folder / asking.shown[place].picture(side)) as opened:
            opened.convert("RGB").save(file, "PNG")  # without its record
        return Response(file.getvalue(), 200, HEADERS, "image/png")

    return app


def _first_free(host: str) -> int:
    """Return the first port from `PORT` on that nobody listens at."""
    for port in range(PORT, PORT + 100):
        with contextlib.suppress(OSError), socket.create_server((host, port)):
            return port
    raise OSError(f"No port from {PORT} on is free: name one with --port.")


def _kept(write: Callable[[], bool]) -> bool | None:
    """Return whether an answer was taken; None where the disk does not take it, which the server's log explains."""
    try:
        return write()
    except OSError as error:
        print(f"An answer could not be kept: {error}", file=sys.stderr)
        return None


def _state_of(study: Study, answers: Answers, name: str, kept: bool | None = True) -> Response:
    """Return what the page shows next."""
    state: dict[str, Any] = {"title": study.title}
    rater = answers.rater(name)
    if rater is None:
        state |= (
            {"state": "full"} if answers.full else {"state": "consent", "words": study.words, "consent": study.consent}
        )
    elif rater.withdrawn:
        state |= {"state": "withdrawn"}
    elif rater.next is None:
        state |= {"state": "done", "completion": study.completion}
    else:
        questions = [question.model_dump() for question in study.questions]
        state |= {"state": "pair", "place": rater.next, "of": len(rater.shown), "questions": questions}
        state |= {"ties": study.ties, "prompt": rater.shown[rater.next].pair.prompt}
    return JSONResponse({**state, "kept": kept}, 500 if kept is None else 200, HEADERS)
