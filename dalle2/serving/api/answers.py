"""What clients are answered: pictures in OpenAI's shape, with seed, settings and record beside each."""

import base64
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dalle2 import formats
from dalle2.serving.api.orders import Order
from dalle2.serving.api.schemas import ImageRequest
from dalle2.serving.uploads import read_record
from dalle2.understanding.answer import Understanding, literal
from dalle2.understanding.sentences import sentences

DEFAULT_COMPRESSION = 100  # as OpenAI's
# Clients read it of every finished stream; nothing is counted in tokens here.
USAGE: dict[str, Any] = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}


@dataclass(frozen=True)
class Encoded:
    """A picture as the file that a client gets, with its size and what its record says."""

    content: bytes
    kind: str  # MIME type
    size: str
    background: str
    record: dict[str, Any]


def encode(picture: Image.Image, body: ImageRequest, finished: bool = True) -> Encoded:
    """Make the file; a preview has no record."""
    kind, background = body.output_format or "png", "opaque"
    record: dict[str, Any] = dict(read_record(picture)) if finished else {}
    if body.background == "transparent" and finished and kind != "jpeg":
        with contextlib.suppress(ValueError):  # it has no even background, which the answer says
            picture, background = formats.transparent(picture), "transparent"
    compression = body.output_compression
    content = formats.encode(picture, kind, DEFAULT_COMPRESSION if compression is None else compression)
    return Encoded(content, f"image/{kind}", f"{picture.width}x{picture.height}", background, record)


def item(made: Encoded, order: Order, url: str | None) -> dict[str, Any]:
    """Return one picture of an answer: in it, or at an address."""
    where = {"b64_json": _base64(made)} if url is None else {"url": url}
    found = order.request.understandings
    revised = {"revised_prompt": found[0].asked} if len(found) == 1 and not found[0].verbatim else {}
    return {**where, **revised, "seed": made.record.get("seed"), "record": made.record}


def answer(data: Sequence[dict[str, Any]], made: Sequence[Encoded], body: ImageRequest, order: Order) -> dict[str, Any]:
    """Return all pictures, and what is true of all of them."""
    return {"created": int(time.time()), "data": list(data), **_shared(made[0], body, order)}


def event(kind: str, made: Encoded, body: ImageRequest, order: Order, more: dict[str, Any]) -> dict[str, Any]:
    """Return one event of a stream."""
    shared = _shared(made, body, order)
    return {"type": kind, "b64_json": _base64(made), "created_at": int(time.time()), **shared, **more}


def _shared(made: Encoded, body: ImageRequest, order: Order) -> dict[str, Any]:
    """Return what is true of all pictures of a request."""
    settings = {"settings": made.record["settings"]} if "settings" in made.record else {}
    understandings = order.request.understandings or [literal(prompt) for prompt in order.request.words]
    found = {"understanding": understanding(understandings)} if understandings else {}
    return {
        "model": order.checkpoint,
        "size": made.size,  # as it is, whatever was asked for
        "quality": body.quality or "auto",
        "background": made.background,
        "output_format": made.kind.partition("/")[2],
        **settings,
        **found,
    }


def understanding(found: Sequence[Understanding]) -> dict[str, Any]:
    """Return what a prompt was taken for, or a table with `prompts`; and a sentence that says so, which may be ""."""
    rows = [_understood(one) for one in found]
    return {**(rows[0] if len(rows) == 1 else {"prompts": rows}), "sentence": sentences(found)}


def _understood(found: Understanding) -> dict[str, Any]:
    return {
        "prompt": found.prompt,
        "asked": found.asked,
        "concept": found.concept.label if found.concept else None,
        "style": found.style or None,
        "background": found.background or None,
        "guessed": found.guessed,
        "literal": found.literal,
        "nearest": [near.label for near in found.alternatives],
    }


def _base64(made: Encoded) -> str:
    return base64.b64encode(made.content).decode("ascii")
