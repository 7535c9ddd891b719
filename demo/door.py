"""What stands before Gradio's routes: the browser's cookie, whose files may be opened, limits, and the preview card.

Nothing that is too large, too slow or too much is parsed.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from dalle2.serving.api.address import address, client_of, scheme
from dalle2.serving.api.gate import MAX_BODY_BYTES, MAX_FIELDS_BYTES, bounded
from dalle2.serving.api.problems import problem_of
from dalle2.serving.refusal import Busy
from dalle2.serving.visitors import NOBODY, Files, cookie, owner, visitor
from demo.facts import Facts
from demo.gradio_internals import FILE_ROUTE, PREVIEW_TAGS, TOOLS_ROUTE, UPLOAD_ROUTE
from demo.language import Bilingual, refused
from demo.limits import Limits

CARD = Path(__file__).with_name("card.png")
TITLE = "Open DALL·E 2"
WORDS = "Describe a picture, then vary, mix or morph it: an open DALL·E 2 (unCLIP) that runs anywhere."
API = "/v1"  # which has a gate of its own
MISPLACED = "/images/"  # what a program asks whose base URL lacks the "/v1"
# What is said of a body, by its status.
SAID = {
    408: Bilingual("The file or request took too long to arrive: send it again.", "文件或请求上传得太慢：请重新发送。"),
    413: Bilingual(
        f"More than {MAX_BODY_BYTES // 1_000_000} MB were sent at once, or too much text: send less.",
        f"一次发送的内容超过 {MAX_BODY_BYTES // 1_000_000} MB，或文字太多：请减少。",
    ),
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Door:
    """ASGI middleware around the page's app."""

    def __init__(self, app: Any, files: Files, facts: Facts, limits: Limits) -> None:
        self.app, self.files, self.facts, self.limits = app, files, facts, limits

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        asking = owner(headers.get("cookie", ""))
        visitor.set(asking)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if (asked := FILE_ROUTE.fullmatch(path)) and not self.files.opens(asked["path"], asking):
            return await PlainTextResponse("There is no such file.", 404)(scope, receive, send)
        if path.startswith(MISPLACED):
            return await problem_of(HTTPException(404)).response()(scope, receive, send)
        if path == "/card.png":
            return await FileResponse(CARD)(scope, receive, send)
        if path in ("", "/") and scope["method"] == "GET":
            return await self.app(scope, receive, _Dressed(scope, headers, asking, send, self.facts))
        if scope["method"] not in ("GET", "HEAD") and path != API and not path.startswith(f"{API}/"):
            return await self._sent(scope, receive, send, headers, path)
        return await self.app(scope, receive, send)

    async def _sent(self, scope: Message, receive: Any, send: Send, headers: Headers, path: str) -> None:
        """Let what a visitor sends come in within limits, or answer with a sentence."""
        reader = SimpleNamespace(headers=headers, client=SimpleNamespace(host=client_of(scope)))
        upload, tools = UPLOAD_ROUTE.fullmatch(path), TOOLS_ROUTE.match(path)
        with ExitStack() as held:
            try:
                count = self.limits.upload if upload else self.limits.call
                count(client_of(scope), headers)
                if tools and scope["method"] == "POST":
                    held.enter_context(self.limits.drawing(reader))
                    scope = {**scope, "headers": self.limits.tool(client_of(scope), scope["headers"])}
                within = bounded(scope, receive, MAX_BODY_BYTES if upload or tools else MAX_FIELDS_BYTES)
            except HTTPException as error:
                late = error
            except Busy as busy:
                wait = {"Retry-After": str(max(math.ceil(busy.seconds), 1))}
                return await _answer(429, refused(busy, reader), bool(upload), wait)(scope, receive, send)
            else:
                coming = _Coming(within, send)
                await self.app(scope, coming.receive, coming.send)
                late = coming.late
        if late is not None:
            sentence = SAID[late.status_code].for_visitor(reader)
            await _answer(late.status_code, sentence, bool(upload))(scope, receive, send)


class _Coming:
    """A body on its way to the app, and the app's answer, which is held back where the body does not come: `late`."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send, self._begun = receive, send, False
        self.late: HTTPException | None = None

    async def receive(self) -> Message:
        try:
            return await self._receive()
        except HTTPException as error:
            self.late = None if self._begun else error
            raise

    async def send(self, message: Message) -> None:
        if self.late is None:
            self._begun = True
            await self._send(message)


def _answer(status: int, sentence: str, upload: bool, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal: Gradio shows what an upload is answered as it is, and of what else is sent the "detail"."""
    if upload:
        return PlainTextResponse(sentence, status, headers)
    return JSONResponse({"detail": sentence}, status, headers)


class _Dressed:
    """A `send` that gives the page its own preview card and the facts, and a new browser its cookie."""

    def __init__(self, scope: Message, headers: Headers, asking: str, send: Send, facts: Facts) -> None:
        self.scope, self.headers, self.asking, self.pass_on, self.facts = scope, headers, asking, send, facts
        self.start: Message = {}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        if message["type"] != "http.response.body":
            return await self.pass_on(message)
        self.body += message.get("body", b"")
        if message.get("more_body"):
            return
        answer = MutableHeaders(scope=self.start)
        if answer.get("content-type", "").startswith("text/html"):
            self.body = self._with_card(self.body.decode()).encode()
            answer["content-length"] = str(len(self.body))
            if self.asking == NOBODY:
                answer.append("set-cookie", cookie(scheme(self.scope, self.headers) == "https"))
        await self.pass_on(self.start)
        await self.pass_on({"type": "http.response.body", "body": self.body})

    def _with_card(self, page: str) -> str:
        """Return the page's HTML with our preview instead of Gradio's; a shared picture's prompt is its title."""
        asked = parse_qs(self.scope["query_string"].decode("latin-1")).get("prompt", [""])[0].strip()
        title = f"{asked[:80]} – {TITLE}" if asked else TITLE
        image = f"{address(self.scope)}/card.png"
        told = {"title": title, "description": WORDS, "image": image}
        tags = "".join(f'<meta property="og:{name}" content="{escape(text)}" />' for name, text in told.items())
        tags += (
            '<meta property="og:type" content="website" /><meta name="twitter:card" content="summary_large_image" />'
        )
        facts = self.facts.script(self.facts.may_pick(self.headers, client_of(self.scope)))
        return PREVIEW_TAGS.sub("", page).replace("<head>", f"<head><script>{facts}</script>{tags}", 1)
