"""The service's drawings in the event loop: awaited while the client is there, and told as server-sent events."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any, TypeVar

import anyio
from anyio import to_thread
from starlette.responses import Response

from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import WAITING_VISITORS

HEARTBEAT_SECONDS = 2.0  # the longest silence of a stream, or about
CHECKS = anyio.CapacityLimiter(4)
ROOM = anyio.CapacityLimiter(2 * (WAITING_VISITORS + 1))  # threads: one for each who waits, and some to encode

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Run what takes a while beside the event loop."""
    return await to_thread.run_sync(work, *arguments, limiter=ROOM)


async def checked(work: Callable[..., T], *arguments: Any) -> T:
    """Run what opens and checks a client's pictures: few at a time, since each may be large."""
    return await to_thread.run_sync(work, *arguments, limiter=CHECKS)


async def drawings(found: Generator[Drawing]) -> AsyncGenerator[Drawing]:
    """Yield the service's drawings; closing it, or cancelling what awaits it, gives the pictures up."""
    try:
        while (drawing := await in_thread(next, found, None)) is not None:
            yield drawing
    finally:
        with anyio.CancelScope(shield=True):
            await in_thread(found.close)


async def while_there(receive: Callable[[], Awaitable[Any]], work: Awaitable[T]) -> T | None:
    """Await the work, or cancel it when the client leaves: None then."""
    result = None
    with anyio.CancelScope() as scope:

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            scope.cancel()

        watcher = asyncio.create_task(watch())
        try:
            result = await work
        finally:
            watcher.cancel()
    return result


def encode_event(event: dict[str, Any], name: str | None = None) -> str:
    """One server-sent event, which ends with its blank line: without it clients drop the last one."""
    return f"event: {name or event.get('type')}\ndata: {json.dumps(event)}\n\n"


class Heartbeat:
    """Comments that keep a silent stream open, and that clients pass over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, float("-inf")

    def beat(self, drawing: Drawing) -> str:
        """Return a comment that says how far it is, or "" where something was told of late."""
        now = self._clock()
        if now - self._last < HEARTBEAT_SECONDS:
            return ""
        self._last = now
        steps = ", ".join(f"{name} {done}/{total}" for name, done, total in drawing.stages)
        left = "" if drawing.seconds_left is None else f", about {drawing.seconds_left:.0f} s left"
        return f": {f'{drawing.ahead} ahead' if drawing.ahead else steps or 'drawing'}{left}\n\n"


class EventStream(Response):
    """An answer of events, which ends its work when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, parts: AsyncGenerator[str]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._parts = parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def write() -> None:
            async with aclosing(self._parts) as parts:
                async for part in parts:
                    await send({"type": "http.response.body", "body": part.encode(), "more_body": True})

        await while_there(receive, write())
        await send({"type": "http.response.body", "body": b""})
