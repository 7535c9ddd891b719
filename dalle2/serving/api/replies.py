"""What clients are answered, as the OpenAPI document tells it: a model for each answer, and the errors of all.

The answers are made in `answers.py`, `problems.py` and the handlers; the tests hold each against its model here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dalle2.serving.api.problems import MOST_RETRY_SECONDS

Record = Annotated[
    dict[str, Any], Field(description="Task, prompts, seed, settings, checkpoint and versions: it draws this again.")
]
Settings = Annotated[
    dict[str, Any], Field(description="Each stage's settings as they were used, and what was against.")
]
Sentence = Annotated[str, Field(description="All of it in plain English; empty where the words are drawn as they are.")]


class Reply(BaseModel):
    """An answer, of which this document names every field."""

    model_config = ConfigDict(extra="forbid")


class Picture(Reply):
    """One picture, in the answer as `b64_json` or at an address, `url`."""

    b64_json: Annotated[str | None, Field(description="The file, in Base64.")] = None
    url: Annotated[str | None, Field(description="Where the file lies for an hour; nobody can guess it.")] = None
    revised_prompt: Annotated[
        str | None, Field(description="What was asked of the checkpoint, where it is not the prompt's own words.")
    ] = None
    seed: Annotated[int | None, Field(description="The same seed is the same picture, alone or third of eight.")]
    record: Record


class Understood(Reply):
    """What one prompt was taken for."""

    prompt: Annotated[str, Field(description="As it was sent.")]
    asked: Annotated[str, Field(description="What the checkpoint was asked.")]
    concept: Annotated[str | None, Field(description="The thing that is drawn, where the checkpoint knows one.")]
    style: str | None
    background: str | None
    guessed: Annotated[bool, Field(description="Whether the concept is a guess at a description.")]
    literal: Annotated[bool, Field(description="Whether the words were taken as they are.")]
    nearest: Annotated[list[str], Field(description="What else may have been meant.")]


class Understanding(Understood):
    """What the request's only prompt was taken for."""

    sentence: Sentence


class Understandings(Reply):
    """What each of several prompts was taken for."""

    prompts: list[Understood]
    sentence: Sentence


class Shared(Reply):
    """What is true of all pictures of a request."""

    model: Annotated[str, Field(description="The checkpoint that drew, whatever it was called.")]
    size: Annotated[str, Field(description="As it is, whatever was asked for.", examples=["64x64"])]
    quality: str
    background: Literal["opaque", "transparent"]
    output_format: Literal["png", "jpeg", "webp"]
    settings: Settings | None = None
    understanding: Understanding | Understandings | None = None


class Pictures(Shared):
    """All pictures of a request."""

    created: Annotated[int, Field(description="Seconds since 1970.")]
    data: list[Picture]


class PartialImage(Shared):
    """An event of a stream: a preview, which has no record."""

    type: Annotated[str, Field(pattern=r"^image_\w+\.partial_image$")]
    b64_json: str
    created_at: int
    partial_image_index: Annotated[int, Field(description="Counts previews from 0.")]
    picture_index: Annotated[int, Field(description="Which of the request's pictures it is, from 0.")]


class Completed(Shared):
    """An event of a stream: a finished picture."""

    type: Annotated[str, Field(pattern=r"^image_\w+\.completed$")]
    b64_json: str
    created_at: int
    picture_index: int
    seed: int | None
    record: Record
    revised_prompt: str | None = None
    usage: Annotated[dict[str, Any], Field(description="Zeros, since nothing is counted in tokens here.")]


class Caption(Reply):
    """A phrase, and how near it is to the picture: a cosine."""

    caption: str
    score: float


class Captions(Reply):
    """The phrases nearest to a picture, the nearest first."""

    created: int
    model: str
    data: list[Caption]


class Model(Reply):
    """A checkpoint."""

    id: Annotated[str, Field(description="Its name, which `model` takes.")]
    object: Literal["model"]
    created: int
    owned_by: str
    capabilities: Annotated[list[str], Field(description="The tasks that it can do.")]
    size: Annotated[str, Field(description="The size that it draws.")]
    sizes: Annotated[list[str] | None, Field(description="Other sizes that its decoder draws.")] = None
    styles: Annotated[list[str], Field(description="Styles that it was trained on, by name.")]
    checkpoint_hash: str


class Models(Reply):
    """The checkpoints, of which the first is what OpenAI's names of models stand for."""

    object: Literal["list"]
    data: list[Model]


class Reported(Reply):
    """A report that is kept."""

    object: Literal["report"]
    picture: Annotated[str, Field(description="The picture's name: the SHA-256 of its pixels.")]
    reason: str
    times: Annotated[int, Field(description="How often this picture has been reported for this reason.")]


class Counts(Reply):
    """What the operator is told: who waits, what was refused or withheld since the start, and what was reported."""

    waiting: Annotated[int, Field(description="Requests in the queue, with those that are being drawn.")]
    decisions: Annotated[dict[str, int], Field(description="Since the start, by kind.")]
    reported: Annotated[dict[str, int], Field(description="Since the file of reports began, by reason.")]
    reports: Annotated[list[dict[str, Any]], Field(description="The last ones, the newest first.")]


class Error(BaseModel):
    """What went wrong. Some codes say more beside it, as `nearest` with prompt_not_understood."""

    model_config = ConfigDict(extra="allow")

    message: Annotated[str, Field(description="A sentence that says what to do.")]
    type: Literal["invalid_request_error", "requests", "server_error"]
    param: Annotated[str | None, Field(description="The field that is wrong.")]
    code: Annotated[str | None, Field(description="What programs know the error by.")]


class Errored(Reply):
    """An error, in OpenAI's shape."""

    error: Error


RETRY = {
    "Retry-After": {
        "description": f"Seconds until it is worth asking again, {MOST_RETRY_SECONDS} at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_RETRY_SECONDS},
    }
}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Errored, "description": "A field cannot be used, or a picture not be read: the sentence says why."},
    401: {"model": Errored, "description": "No API key was sent, or a wrong one."},
    403: {"model": Errored, "description": "A web page of another site, or a key without this right."},
    404: {"model": Errored, "description": "There is no such model, or nothing at this address any more."},
    413: {"model": Errored, "description": "The request, or a picture in it, is too large."},
    429: {"model": Errored, "description": "The queue is full, or a key's limits are reached.", "headers": RETRY},
    "4XX": {"model": Errored, "description": "What else is refused."},
    503: {"model": Errored, "description": "There is not enough memory for what was asked."},
    "5XX": {"model": Errored, "description": "A fault of the server's, which its log tells."},
}
# The schema is that of each event.
STREAM = {
    "schema": {
        "type": "object",
        "description": "Server-sent events where `stream` is true: up to `partial_images` previews of each picture, "
        "then each picture, or an event `error`. Comments keep a silent stream open.",
        "properties": {
            "event": {"type": "string"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{name}"} for name in ("PartialImage", "Completed", "Errored")
                    ]
                },
            },
        },
    },
}
DRAWN: dict[int | str, dict[str, Any]] = {
    200: {"model": Pictures, "description": "The pictures.", "content": {"text/event-stream": STREAM}}
} | ERRORS
EVENTS = (PartialImage, Completed)
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture's file.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "image/jpeg", "image/webp")
        },
    }
} | ERRORS
