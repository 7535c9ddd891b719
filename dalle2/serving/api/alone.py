"""The API as a server of its own."""

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from dalle2.serving.api.keys import Keys
from dalle2.serving.api.problems import problem_of
from dalle2.serving.api.routes import api
from dalle2.serving.service import Service

if TYPE_CHECKING:
    from dalle2.serving.api.shared import Shared, SharedKeys

ROBOTS = "User-agent: *\nDisallow: /\n"


def alone(
    service: Service,
    keys: "Keys | SharedKeys | None" = None,
    public: bool = False,
    log_prompts: bool = False,
    shared: "Shared | None" = None,
) -> Starlette:
    """Return the API as the whole application; its arguments are as of `api`."""
    return beside(service, api(service, keys, public, log_prompts, shared=shared))


def beside(service: Service, app: ASGIApp) -> Starlette:
    """Return the API's app at /v1, and beside it what load balancers and crawlers ask for."""
    routes = [
        Mount("/v1", app),
        Route("/health", partial(_health, service)),
        Route("/robots.txt", _robots),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


async def _health(service: Service, _: Request) -> Response:
    return JSONResponse({"status": "ok", "waiting": len(service.queue.tickets), **service.safety.counts})


async def _robots(_: Request) -> Response:
    return PlainTextResponse(ROBOTS)


async def _refuse(_: Request, error: Exception) -> Response:
    return problem_of(error).response()
