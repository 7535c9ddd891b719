"""What the endpoints of tasks answer: pictures as they form, the first one's seed, and the progress line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from dalle2.requests import Request
from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import Choice
from dalle2.serving.model_cache import Loading
from dalle2.serving.refusal import refusal_of
from dalle2.serving.service import Service
from dalle2.serving.uploads import read_record
from dalle2.understanding.answer import Understanding
from dalle2.understanding.sentences import NotUnderstood
from demo.language import refused
from demo.status import loading, progress, status
from demo.understood import sentence_of, understanding_payload

Answer = tuple[list[tuple[Image.Image, str]], int, dict[str, Any]]


@dataclass(frozen=True)
class Order:
    """What an endpoint is told beside the request.

    Attributes:
        seed: None for a random one.
        count: how many pictures.
        literal: whether prompts are taken exactly as written.
        weights: hash, or its beginning, of the weights that are expected; "" for any.
    """

    seed: int | None
    settings: Choice
    checkpoint: str
    count: int = 1
    literal: bool = False
    weights: str = ""


def drawn(
    service: Service,
    ask: Callable[[], Request],
    order: Order,
    said: dict[str, Any],
    about: Callable[[], Sequence[Understanding]] | None = None,
) -> Iterator[Drawing | Loading]:
    """Draw what `ask` makes, with its prompts understood, and put `understanding_payload` of them into `said`.

    `about` may give what is told instead. A checkpoint that is not in memory is loaded first. Nothing is asked before
    the first event is wanted, so that what is refused is refused there.
    """
    with service.lease(order.checkpoint) as lease:
        yield from lease.coming()
        checkpoint = service.offer(order.checkpoint).name
        try:
            request = service.understood(ask(), checkpoint, order.literal)
            found = about() if about and not order.literal else request.understandings
        except NotUnderstood as unknown:
            said.update(understanding_payload([unknown.understanding]))
            raise
        others = order.weights and not service.model(checkpoint).checkpoint_hash.startswith(order.weights)
        said.update(understanding_payload(found, other_weights=bool(others)))
        yield from service.draw(request, order.seed, order.count, order.settings, checkpoint)


def refusal_for(error: Exception, request: gr.Request | None) -> str:
    """Return what is said of an error to the visitor, in their language."""
    if isinstance(error, NotUnderstood):
        return sentence_of([error.understanding]).for_visitor(request)
    return refused(error, request)


def answers(
    drawings: Iterator[Drawing | Loading],
    caption: str,
    request: gr.Request | None,
    named: Callable[[Mapping[str, Any]], str] | None = None,
    numbered: str = "{} {}",
    titled: Callable[[str], str] = str,
) -> Iterator[Answer]:
    """Yield what an endpoint yields of a drawing: (pictures with captions, the first one's seed, the progress line).

    Of several pictures each has the caption `numbered`; `named` finds a finished one's own in its record, and until
    then it has no number, which would be taken for what `named` tells. A Refusal, or what a request itself refuses,
    ends it with its sentence in the progress line, and as the API's error. A checkpoint that is loaded first is called
    as `titled`.
    """
    shown: Sequence[Image.Image] = ()
    try:
        for drawing in drawings:
            if isinstance(drawing, Loading):
                yield gr.skip(), gr.skip(), loading(drawing, titled(drawing.checkpoint), request)
                continue
            # Pictures that the page has already are not sent again.
            fresh = gr.skip() if drawing.pictures is shown else _captioned(drawing, caption, named, numbered)
            shown = drawing.pictures
            yield fresh, drawing.seeds[0], progress(drawing, request)
    except Exception as error:  # a fault of ours is a sentence too, and not its own text
        sentence = refusal_for(refusal_of(error), request)
        yield gr.skip(), gr.skip(), status("refused", sentence)
        # The page shows the sentence in its progress line; this one is for the API.
        raise gr.Error(sentence, visible=False, print_exception=False) from error


def _captioned(
    drawing: Drawing, caption: str, named: Callable[[Mapping[str, Any]], str] | None, numbered: str
) -> list[tuple[Image.Image, str]]:
    pictures = drawing.pictures if drawing.finished else [_unsigned(picture) for picture in drawing.pictures]
    if named:
        return [(picture, named(read_record(picture)) if drawing.finished else f"{caption} …") for picture in pictures]
    return [
        (picture, numbered.format(caption, index + 1) if len(pictures) > 1 else caption)
        for index, picture in enumerate(pictures)
    ]


def _unsigned(preview: Image.Image) -> Image.Image:
    """Return a copy that stays without a record: the task may sign the frames that it has shown before we show them."""
    copy = preview.copy()
    copy.info = {}
    return copy
