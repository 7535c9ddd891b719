"""What one address may ask of the page, so that it lasts for all; who sits at the server's machine may ask for more.

An address may be a whole school's. Behind a proxy it is the visitor's own only where the proxy is named (`--proxy`).

What a tool of MCP is asked is counted where it comes in. Gradio then asks it of this server once more, from this
machine, with the headers of who asked: one that nobody else can send says that it has been counted, and for whom.
"""

import hmac
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from dalle2.serving.api.address import asker, sits_here
from dalle2.serving.api.meter import Caller, Meter
from dalle2.serving.api.problems import Problem
from dalle2.serving.refusal import Busy

DRAWINGS_PER_MINUTE, DRAWINGS = 60, 20  # the latter at a time: the queue has room for 31
UPLOADS_PER_MINUTE = 480  # a film of the history is 24, and a class is behind one address
REPORTS_PER_MINUTE = 60
CALLS_PER_MINUTE = 1_200  # of all kinds: suggestions come with each word

ASKED_FOR = "x-asked-for"  # of a tool of MCP: a secret of this page's, and the address

Headers = Mapping[str, str]


class Limits:
    """The callers of one page, for all threads. Busy, with a sentence, for who asks for too much."""

    def __init__(self) -> None:
        self._calls, self._uploads, self._drawings, self._reports = Meter(), Meter(), Meter(), Meter()
        self._secret = secrets.token_urlsafe()

    def tool(self, client: str, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers of what a tool is asked, with the one by which its drawing is not counted once more."""
        others = [(name, value) for name, value in headers if name != ASKED_FOR.encode()]
        return [*others, (ASKED_FOR.encode(), f"{self._secret} {client}".encode("latin-1", "replace"))]

    def call(self, client: str, headers: Headers) -> None:
        """Count anything that is sent."""
        if self._tool_for(headers) is None and not sits_here(client, headers):
            often = Busy(f"At most {CALLS_PER_MINUTE} calls a minute are answered: wait a little.", 0.0)
            _counted(self._calls, client, CALLS_PER_MINUTE, often)

    def upload(self, client: str, headers: Headers) -> None:
        """Count a file that comes."""
        if not sits_here(client, headers):
            often = Busy(f"At most {UPLOADS_PER_MINUTE} files a minute are taken: wait a little.", 0.0)
            _counted(self._uploads, client, UPLOADS_PER_MINUTE, often)

    @contextmanager
    def drawing(self, request: Any) -> Generator[None]:
        """Count a drawing while it waits and is drawn; `request` is Gradio's, None for a call of our own."""
        with ExitStack() as held:
            self._begin(request, held)
            yield

    def report(self, request: Any) -> tuple[str, bool]:
        """Count a report, and return whose it is, and whether limits are for them: not for who sits here."""
        client = request.client.host if getattr(request, "client", None) else ""
        tool = self._tool_for(request.headers) if client else None
        if tool is not None:
            client = tool
        elif client and sits_here(client, request.headers):
            return asker(client), False
        often = Busy(f"At most {REPORTS_PER_MINUTE} reports a minute are taken: wait a little.", 0.0)
        _counted(self._reports, client, REPORTS_PER_MINUTE, often)
        return asker(client), True

    def _begin(self, request: Any, held: ExitStack) -> None:
        client = getattr(request, "client", None)  # on ZeroGPU, which has limits of its own, there is none
        if client is None or self._tool_for(request.headers) is not None or sits_here(client.host, request.headers):
            return
        often = Busy(f"At most {DRAWINGS_PER_MINUTE} drawings a minute are made for one address: wait a little.", 0.0)
        caller = _counted(self._drawings, client.host, DRAWINGS_PER_MINUTE, often, DRAWINGS)
        try:
            held.enter_context(caller.held(1, lambda: 0.0))
        except Problem as many:
            raise Busy(f"{DRAWINGS} drawings for your address are not done yet: wait for one of them.", 1.0) from many

    def _tool_for(self, headers: Headers) -> str | None:
        """Return the address for which a tool asks; None for what no tool asks."""
        secret, _, client = headers.get(ASKED_FOR, "").partition(" ")
        return client if hmac.compare_digest(secret.encode(), self._secret.encode()) else None


def _counted(meter: Meter, client: str, per_minute: int, refusal: Busy, most: int | None = None) -> Caller:
    """Return the caller with one more counted; the refusal, with when to come again, for one too many."""
    try:
        return meter.counted(asker(client), per_minute, most)
    except Problem as often:
        refusal.seconds = often.retry_after or 0.0
        raise refusal from often
