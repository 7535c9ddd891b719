"""What stands in front of Gradio's routes: the browser's cookie, whose files may be opened, and the preview card."""

from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, PlainTextResponse

from dalle2.serving.api.address import address, scheme
from dalle2.serving.visitors import NOBODY, Files, cookie, owner, visitor
from demo.facts import Facts
from demo.gradio_internals import FILE_ROUTE, PREVIEW_TAGS

CARD = Path(__file__).with_name("card.png")
TITLE = "Open DALL·E 2"
WORDS = "Describe a picture, then vary, mix or morph it: an open DALL·E 2 (unCLIP) that runs anywhere."

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Door:
    """ASGI middleware around the page's app."""

    def __init__(self, app: Any, files: Files, facts: Facts) -> None:
        self.app, self.files, self.facts = app, files, facts

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        asking = owner(headers.get("cookie", ""))
        visitor.set(asking)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if (asked := FILE_ROUTE.fullmatch(path)) and not self.files.opens(asked["path"], asking):
            return await PlainTextResponse("There is no such file.", 404)(scope, receive, send)
        if path == "/card.png":
            return await FileResponse(CARD)(scope, receive, send)
        if path in ("", "/") and scope["method"] == "GET":
            return await self.app(scope, receive, _Dressed(scope, headers, asking, send, self.facts))
        return await self.app(scope, receive, send)


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
        client = (self.scope.get("client") or ("",))[0]
        facts = self.facts.script(self.facts.may_pick(self.headers, client))
        return PREVIEW_TAGS.sub("", page).replace("<head>", f"<head><script>{facts}</script>{tags}", 1)
