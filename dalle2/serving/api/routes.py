"""The endpoints: each turns what a client sent into an `Order`, and answers with what the service draws of it."""

import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, FastAPI, Form
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dalle2.serving.api import answers, orders
from dalle2.serving.api.address import address
from dalle2.serving.api.answers import Encoded, encode
from dalle2.serving.api.bodies import pictures, read
from dalle2.serving.api.document import FORM, document
from dalle2.serving.api.gate import Gate
from dalle2.serving.api.keys import Keys
from dalle2.serving.api.links import Links
from dalle2.serving.api.meter import Meter
from dalle2.serving.api.orders import Make, Order
from dalle2.serving.api.previews import Previews
from dalle2.serving.api.problems import Problem, problem_of
from dalle2.serving.api.replies import DRAWN, ERRORS, FILE, Captions, Model, Models
from dalle2.serving.api.reporting import Reports
from dalle2.serving.api.schemas import (
    Captioning,
    Edit,
    Generation,
    ImageRequest,
    Interpolation,
    Mixture,
    Rewording,
    Variation,
)
from dalle2.serving.api.streams import EventStream, Heartbeat, checked, drawings, encode_event, in_thread, while_there
from dalle2.serving.drawing import Drawing
from dalle2.serving.service import Service

if TYPE_CHECKING:
    from dalle2.serving.api.shared import Shared, SharedKeys, SharedLinks

TITLE = "Open DALL·E 2"
DESCRIPTION = (
    "OpenAI's image endpoints on an open unCLIP: generations, edits and variations as its clients call them, and "
    "beside them the paper's other tasks. The pictures' seeds, settings and records ride on every answer."
)
MULTIPART = Form(media_type=FORM)
MODEL_CREATED = int(time.time())

log = logging.getLogger("dalle2.api")


def api(
    service: Service,
    keys: "Keys | SharedKeys | None" = None,
    public: bool = False,
    log_prompts: bool = False,
    near: bool = False,
    shared: "Shared | None" = None,
) -> FastAPI:
    """Return the application to mount at /v1; without `keys` it is open, to this machine or, if `public`, to all.

    With `near` those who ask from this machine need no key. Limits and addresses are `shared` by several servers, or
    this one's own.
    """
    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their methods
    )
    links, meter = (Links(), Meter()) if shared is None else (shared.links, shared.meter)
    app.include_router(Endpoints(service, links, log_prompts).router)
    app.openapi = partial(document, app)
    app.add_middleware(Gate, meter=meter, keys=keys, public=public, near=near)
    for kind in (RequestValidationError, HTTPException, Problem):
        app.add_exception_handler(kind, _refuse)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    return problem_of(error).response()


class Endpoints:
    """The handlers of one service."""

    def __init__(self, service: Service, links: "Links | SharedLinks", log_prompts: bool = False) -> None:
        self.service, self.links, self.log_prompts = service, links, log_prompts
        self.router = router = APIRouter()
        for path, handler in (
            ("/images/generations", self.generations),
            ("/images/edits", self.edits),
            ("/images/variations", self.variations),
            ("/images/interpolations", self.interpolations),
            ("/images/mixes", self.mixes),
            ("/images/text-diffs", self.text_diffs),
        ):
            router.add_api_route(path, handler, methods=["POST"], response_model=None, responses=DRAWN)
        for path, handler, reply in (
            ("/models", self.models, Models),
            ("/models/{model:path}", self.model, Model),
        ):
            router.add_api_route(
                path,
                handler,
                methods=["GET"],
                response_model=reply,
                response_model_exclude_unset=True,
                responses=ERRORS,
            )
        router.add_api_route(
            "/images/captions", self.captions, methods=["POST"], response_model=Captions, responses=ERRORS
        )
        router.add_api_route(
            "/images/files/{name}", self.file, methods=["GET"], response_class=Response, responses=FILE
        )
        router.include_router(Reports(service, self.links).router)

    async def models(self) -> dict[str, Any]:
        """List the checkpoints; the first is the one that OpenAI's names of models stand for."""
        return {"object": "list", "data": [self._described(name) for name in self.service.checkpoints]}

    async def model(self, model: str) -> dict[str, Any]:
        """Tell of one checkpoint, also by one of OpenAI's names."""
        return self._described(orders.checkpoint_of(self.service, model))

    async def file(self, name: str) -> Response:
        """Open a picture at the address that an answer named."""
        found = await self.links.get(name)
        if found is None:
            raise Problem(404, "There is no picture at this address any more: each lies there for an hour.")
        return Response(found.content, media_type=found.kind, headers={"Cache-Control": "private, max-age=3600"})

    async def generations(self, body: Generation, request: Request) -> Response:
        """Draw pictures of a prompt, which is understood first: `understanding` says what it was taken for."""
        self._note(body.prompt)
        return await self._answer(request, body, "image_generation", orders.generation)

    async def edits(self, body: Annotated[Edit, MULTIPART], request: Request) -> Response:
        """Repaint a picture where its mask, or else the picture itself, is transparent."""
        self._note(body.prompt)
        mask = await read(body.mask, "mask") if body.mask else None
        return await self._answer(request, body, "image_edit", orders.edit, await pictures(body), mask)

    async def variations(self, body: Annotated[Variation, MULTIPART], request: Request) -> Response:
        """Draw pictures with the content of another one."""
        self._note(body.prompt)
        return await self._answer(request, body, "image_variation", orders.variation, await pictures(body))

    async def interpolations(self, body: Annotated[Interpolation, MULTIPART], request: Request) -> Response:
        """Draw the way from picture to picture, or prompt, in `n` frames."""
        self._note(*body.all_prompts)
        return await self._answer(request, body, "image_interpolation", orders.interpolation, await pictures(body))

    async def mixes(self, body: Annotated[Mixture, MULTIPART], request: Request) -> Response:
        """Draw several pictures and prompts in one, by weight."""
        self._note(*body.all_prompts)
        return await self._answer(request, body, "image_mix", orders.mixture, await pictures(body))

    async def text_diffs(self, body: Annotated[Rewording, MULTIPART], request: Request) -> Response:
        """Move a picture by words, from what it is to what it should become."""
        self._note(body.prompt, body.old_prompt)
        return await self._answer(request, body, "image_text_diff", orders.rewording, await pictures(body))

    async def captions(self, body: Annotated[Captioning, MULTIPART], request: Request) -> Response:
        """Tell a picture in words: the captions that the checkpoint finds nearest to it."""
        order, checkpoint = await checked(orders.captioning, self.service, body, await pictures(body))
        async with request.state.caller.drawing(1, self.service.queue.seconds_to_end):
            found = await while_there(request.receive, _last(drawings(self.service.caption(order, checkpoint))))
        if found is None:
            return Response()
        data = [{"caption": caption, "score": score} for caption, score in found.captions]
        return JSONResponse({"created": int(time.time()), "model": checkpoint, "data": data})

    async def _answer(self, request: Request, body: ImageRequest, kind: str, make: Make, *pictures: Any) -> Response:
        """Draw the order, and answer with all pictures at once or, where that was asked for, as a stream."""
        order = await checked(make, self.service, body, *pictures)
        parts = self._drawn(request, order)
        if body.stream:
            first = await anext(parts)  # what is refused at once is not a stream
            return EventStream(self._events(parts, first, body, order, kind))
        found = await while_there(request.receive, _last(parts))
        if found is None:
            return Response()
        made = await in_thread(_encoded, found, body)
        data = [answers.item(one, order, None if body.base64 else await self._url(request, one)) for one in made]
        return JSONResponse(answers.answer(data, made, body, order))

    async def _drawn(self, request: Request, order: Order) -> AsyncGenerator[Drawing]:
        """Yield the order's drawings, which count as the caller's until they are done or given up."""
        until = self.service.queue.seconds_to_end
        drawing = request.state.caller.drawing(order.pictures, until)
        async with drawing, aclosing(drawings(self._held(order))) as parts:
            async for part in parts:
                yield part

    def _held(self, order: Order) -> Generator[Drawing]:
        """Yield the order's drawings, while its checkpoint stays in memory."""
        with self.service.lease(order.checkpoint) as lease:
            lease.wait()
            yield from order.draw(self.service)

    async def _events(
        self, parts: AsyncGenerator[Drawing], first: Drawing, body: ImageRequest, order: Order, kind: str
    ) -> AsyncGenerator[str]:
        """Yield server-sent events: previews, as many as were asked for, then each picture; or the error."""
        heart, previews, drawing = Heartbeat(), Previews(body.partial_images or 0), first
        try:
            async with aclosing(parts):
                yield heart.beat(drawing)
                async for drawing in parts:
                    for index, place, picture in previews.due(drawing):
                        made = await in_thread(encode, picture, body, False)
                        more = {"partial_image_index": index, "picture_index": place}
                        yield encode_event(answers.event(f"{kind}.partial_image", made, body, order, more))
                    yield heart.beat(drawing)
            for place, one in enumerate(await in_thread(_encoded, drawing, body)):
                more = answers.item(one, order, None) | {"picture_index": place, "usage": answers.USAGE}
                yield encode_event(answers.event(f"{kind}.completed", one, body, order, more))
        except Exception as error:
            yield encode_event(problem_of(error).body(), "error")

    async def _url(self, request: Request, made: Encoded) -> str:
        return f"{address(request.scope)}/v1/images/files/{await self.links.put(made.content, made.kind)}"

    def _described(self, name: str) -> dict[str, Any]:
        model = self.service.model(name)
        shape = {"id": name, "object": "model", "created": MODEL_CREATED, "owned_by": "open-dalle2"}
        own = {"capabilities": sorted(model.capabilities), "size": f"{model.picture_size}x{model.picture_size}"}
        if model.picture_sizes:
            own["sizes"] = [f"{side}x{side}" for side in model.picture_sizes]
        return {**shape, **own, "styles": list(model.styles), "checkpoint_hash": model.checkpoint_hash}

    def _note(self, *prompts: str | None) -> None:
        if self.log_prompts:
            log.info("prompts: %s", [prompt for prompt in prompts if prompt])


def _encoded(drawing: Drawing, body: ImageRequest) -> list[Encoded]:
    return [encode(picture, body) for picture in drawing.pictures]


async def _last(parts: AsyncGenerator[Drawing]) -> Drawing:
    async with aclosing(parts):
        async for drawing in parts:
            found = drawing
    return found
