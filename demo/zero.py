"""ZeroGPU on Hugging Face Spaces: there a task has a GPU only inside a function that the package `spaces` runs.

Everywhere else, and without the package, nothing changes.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import SimpleNamespace
from typing import Any

import gradio as gr

from dalle2.requests import ANY_PICTURE, Request
from dalle2.serving.api.problems import Problem
from dalle2.serving.limits import MAX_PICTURES
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.tasks.variations import Variations

try:
    import spaces
except ImportError:
    spaces = None

# What is asked for comes off the visitor's daily minutes only as far as it is used, but a shorter wish is served
# sooner, and a longer drawing is cut off. So the share of one step is a generous guess: nobody has measured it there.
BEGINNING_SECONDS = 5
STEP_SECONDS = 0.05  # one network step of one picture
MOST_SECONDS = 120


def accelerated(
    endpoint: Callable[..., Iterator[tuple]], service: Service, like: Request = ANY_PROMPT
) -> Callable[..., Iterator[tuple]]:
    """Yield the endpoint with a GPU where one has to be asked for; else the endpoint itself.

    ZeroGPU runs it in a process of its own. What goes there must be picklable, and a request is not: the endpoint
    gets one with only what it reads of it, the visitor's language.
    """
    task = spaces.GPU(endpoint, duration=duration(endpoint, service, like)) if spaces else endpoint
    if task is endpoint:
        return endpoint

    @wraps(endpoint)
    def called(*arguments: Any) -> Iterator[tuple]:
        yield from task(*(_light(value) if isinstance(value, gr.Request) else value for value in arguments))

    return called


def beside(api: Any) -> Any:
    """Return what is served at /v1 beside the page: the API or, where only the page's calls get a GPU, a refusal."""
    if api is None or spaces is None or spaces.GPU(_probe, duration=BEGINNING_SECONDS) is _probe:
        return api
    return _closed


def _probe() -> None:
    """Stand for any task."""


async def _closed(scope: Any, receive: Any, send: Any) -> None:
    sentence = (
        "On ZeroGPU only the page, and programs that call it by gradio_client, get a GPU: to use this API, give the "
        "Space hardware of its own, or run the server elsewhere."
    )
    await Problem(503, sentence, headers={"x-should-retry": "false"}).response()(scope, receive, send)


def duration(endpoint: Callable[..., Any], service: Service, like: Request) -> Callable[..., int]:
    """Return a function of an endpoint's arguments: the seconds it needs a GPU, by pictures and steps."""
    signature = inspect.signature(endpoint)

    def seconds(*arguments: Any, **named: Any) -> int:
        asked = signature.bind_partial(*arguments, **named)
        asked.apply_defaults()
        needed = BEGINNING_SECONDS + STEP_SECONDS * _steps(asked.arguments, service, like)
        return math.ceil(min(needed, MOST_SECONDS))

    return seconds


def _steps(asked: Mapping[str, Any], service: Service, like: Request) -> int:
    """Return the network steps of all pictures; 0 for what will be refused, which needs no GPU."""
    # A task that is not told how many, as all styles or all axes, draws about as many as a visitor may ask for.
    pictures = asked.get("count", asked.get("frames", MAX_PICTURES))
    request = Variations(ANY_PICTURE, eta=0.0) if asked.get("keep_composition") else like
    ways = [(asked.get("settings", "default"), asked.get("checkpoint"))]
    if "other_settings" in asked:  # two contestants
        ways.append((asked["other_settings"], asked.get("other_checkpoint")))
    try:
        return sum(service.steps(settings, pictures, checkpoint, request) for settings, checkpoint in ways)
    except Refusal:
        return 0


def _light(request: gr.Request) -> SimpleNamespace:
    return SimpleNamespace(headers={"accept-language": request.headers.get("accept-language", "")})
