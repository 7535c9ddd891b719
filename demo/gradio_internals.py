"""What the page uses of Gradio beyond its documented interface, so that an upgrade has one file to look at.

tests/demo/test_gradio_internals.py has a test for each of these, which says what breaks when Gradio changes it.
"""

import json
import logging
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import blocks, http_server, processing_utils
from gradio.exceptions import ComponentProcessingError
from gradio.i18n import I18nData
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage
from gradio.state_holder import StateHolder
from gradio.utils import LRUCache
from PIL import Image

from dalle2 import atomic, formats
from dalle2.serving.api.connections import MOST, uvicorn_options
from dalle2.serving.visitors import NOBODY, Files, owner, visitor

log = logging.getLogger("dalle2.page")

# Else a machine too busy to answer itself within three seconds would not start the page.
LAUNCH: dict[str, Any] = {"_frontend": False}
# How long Gradio's queue sleeps before it looks again whether anybody waits, and whether a `gr.Progress`, which no tab
# has, has moved. Its own one and ten milliseconds cost a page that nobody visits some percent of a core.
QUEUE_SECONDS = 0.01
PROGRESS_SECONDS = 1.0
# So much may lie unread for one page, which is told some twenty things of each drawing.
UNREAD_EVENTS = 1_000
# The route by which files are opened.
FILE_ROUTE = re.compile(r"(?:/gradio_api)?/file[=/](?P<path>.*)", re.DOTALL)
# Those by which files come, and what programs of MCP send, who put files into their words.
UPLOAD_ROUTE = re.compile(r"(?:/gradio_api)?/upload/?")
TOOLS_ROUTE = re.compile(r"(?:/gradio_api)?/mcp\b")
# The tags of Gradio's own preview card in its page.
PREVIEW_TAGS = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')
# How the page's scripts change components, send files, and hear what is refused.
SCRIPT = Path(__file__).with_name("wire.js").read_text(encoding="utf-8").strip()


class Page(gr.Blocks):
    """Blocks that know during a call whose it is, and keep one `Files` of all that was uploaded or drawn.

    `unwritable` says in a visitor's language that a file of the server's cannot be written.
    """

    def __init__(self, *arguments: Any, unwritable: Callable[[Any], str] = str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.unwritable = unwritable
        # Visitors are kept in memory until so many others have come, not Gradio's 10,000: each takes 40 kB.
        self.state_session_capacity = MOST
        self.files = Files()
        self.upload_file_set = self.files
        self.temp_file_sets[:] = [self.files]  # of which Gradio deletes what is old enough

    @property
    def state_holder(self) -> StateHolder:
        """What Gradio keeps of each visitor."""
        return self._state_holder

    @state_holder.setter
    def state_holder(self, holder: StateHolder) -> None:
        # For links that Gradio would make, and this page makes itself, each visitor would get a copy of every
        # component's configuration: 50 ms in which nobody else is answered, and half a megabyte for an hour.
        holder.blocks = SimpleNamespace(default_config=self.default_config, blocks=())
        self._state_holder = holder

    def __exit__(self, *arguments: Any) -> None:
        with _no_application():
            super().__exit__(*arguments)

    def queue(self, *arguments: Any, **options: Any) -> Any:
        with _no_application():
            made = super().queue(*arguments, **options)
        self._queue.sleep_when_free, self._queue.progress_update_sleep_when_free = QUEUE_SECONDS, PROGRESS_SECONDS
        # After each call Gradio sums up all calls of late anew, up to 10,000, for a page of figures that nobody opens.
        self._queue.ANALYTICS_MAX_EVENTS = 0
        self._queue.pending_event_ids_session = LRUCache(MOST)  # else one is kept for each who never reads an answer
        self._queue.send_message = partial(_told, self._queue)
        return made

    def launch(self, *arguments: Any, proxies: Sequence[str] = (), **options: Any) -> Any:
        """Serve the page; these `proxies` are believed when they say for whom they ask."""
        with _own_server(proxies):
            return super().launch(*arguments, state_session_capacity=self.state_session_capacity, **options)

    async def process_api(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        request = options.get("request")
        visitor.set(owner(request.headers.get("cookie", "")) if isinstance(request, gr.Request) else NOBODY)
        try:
            return await super().process_api(*arguments, **options)
        except (OSError, ComponentProcessingError) as error:
            if not isinstance(error.__cause__ or error, OSError):  # of the disk, where pictures are put for the browser
                raise
            log.error("A file could not be read or written", exc_info=error)
            raise gr.Error(self.unwritable(request), print_exception=False) from error

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **options: Any) -> list[Any]:
        for path in _paths(inputs):
            if path in self.files and not self.files.opens(path, visitor.get()):
                raise gr.Error("The picture is not on the server any more: choose it again.", print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *rest, **options)

    async def postprocess_data(self, *arguments: Any, **options: Any) -> list[Any]:
        told = await super().postprocess_data(*arguments, **options)
        self.files.update(_paths(told))  # whoever is told of a file may open it
        return told


def _told(queue: Queue, event: Event, message: EventMessage) -> None:
    """Tell a page of its event; one that reads nothing of what it is told is given up, with what is drawn for it."""
    told = queue.pending_messages_per_session.get(event.session_hash)
    if told is not None and told.qsize() >= UNREAD_EVENTS:
        event.alive = False
    Queue.send_message(queue, event, message)


@contextmanager
def _own_server(proxies: Sequence[str]) -> Generator[None]:
    """Let Gradio make its server with our limits of connections."""
    made = http_server.uvicorn
    http_server.uvicorn = SimpleNamespace(Config=partial(made.Config, **uvicorn_options(proxies)))
    try:
        yield
    finally:
        http_server.uvicorn = made


@contextmanager
def _no_application() -> Generator[None]:
    """Let Gradio not make its application, which takes a third of a second, of a page that is not served yet.

    It makes one when the page is laid out, another one for the queue, and the one that is used when it is served.
    """
    made, blocks.App = blocks.App, SimpleNamespace(create_app=lambda *_, **__: None)
    try:
        yield
    finally:
        blocks.App = made


def drawn_by_parent(component: Any) -> Any:
    """Decorate a class: the component's parent is what draws it in the browser."""
    (parent,) = component.__bases__
    component.get_block_name = lambda self: parent.__name__.lower()
    component.get_config = lambda self, cls=None: parent.get_config(self, parent)
    return component


def set_prop(component: gr.HTML, name: str, value: Any) -> None:
    """Give an HTML component a property after it was made."""
    component.props[name] = value


def update_props(component: gr.HTML, changes: str) -> str:
    """Return JavaScript: an update that changes some of the component's properties, as "checkpoint, open: true".

    An update's `props` take the place of all of them.
    """
    return f"wire.update({{props: {{...{json.dumps(component.props)}, {changes}}}}})"


def translatable(text: str) -> I18nData:
    """Return a label or button's text that the browser looks up in its language."""
    return I18nData(text)


def cache_of(component: gr.components.Component) -> str:
    """Return the folder for the files that the component shows."""
    return component.GRADIO_CACHE


def cache_picture(picture: Image.Image, cache: str, name: str = "image") -> str:
    """Return the path of the picture's PNG, with its record, in the cache; equal content has one path."""
    return cache_bytes(formats.encode(picture), f"{name}.png", cache)


def cache_bytes(content: bytes, name: str, cache: str) -> str:
    """Return the path of a file of this content and name in the cache, where it appears whole or not at all."""
    path = Path(cache).resolve() / processing_utils.hash_bytes(content) / name
    with atomic.file(path) as partial:
        partial.write_bytes(content)
    return str(path)


def cache_file(path: Path, cache: str) -> str:
    """Return the path of the file's copy in the cache."""
    return processing_utils.save_file_to_cache(path, cache)


def _paths(values: Any) -> Iterator[str]:
    """Yield the paths of all files in what goes to or comes from a component."""
    if isinstance(values, Mapping):
        if isinstance(values.get("path"), str) and (values.get("meta") or {}).get("_type") == "gradio.FileData":
            yield values["path"]
        else:
            yield from _paths(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _paths(value)
