"""What clients ask: the fields of OpenAI's image requests, and beside them those that only this server knows.

Any other field is ignored. A form has no tables: there `settings` is a preset's name, or the table as JSON.
"""

import json
import re
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import UploadFile
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from dalle2.serving.limits import MAX_API_PICTURES, MAX_FRAMES, PRESETS, check_count
from dalle2.serving.reports import MOST_NOTE_CHARACTERS, REASONS, check_reason
from dalle2.settings import MAX_SEED, SIZES, check_seed
from dalle2.tasks.caption import MAX_CAPTIONS, check_num

# What OpenAI calls its models: each stands for the default checkpoint.
OPENAI_MODELS = re.compile(r"dall-e-\d.*|(chatgpt-|gpt-)image.*")
# OpenAI's qualities, as the presets that they are nearest to; "standard" and "hd" were dall-e-3's.
QUALITIES = {"low": "fast", "medium": "default", "high": "best", "standard": "default", "hd": "best"}
QUALITIES |= {"auto": "default", "xhigh": "best", "max": "best"}
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)
MOST_PARTIAL_IMAGES = 3

T = TypeVar("T")


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _table(value: Any) -> Any:
    """Return a form's table, which comes as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The settings are no JSON: {error}.") from error
    return value


def _settings(value: Any) -> Any:
    """Return a preset's name, or the table; ValueError for anything else."""
    found = _table(value)
    if not isinstance(found, str | dict):
        raise ValueError("The settings are a preset's name or a table as in a picture's record: give one of these.")
    return found


def _number(value: Any) -> Any:
    """Return the value; ValueError for true and false, which pydantic takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"A number is needed here, not {str(value).lower()}.")
    return value


def _check_size(size: str) -> str:
    if size != "auto" and not SIZE.fullmatch(size):
        raise ValueError(f"A size is WIDTHxHEIGHT in pixels, as 512x512, or auto, not {size!r}.")
    return size


def _check_quality(quality: str) -> str:
    if quality not in QUALITIES:
        raise ValueError(f"There is no quality {quality!r}: choose one of {', '.join(QUALITIES)}.")
    return quality


def _whole(least: int, most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})


def _check_captions(count: int) -> int:
    check_num(count)
    return count


Optional = Annotated[T | None, BeforeValidator(_empty_is_none)]
Whole = Annotated[int, BeforeValidator(_number)]
Count = Annotated[Whole, AfterValidator(partial(check_count, most=MAX_API_PICTURES)), _whole(1, MAX_API_PICTURES)]
Frames = Annotated[Whole, AfterValidator(partial(check_count, most=MAX_FRAMES)), _whole(2, MAX_FRAMES)]
Captions = Annotated[Whole, AfterValidator(_check_captions), _whole(1, MAX_CAPTIONS)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[Whole, AfterValidator(check_seed), _whole(0, MAX_SEED)]
Size = Annotated[str, AfterValidator(_check_size), WithJsonSchema({"type": "string", "examples": ["512x512", "auto"]})]
Quality = Annotated[str, AfterValidator(_check_quality), WithJsonSchema({"type": "string", "enum": list(QUALITIES)})]
A_PICTURE = "A picture: PNG, JPEG, WebP, GIF, BMP or AVIF, at most 20 MB."
A_MODEL = "A checkpoint's name; OpenAI's names stand for the default one."
A_PROMPT = "What to draw, in at most 1,000 characters."
WEIGHTS = "Of pictures, then prompts; else 1 each. A negative one takes a content away."
HOW_MANY = "How many pictures, of seeds that count up; 1 without it."


class ImageRequest(BaseModel):
    """What all requests that draw have."""

    model: Annotated[Optional[str], Field(description=A_MODEL, examples=["dall-e-2"])] = None
    size: Annotated[
        Optional[Size],
        Field(
            description="Drawn where the checkpoint's decoder draws other sizes than its own; elsewhere that is drawn, "
            "and answered, and `enlarge` brings pictures to this one."
        ),
    ] = None
    enlarge: Annotated[
        Optional[bool],
        Field(description=f"Enlarge what is drawn to `size`, which it needs, up to {SIZES[-1]}, by the upsampler."),
    ] = None
    quality: Annotated[
        Optional[Quality], Field(description="low, medium, high: half, all, two and a half times the usual steps.")
    ] = None
    response_format: Annotated[
        Optional[Literal["url", "b64_json"]],
        Field(description="Without it as OpenAI's: url, but b64_json for the names of its GPT image models."),
    ] = None
    output_format: Annotated[
        Optional[Literal["png", "jpeg", "webp"]], Field(description="The files' kind; png, which alone has a record.")
    ] = None
    output_compression: Annotated[
        Optional[Annotated[Whole, Field(ge=0, le=100)]], Field(description="Of jpeg and webp: 100 loses the least.")
    ] = None
    background: Annotated[
        Optional[Literal["transparent", "opaque", "auto"]],
        Field(description="transparent cuts an even background out; where there is none, the answer says opaque."),
    ] = None
    stream: Annotated[Optional[bool], Field(description="Answer with server-sent events.")] = None
    partial_images: Annotated[
        Optional[Annotated[Whole, Field(ge=0, le=MOST_PARTIAL_IMAGES)]],
        Field(description="Previews of each picture in a stream; a quick machine shows fewer."),
    ] = None
    seed: Annotated[
        Optional[Seed], Field(description="The first picture's; the next ones count up. Without it a random one.")
    ] = None
    settings: Annotated[
        Optional[Annotated[str | dict[str, Any], BeforeValidator(_settings)]],
        Field(description=f"One of {', '.join(PRESETS)}, or a table as in a picture's record; instead of `quality`."),
    ] = None
    negative_prompt: Annotated[
        str | None,
        Field(description="What to steer away from. Empty is not the same as none where a decoder reads no text."),
    ] = None
    literal: Annotated[Optional[bool], Field(description="Draw the very words, without understanding them.")] = None

    @property
    def base64(self) -> bool:
        """Whether the pictures stand in the answer, and not at an address of their own."""
        if self.response_format:
            return self.response_format == "b64_json"
        return "image" in (self.model or "") and bool(OPENAI_MODELS.fullmatch(self.model or ""))

    @property
    def side(self) -> int | None:
        """Pixels a side to which to enlarge what is drawn, which is square; None for as it is."""
        return self.square if self.enlarge else None

    @property
    def square(self) -> int | None:
        """Pixels a side of the largest square in the size that is asked for; None for the checkpoint's own size."""
        found = SIZE.fullmatch(self.size or "")
        return min(map(int, found.groups())) if found else None


class Generation(ImageRequest):
    """POST /images/generations."""

    prompt: Annotated[str, Field(description=A_PROMPT, examples=["a cat face, noto style"])]
    n: Annotated[Optional[Count], Field(description=HOW_MANY)] = None


class Files(BaseModel):
    """A form with pictures, as `image` or `image[]`."""

    image: Annotated[Optional[list[UploadFile]], Field(description=A_PICTURE)] = None
    images: Annotated[Optional[list[UploadFile]], Field(alias="image[]", description=A_PICTURE)] = None

    @property
    def uploads(self) -> list[UploadFile]:
        """All pictures, in the order in which they were sent."""
        return [*(self.image or ()), *(self.images or ())]


class PictureForm(Files, ImageRequest):
    """A form with pictures that something is drawn from."""


class Edit(PictureForm):
    """POST /images/edits."""

    prompt: Annotated[Optional[str], Field(description="What to paint there; else in the picture's own spirit.")] = None
    mask: Annotated[
        Optional[UploadFile],
        Field(description="Transparent where the picture is repainted; or, without transparency, white there."),
    ] = None
    n: Annotated[Optional[Count], Field(description=HOW_MANY)] = None


class Variation(PictureForm):
    """POST /images/variations."""

    prompt: Annotated[Optional[str], Field(description="Words beside the picture.")] = None
    eta: Annotated[
        Optional[Share],
        Field(description="Start from the picture's own noise, from 0 (the same) to 1 (freely)."),
    ] = None
    n: Annotated[Optional[Count], Field(description=HOW_MANY)] = None


class Contents(PictureForm):
    """Pictures and prompts, of which the pictures count before the prompts."""

    prompt: Annotated[Optional[list[str]], Field(description=A_PROMPT)] = None
    prompts: Annotated[Optional[list[str]], Field(alias="prompt[]", description=A_PROMPT)] = None

    @property
    def all_prompts(self) -> list[str]:
        """All prompts, in the order in which they were sent."""
        return [*(self.prompt or ()), *(self.prompts or ())]


class Interpolation(Contents):
    """POST /images/interpolations."""

    n: Annotated[Optional[Frames], Field(description="How many frames; 8 without it.")] = None
    noise: Annotated[
        Optional[Literal["fixed", "slerp"]],
        Field(description="fixed: all frames share the seed's noise; slerp: from one picture's own to the next one's."),
    ] = None
    loop: Annotated[Optional[bool], Field(description="Lead back to the first end, which is not repeated.")] = None


class Mixture(Contents):
    """POST /images/mixes."""

    weight: Annotated[Optional[list[float]], Field(description=WEIGHTS)] = None
    weights: Annotated[Optional[list[float]], Field(alias="weight[]", description=WEIGHTS)] = None
    n: Annotated[Optional[Count], Field(description=HOW_MANY)] = None


class Rewording(PictureForm):
    """POST /images/text-diffs."""

    prompt: Annotated[str, Field(description="What the picture should become.")]
    old_prompt: Annotated[Optional[str], Field(description="What it is; without it nothing said.")] = None
    strength: Annotated[
        Optional[Share], Field(description="How far the last picture is moved; without it the way's own.")
    ] = None
    way: Annotated[
        Optional[Literal["prior", "slerp"]],
        Field(description="prior: the prior rewrites the picture; slerp: the paper's, along the texts' difference."),
    ] = None
    n: Annotated[Optional[Frames], Field(description="How many pictures of growing strength; 6 without it.")] = None


class Reporting(Files):
    """POST /images/reports."""

    reason: Annotated[
        Annotated[str, AfterValidator(check_reason), WithJsonSchema({"type": "string", "enum": list(REASONS)})],
        Field(description="What is wrong with the picture."),
    ]
    url: Annotated[
        Optional[str], Field(description="The address that an answer named, instead of the picture's file.")
    ] = None
    note: Annotated[
        Optional[str], Field(description=f"What is wrong with it, in at most {MOST_NOTE_CHARACTERS} characters.")
    ] = None
    with_record: Annotated[
        Optional[bool], Field(description="Keep the picture's record too, with its prompt, for the operator to read.")
    ] = None


class Captioning(Files):
    """POST /images/captions."""

    model: Annotated[Optional[str], Field(description=A_MODEL)] = None
    n: Annotated[Optional[Captions], Field(description="How many captions; 5 without it.")] = None
