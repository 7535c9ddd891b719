"""Inputs that hand the service what a visitor gave, as it was given: it checks, and refuses with a sentence."""

from typing import Any

import gradio as gr

from demo.gradio_internals import drawn_by_parent


@drawn_by_parent
class OwnPicture(gr.Image):
    """A place for a visitor's own picture: choose, drop, paste, or sent from a result. Its value is the file's path.

    The file is not decoded before the service has checked it, as gr.Image would.
    """

    def __init__(self, label: Any, height: int = 220, render: bool = True) -> None:
        super().__init__(
            label=label,
            type="filepath",
            format="png",
            sources=["upload", "clipboard"],
            buttons=["fullscreen"],
            height=height,
            elem_classes="own-picture",
            render=render,
        )

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


@drawn_by_parent
class WholeNumber(gr.Number):
    """A number that a broken one reaches the service as, which refuses it; gr.Number would round it in silence."""

    def preprocess(self, payload: float | None) -> float | int | None:
        return int(payload) if isinstance(payload, float) and payload.is_integer() else payload
