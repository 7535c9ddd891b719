"""How to draw: a preset, or each stage's steps, guidance and scheduler. A component that all tabs share."""

from pathlib import Path
from typing import Any

import gradio as gr

from demo.studio import MAX_GUIDANCE, MAX_STEPS, PRESETS, SCHEDULERS, Studio

TEMPLATE = Path(__file__).with_name("choices.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("choices.js").read_text(encoding="utf-8")


class Choices(gr.HTML):
    """Its value is "fast", "default", "best", or a table of settings as in a picture's record."""

    def __init__(self, studio: Studio, checkpoint: str, value: str = "default", render: bool = True) -> None:
        super().__init__(
            value,
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_classes="choices",
            apply_default_css=False,
            presets={
                each: {name: studio.settings(name, each).to_dict() for name in PRESETS} for each in studio.checkpoints
            },
            checkpoint=checkpoint,
            schedulers=SCHEDULERS,
            most_steps=MAX_STEPS,
            most_guidance=MAX_GUIDANCE,
            open=False,
            render=render,
        )

    def api_info(self) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "string", "enum": list(PRESETS)}, {"type": "object"}],
            "description": "a preset, or {stage: {num_inference_steps, guidance_scale, scheduler}} as in a record",
        }

    def example_payload(self) -> str:
        return "default"

    def example_value(self) -> str:
        return "default"
