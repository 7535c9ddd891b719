"""ZeroGPU on Hugging Face Spaces: there a task has a GPU only inside a function that the package `spaces` runs.

Everywhere else, and without the package, nothing changes.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from types import SimpleNamespace
from typing import Any

import gradio as gr

try:
    import spaces
except ImportError:
    spaces = None


def accelerated(endpoint: Callable[..., Iterator[tuple]]) -> Callable[..., Iterator[tuple]]:
    """The endpoint with a GPU where one has to be asked for; else the endpoint itself.

    ZeroGPU runs it in a process of its own. What goes there must be picklable, and a request is not: the endpoint
    gets one with only what it reads of it, the visitor's language.
    """
    task = spaces.GPU(endpoint) if spaces else endpoint
    if task is endpoint:
        return endpoint

    @wraps(endpoint)
    def called(*arguments: Any) -> Iterator[tuple]:
        yield from task(*(_light(value) if isinstance(value, gr.Request) else value for value in arguments))

    return called


def _light(request: gr.Request) -> SimpleNamespace:
    return SimpleNamespace(headers={"accept-language": request.headers.get("accept-language", "")})
