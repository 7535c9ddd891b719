"""What a front sends to a replica, and what it is told back while that draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from dalle2.requests import Request
from dalle2.serving.refusal import Refusal
from dalle2.settings import Settings
from dalle2.tasks.caption import Caption


@dataclass(frozen=True)
class Order:
    """Pictures of a request, one for each seed or a series; or a picture's captions, which take no settings."""

    request: Request | Caption
    seeds: Sequence[int] = ()
    settings: Settings | None = None


@dataclass(frozen=True)
class Started:
    """The first network runs, for so many pictures at once: of this order, and of others."""

    together: int


@dataclass(frozen=True)
class StepDone:
    """A step is done, as in `dalle2.settings.Step`; `previews` is empty where it is too early for new ones."""

    stage: str
    index: int
    total: int
    previews: Sequence[Image.Image] = ()


@dataclass(frozen=True)
class Finished:
    """All of it is done, or refused."""

    result: Sequence[Any] = ()
    refusal: Refusal | None = None


Message = Started | StepDone | Finished
