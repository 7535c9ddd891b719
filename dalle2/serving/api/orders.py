"""What clients ask, as what the service draws: the fields of a request -> an `Order`.

All of it is checked here, with the field that is wrong, before anything waits in the queue.
"""

import dataclasses
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageOps

from dalle2 import images
from dalle2.requests import Request
from dalle2.serving.api.problems import Problem, about
from dalle2.serving.api.schemas import (
    OPENAI_MODELS,
    QUALITIES,
    Captioning,
    Edit,
    Generation,
    ImageRequest,
    Interpolation,
    Mixture,
    Rewording,
    Variation,
)
from dalle2.serving.drawing import Drawing
from dalle2.serving.forms import check_enlarging
from dalle2.serving.limits import MAX_API_PICTURES, MAX_CONTENTS, Choice, words
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_mask, open_picture
from dalle2.settings import STRENGTHS, check_negative_prompt
from dalle2.tasks.caption import Caption
from dalle2.tasks.enhance import Enhance
from dalle2.tasks.inpaint import Inpaint
from dalle2.tasks.interpolate import Interpolate
from dalle2.tasks.mix import Mix
from dalle2.tasks.text_diff import TextDiff
from dalle2.tasks.text_to_image import TextToImage
from dalle2.tasks.variations import Variations

DEFAULT_FRAMES, DEFAULT_STRENGTHS, DEFAULT_CAPTIONS = 8, 6, 5

Bytes = Sequence[bytes]


@dataclass(frozen=True)
class Order:
    """A task's request with all that it is drawn by.

    Attributes:
        count: pictures of as many seeds; a series has one seed, and says itself how many it is.
        side: pixels a side to which the pictures are enlarged, or None.
    """

    request: Request
    checkpoint: str
    count: int = 1
    seed: int | None = None
    settings: Choice = "default"
    side: int | None = None

    @property
    def pictures(self) -> int:
        """How many are asked for."""
        return self.count if self.request.series is None else self.request.series

    def draw(self, service: Service) -> Generator[Drawing]:
        """Yield the service's drawings, the last one with the pictures in the size that was asked for."""
        arguments = (self.seed, self.count, self.settings, self.checkpoint, MAX_API_PICTURES)
        return service.draw(self.request, *arguments, enlarge=self.side)


def checkpoint_of(service: Service, model: str | None) -> str:
    """Return the name of the checkpoint that a client calls its model; Problem where there is none."""
    if model in service.checkpoints:
        return str(model)
    if model is None or OPENAI_MODELS.fullmatch(model):
        return service.checkpoints[0]
    sentence = f"There is no model {model!r} here: choose one of {', '.join(service.checkpoints)}."
    raise Problem(404, sentence, param="model", code="model_not_found")


def generation(service: Service, body: Generation) -> Order:
    """Return text to image."""
    with about("prompt"):
        request = TextToImage([words(body.prompt)])
    return _order(service, body, request, checkpoint_of(service, body.model), body.n or 1)


def edit(service: Service, body: Edit, pictures: Bytes, mask: bytes | None) -> Order:
    """Return inpainting: the mask, or without one the picture, is transparent where it is painted anew."""
    with about("image"):
        picture = open_picture(only(pictures))
    with about("mask"):
        marked = open_mask(mask, picture) if mask else _hole(pictures[0])
        request = Inpaint(picture, marked)
    with about("prompt"):
        request = dataclasses.replace(request, prompt=words(body.prompt, needed=False) or None)
    return _order(service, body, request, checkpoint_of(service, body.model), body.n or 1)


def variation(service: Service, body: Variation, pictures: Bytes) -> Order:
    """Return variations of a picture."""
    with about("image"):
        picture = open_picture(only(pictures))
    with about("prompt"):
        request = Variations(picture, words(body.prompt, needed=False) or None, body.eta)
    return _order(service, body, request, checkpoint_of(service, body.model), body.n or 1)


def interpolation(service: Service, body: Interpolation, pictures: Bytes) -> Order:
    """Return the frames on the way through pictures and prompts."""
    ends = _contents(pictures, body.all_prompts)
    with about("n" if len(ends) > 1 else "image"):
        request = Interpolate(ends, body.n or DEFAULT_FRAMES, body.noise or "fixed", bool(body.loop))
    return _order(service, body, request, checkpoint_of(service, body.model))


def mixture(service: Service, body: Mixture, pictures: Bytes) -> Order:
    """Return pictures and prompts in one, by weight."""
    parts = _contents(pictures, body.all_prompts)
    weights = [*(body.weight or ()), *(body.weights or ())] or [1.0] * len(parts)
    if len(weights) != len(parts):
        sentence = f"Weights given: {len(weights)}, pictures and prompts: {len(parts)}. Give one for each, or none."
        raise Problem(400, sentence, param="weight")
    with about("weight" if parts else "image"):
        request = Mix(list(zip(parts, weights, strict=True)))
    return _order(service, body, request, checkpoint_of(service, body.model), body.n or 1)


def rewording(service: Service, body: Rewording, pictures: Bytes) -> Order:
    """Move a picture from what it is to what it should become, farther from picture to picture: a text diff."""
    with about("image"):
        picture = open_picture(only(pictures))
    checkpoint = checkpoint_of(service, body.model)
    way = body.way or ("prior" if "diffusion" in service.model(checkpoint).priors else "slerp")
    strongest = STRENGTHS[way][-1] if body.strength is None else body.strength
    many = body.n or DEFAULT_STRENGTHS
    strengths = [strongest * index / (many - 1) for index in range(many)] if many > 1 else [strongest]
    with about("prompt"):
        new, old = words(body.prompt), words(body.old_prompt, needed=False) or None
        request = TextDiff(picture, new, old, strengths, way)
    return _order(service, body, request, checkpoint)


def captioning(service: Service, body: Captioning, pictures: Bytes) -> tuple[Caption, str]:
    """Return what finds a picture's captions, and by which checkpoint."""
    with about("image"):
        picture = open_picture(only(pictures))
    checkpoint = checkpoint_of(service, body.model)
    with about("model"):
        service.model(checkpoint).require(Caption.name)
    return Caption([picture], body.n or DEFAULT_CAPTIONS), checkpoint


def _order(service: Service, body: ImageRequest, request: Request, checkpoint: str, count: int = 1) -> Order:
    """Return the request with its prompts understood, unless they are to be taken literally."""
    model, side = service.model(checkpoint), body.side
    with about("model"):
        model.require(request.name)
    with about("negative_prompt"):
        check_negative_prompt(body.negative_prompt)
    with about("settings"):
        choice = _choice(service, body, request, checkpoint)
        settings = service.settings(choice, checkpoint, request)
    with about("negative_prompt"):
        settings.check_negative(request.stages)
    if body.enlarge and side is None:
        raise Problem(400, "To be enlarged a picture needs a size: give one, as 512x512.", param="size")
    if side is not None and (side <= model.picture_size or side in model.picture_sizes):
        side = None  # as large as that already, or drawn so by the decoder itself
    if side is not None:
        with about("size"):
            if Enhance.name not in model.capabilities:
                model.check_drawn(side)
            check_enlarging(model, Image.new("RGB", (model.picture_size, model.picture_size)), side)
    with about("prompt"):  # at last, since it is not done where too many wait already
        request = service.understood(request, checkpoint, bool(body.literal))
    return Order(request, checkpoint, count, body.seed, choice, side)


def _choice(service: Service, body: ImageRequest, request: Request, checkpoint: str) -> Choice:
    choice = body.settings or QUALITIES[body.quality or "auto"]
    sized = body.square in service.model(checkpoint).picture_sizes
    if body.negative_prompt is None and not sized:
        return choice
    table: dict[str, Any] = service.settings(choice, checkpoint, request).to_dict()
    if body.negative_prompt is not None:
        table["negative_prompt"] = body.negative_prompt
    if sized:
        table["decoder"]["picture_size"] = body.square
    return table


def only(pictures: Bytes) -> bytes:
    """Return the one picture; Problem for none, or several."""
    if len(pictures) > 1:
        sentence = f"There are {len(pictures)} pictures: send one. For several in one there is /v1/images/mixes."
        raise Problem(400, sentence, param="image")
    if not pictures or not pictures[0]:
        sentence = "There is no picture: send its file in the field image of a multipart form."
        raise Problem(400, sentence, param="image", code="missing_required_parameter")
    return pictures[0]


def _hole(picture: bytes) -> Image.Image:
    """Return the mask of a picture that is transparent where it is to be painted anew."""
    alpha = images.open_rgba(picture).getchannel("A")
    if alpha.getextrema()[0] == 255:
        sentence = (
            "Nothing is marked: send a mask, or a picture that is transparent where it is to be repainted. To change "
            "all of a picture by words there is /v1/images/text-diffs."
        )
        raise Problem(400, sentence, param="mask")
    return ImageOps.invert(alpha)


def _contents(pictures: Bytes, prompts: Sequence[str]) -> list[str | Image.Image]:
    if len(pictures) + len(prompts) > MAX_CONTENTS:  # before they are opened: each may take 120 MB of memory
        sentence = (
            f"Send at most {MAX_CONTENTS} pictures and prompts in one request, not {len(pictures) + len(prompts)}."
        )
        raise Problem(400, sentence, param="image" if pictures else "prompt")
    with about("image"):
        opened: list[str | Image.Image] = [open_picture(picture) for picture in pictures]
    with about("prompt"):
        return [*opened, *map(words, prompts)]


Make = Callable[..., Order]
