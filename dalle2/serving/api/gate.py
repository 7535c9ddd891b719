"""What stands in front of the API's handlers: keys, limits, the size of bodies, slow senders, and the log.

All of it is decided before a byte of the body is parsed.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from dalle2.serving.api.address import asker, client_of, host_of, sits_here
from dalle2.serving.api.keys import Keys
from dalle2.serving.api.meter import Caller, Meter
from dalle2.serving.api.options import is_loopback
from dalle2.serving.api.problems import Problem, problem_of
from dalle2.serving.limits import MAX_UPLOAD_BYTES
from dalle2.serving.log import shown

if TYPE_CHECKING:
    from dalle2.serving.api.shared import SharedCaller, SharedKeys, SharedMeter

MAX_FIELDS_BYTES = 1_000_000  # of JSON and of forms without files, which hold prompts and settings alone
MAX_BODY_BYTES = 2 * MAX_UPLOAD_BYTES + MAX_FIELDS_BYTES  # a picture, its mask, and the fields beside them
SILENT_SECONDS, SENDING_SECONDS = 30.0, 300.0  # without a byte, and until a body is there,
SLOWEST = 8_000  # for which each so many bytes that came give a second more
FREE_PER_MINUTE, FREE_PICTURES = 60, 20  # for each address, where anybody may draw
FILES = "/images/files/"
OPEN = ("/openapi.json",)  # to everybody

log = logging.getLogger("dalle2.api")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gate:
    """ASGI middleware around the API's app; its handlers find the `Caller` in the request's state.

    Without `keys` (None) nobody needs one: on this machine only, unless `public` lets any address draw within limits.
    With `near` those who ask from this machine need none either.
    """

    def __init__(
        self,
        app: Any,
        meter: "Meter | SharedMeter",
        keys: "Keys | SharedKeys | None" = None,
        public: bool = False,
        near: bool = False,
    ) -> None:
        self.app, self.meter, self.keys, self.public, self.near = app, meter, keys, public, near

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        begun, status = time.monotonic(), 0
        name = "-"

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            if path not in OPEN and not path.startswith(FILES):
                caller = await self._admit(scope)
                name = caller.name
                scope.setdefault("state", {})["caller"] = caller
            await self.app(scope, bounded(scope, receive), watched)
        except Exception as error:
            problem = problem_of(error)
            if status:  # too late to say so
                raise
            await problem.response()(scope, receive, watched)
        finally:
            # The name of a file opens it, and so is nobody else's business.
            told = f"{FILES}…" if path.startswith(FILES) else shown(path)
            log.info("%s %s %s %d %.2f s", shown(name), scope["method"], told, status, time.monotonic() - begun)

    async def _admit(self, scope: Message) -> "Caller | SharedCaller":
        headers, client = Headers(scope=scope), client_of(scope)
        here = sits_here(client, headers)
        if self.keys is None or (self.near and here):
            if self.public:
                return await self.meter.count(asker(client), FREE_PER_MINUTE, FREE_PICTURES)
            _check_origin(headers)
            caller = await self.meter.count(asker(client), None, None)
            # Whose machine it is, unless a proxy asks for others, or a name that leads here by somebody else's doing.
            caller.operator = here and is_loopback(host_of(f"//{headers.get('host', '')}"))
            return caller
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise Problem(401, "No API key was sent: send it in the header Authorization: Bearer KEY.")
        key = await self.keys.find(given.strip())
        if key is None:
            raise Problem(401, "This API key is none of this server's: ask its operator for one.")
        caller = await self.meter.count(key.name, key.per_minute, key.pictures)
        caller.operator = key.operator
        return caller


def _check_origin(headers: Headers) -> None:
    """Problem for a request that a web page of another site sends from this machine's browser."""
    if not is_loopback(host_of(headers.get("origin", "http://localhost"))):
        raise Problem(403, "Web pages of other sites cannot draw here: start the server with --api-keys.")


def bounded(scope: Message, receive: Receive, most: int | None = None) -> Receive:
    """Return a `receive` that refuses bodies that are too large, or come too slowly.

    They may have `most` bytes, by default as many as files or fields need, whichever they are said to be.
    HTTPException, 413 or 408, at once for what the head says, else while the body comes.
    """
    headers = Headers(scope=scope)
    if most is None:
        files = headers.get("content-type", "").lower().startswith("multipart/")
        most = MAX_BODY_BYTES if files else MAX_FIELDS_BYTES
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise _too_large(most)
    size, whole = 0, False
    begun = anyio.current_time()

    async def within() -> Message:
        nonlocal size, whole
        if whole:  # what comes now is only that the client left
            return await receive()
        message: Message = {}
        deadline = begun + SENDING_SECONDS + size / SLOWEST
        with anyio.move_on_at(min(anyio.current_time() + SILENT_SECONDS, deadline)):
            message = await receive()
        if not message:
            raise HTTPException(408, "The body took too long to arrive: send it again")
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        whole = not message.get("more_body", False)
        return message

    return within


def _too_large(most: int) -> HTTPException:
    smaller = "smaller pictures" if most > MAX_FIELDS_BYTES else "less text"
    return HTTPException(413, f"The request is larger than {most // 1_000_000} MB: send {smaller}")
