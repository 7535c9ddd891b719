"""A brush over a visitor's picture: what is painted becomes a mask. A component of its own."""

from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.data_classes import FileData, GradioRootModel

TEMPLATE = Path(__file__).with_name("brush.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("brush.js").read_text(encoding="utf-8")


class Mask(GradioRootModel):
    """The mask's file, or nothing, which the browser calls null or ""."""

    root: FileData | Literal[""] | None


class Brush(gr.HTML):
    """Shows the middle square of the picture at the address `picture`; its value is the file of the mask.

    The mask is a square PNG, white where something was painted, else black. Another picture takes it away.
    """

    data_model = Mask

    def __init__(self, render: bool = True) -> None:
        super().__init__(
            None,
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_classes="brush",
            apply_default_css=False,
            picture=None,
            render=render,
        )

    def preprocess(self, payload: Mask | None) -> str | None:
        """Return the mask's file, which nobody has looked into yet."""
        return payload.root.path if payload and payload.root else None

    def postprocess(self, value: str | None) -> Mask:
        return Mask(root=FileData(path=value) if value else None)

    def api_info(self) -> dict[str, Any]:
        return FileData.model_json_schema() | {
            "description": "a mask, white where the picture is repainted: of its size, or a square over its middle"
        }

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None
