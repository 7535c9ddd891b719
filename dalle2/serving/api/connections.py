"""Connections: who sends no request, or reads no answer, is hung up on, and nobody holds all of them.

uvicorn waits for the head of a request for ever, and its `limit_concurrency` counts those who send nothing too: so many
silent connections would shut everybody out. What is drawn for long, and streams, are no silence.
"""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import h11
from starlette.datastructures import Headers
from uvicorn.protocols.http.h11_impl import H11Protocol

from dalle2.serving.api.address import asker
from dalle2.serving.api.options import is_loopback
from dalle2.serving.api.problems import Problem

HEAD_SECONDS = 20.0  # from a connection's or a request's first moment until its head is there
UNREAD_SECONDS = 120.0  # that a client may leave an answer unread
MOST = 2_000  # connections at a time
SHARE_OF_ONE = 4  # which part of them one address may have, which may be a whole school's: a browser has six
REFUSED, REFUSED_SECONDS = 100, 2.0  # connections that are only told that there is no room, and until their head
FILES = 200  # that the process has open beside its connections


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with these limits. This machine and named proxies, which ask for many, may hold all."""

    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    asker = ""
    refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        client = self.client[0] if self.client else ""
        self.asker = "" if is_loopback(client) or self._is_proxy(client) else asker(client)
        held = [other for other in self.connections if not getattr(other, "refused", False)]
        own = sum(getattr(other, "asker", "") == self.asker for other in held) if self.asker else 0
        if len(held) > most() or own > max(most() // SHARE_OF_ONE, 1):
            self.app, self.refused = _crowded, True
            if len(self.connections) - len(held) >= REFUSED:
                transport.abort()
        self._time_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._time_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = _stopped(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head, self._unread = _stopped(self._head), _stopped(self._unread)
        super().connection_lost(exc)

    def _time_head(self) -> None:
        """Let the head that is expected come in time; uvicorn times the silence between two requests itself."""
        expected = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None
        if not expected or self.transport.is_closing():
            self._head = _stopped(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(
                REFUSED_SECONDS if self.refused else HEAD_SECONDS, self.timeout_keep_alive_handler
            )

    def _is_proxy(self, client: str) -> bool:
        return client in _trusted(tuple(self.config.forwarded_allow_ips)) if self.config.proxy_headers else False


def uvicorn_options(proxies: Sequence[str] = ()) -> dict[str, Any]:
    """Return how uvicorn serves: with these limits, believing these proxies' headers alone, and without websockets."""
    headers = {"proxy_headers": bool(proxies), "forwarded_allow_ips": list(proxies)}
    return {"http": Connection, "ws": "none", "server_header": False, **headers}


@cache
def most() -> int:
    """Return how many connections there may be: fewer than MOST where the system lets no more files be open."""
    try:
        import resource
    except ImportError:  # Windows, which bounds them otherwise
        return MOST
    files, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + FILES
    if files < wanted:
        files = wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, allowed))
    return max(min(MOST, files - FILES), 1)


@cache
def _trusted(proxies: tuple[str, ...]) -> Any:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    return ProxyHeadersMiddleware(_crowded, list(proxies)).trusted_hosts


async def _crowded(scope: Any, receive: Any, send: Any) -> None:
    """Answer whoever comes when there is no room."""
    sentence = "Too many connections are open: close some, or try again in a moment."
    if Headers(scope=scope).get("accept-language", "").lower().startswith("zh"):
        sentence = "打开的连接太多：请关闭一些，或稍后再试。"
    await Problem(503, sentence, retry_after=5, headers={"Connection": "close"}).response()(scope, receive, send)


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
