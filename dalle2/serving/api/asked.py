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
from dalle2.settings import MAX_SEED, SIZES, check_seed
from dalle2.tasks.caption import MAX_CAPTIONS, check_num

# What OpenAI calls its models: each stands for the default checkpoint.
OPENAI_MODELS = re.compile(r"dall-e-\d.*|(chatgpt-|gpt-)image.*")
# OpenAI's qualities, as the presets that they are nearest to; "standard" and "hd" were dall-e-3's.
QUALITIES = {"low": "fast", "medium": "default", "high": "best", "standard": "default", "hd": "best"}
QUALITIES |= {"auto": "default", "xhigh": "best", "max": "best"}
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
MOST_PARTIAL_IMAGES = 3

T = TypeVar("T")


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


def _table(value: Any) -> Any:
    """Return a form's table, which comes as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"The settings are no JSON: {error}.") from error
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
Count = Annotated[int, AfterValidator(partial(check_count, most=MAX_API_PICTURES)), _whole(1, MAX_API_PICTURES)]
Frames = Annotated[int, AfterValidator(partial(check_count, most=MAX_FRAMES)), _whole(2, MAX_FRAMES)]
Captions = Annotated[int, AfterValidator(_check_captions), _whole(1, MAX_CAPTIONS)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, AfterValidator(check_seed), _whole(0, MAX_SEED)]
Size = Annotated[str, AfterValidator(_check_size), WithJsonSchema({"type": "string", "examples": ["512x512", "auto"]})]
Quality = Annotated[str, AfterValidator(_check_quality), WithJsonSchema({"type": "string", "enum": list(QUALITIES)})]
Uploads = Annotated[list[UploadFile], Field(description="A picture: PNG, JPEG, WebP, GIF, BMP or AVIF, at most 20 MB.")]


class Asked(BaseModel):
    """What all requests that draw have."""

    model: Annotated[
        Optional[str], Field(description="A checkpoint's name; OpenAI's names stand for the default one.")
    ] = None
    size: Annotated[
        Optional[Size],
        Field(
            description="Drawn where the checkpoint's decoder draws other sizes than its own; elsewhere that is drawn, "
            "and answered, and `enlarge` brings pictures to this one."
        ),
    ] = None
    enlarge: Annotated[
        Optional[bool], Field(description=f"Enlarge what is drawn to `size`, up to {SIZES[-1]}, by the upsampler.")
    ] = None
    quality: Optional[Quality] = None
    response_format: Annotated[
        Optional[Literal["url", "b64_json"]],
        Field(description="Without it as OpenAI's: url, but b64_json for the names of its GPT image models."),
    ] = None
    output_format: Optional[Literal["png", "jpeg", "webp"]] = None
    output_compression: Optional[Annotated[int, Field(ge=0, le=100)]] = None
    background: Annotated[
        Optional[Literal["transparent", "opaque", "auto"]],
        Field(description="transparent cuts an even background out; where there is none, the answer says opaque."),
    ] = None
    stream: Optional[bool] = None
    partial_images: Optional[Annotated[int, Field(ge=0, le=MOST_PARTIAL_IMAGES)]] = None
    seed: Annotated[
        Optional[Seed], Field(description="The first picture's; the next ones count up. Without it a random one.")
    ] = None
    settings: Annotated[
        Optional[Annotated[str | dict[str, Any], BeforeValidator(_table)]],
        Field(description=f"One of {', '.join(PRESETS)}, or a table as in a picture's record; instead of `quality`."),
    ] = None
    negative_prompt: Optional[str] = None
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


class Generation(Asked):
    """POST /images/generations."""

    prompt: str
    n: Optional[Count] = None


class Files(BaseModel):
    """A form with pictures, as `image` or `image[]`."""

    image: Optional[Uploads] = None
    images: Annotated[Optional[Uploads], Field(alias="image[]")] = None

    @property
    def uploads(self) -> list[UploadFile]:
        """All pictures, in the order in which they were sent."""
        return [*(self.image or ()), *(self.images or ())]


class Pictured(Files, Asked):
    """A form with pictures that something is drawn from."""


class Edit(Pictured):
    """POST /images/edits."""

    prompt: Optional[str] = None
    mask: Annotated[
        Optional[UploadFile],
        Field(description="Transparent where the picture is repainted; or, without transparency, white there."),
    ] = None
    n: Optional[Count] = None


class Variation(Pictured):
    """POST /images/variations."""

    prompt: Optional[str] = None
    eta: Annotated[
        Optional[Share],
        Field(description="Start from the picture's own noise, from 0 (the same) to 1 (freely)."),
    ] = None
    n: Optional[Count] = None


class Contents(Pictured):
    """Pictures and prompts, of which the pictures count before the prompts."""

    prompt: Optional[list[str]] = None
    prompts: Annotated[Optional[list[str]], Field(alias="prompt[]")] = None

    @property
    def said(self) -> list[str]:
        """All prompts, in the order in which they were sent."""
        return [*(self.prompt or ()), *(self.prompts or ())]


class Interpolation(Contents):
    """POST /images/interpolations."""

    n: Annotated[Optional[Frames], Field(description="How many frames; 8 without it.")] = None
    noise: Optional[Literal["fixed", "slerp"]] = None
    loop: Optional[bool] = None


class Mixture(Contents):
    """POST /images/mixes."""

    weight: Annotated[Optional[list[float]], Field(description="Of pictures, then prompts; else 1 each.")] = None
    weights: Annotated[Optional[list[float]], Field(alias="weight[]")] = None
    n: Optional[Count] = None


class Rewording(Pictured):
    """POST /images/text-diffs."""

    prompt: Annotated[str, Field(description="What the picture should become.")]
    old_prompt: Annotated[Optional[str], Field(description="What it is; without it nothing said.")] = None
    strength: Annotated[
        Optional[Share], Field(description="How far the last picture is moved; without it the way's own.")
    ] = None
    way: Optional[Literal["prior", "slerp"]] = None
    n: Annotated[Optional[Frames], Field(description="How many pictures of growing strength; 6 without it.")] = None


class Captioning(Files):
    """POST /images/captions."""

    model: Optional[str] = None
    n: Annotated[Optional[Captions], Field(description="How many captions; 5 without it.")] = None
