"""How to draw: a preset, or each stage's steps, guidance and scheduler, and a negative prompt.

A component that all tabs share.
"""

from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.requests import Request
from dalle2.serving.limits import MAX_CANDIDATES, MAX_GUIDANCE, MAX_STEPS, PRESETS
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.stage_settings import SCHEDULERS
from dalle2.tasks.text_to_image import ANY_PROMPT
from demo.facts import key_of

TEMPLATE = Path(__file__).with_name("choices.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("choices.js").read_text(encoding="utf-8")


class Choices(gr.HTML):
    """Its value is "draft", "fast", "default", "best", or a table of settings as in a picture's record.

    It offers what a task leaves open: the stages of a request that is `like` one of its, as far as they are free.
    """

    def __init__(
        self,
        checkpoint: str,
        value: str = "default",
        like: Request = ANY_PROMPT,
        render: bool = True,
    ) -> None:
        super().__init__(
            value,
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_classes="choices",
            apply_default_css=False,
            kind=key_of(like),
            stages=like.stages,
            checkpoint=checkpoint,
            schedulers=SCHEDULERS,
            most_steps=MAX_STEPS,
            most_guidance=MAX_GUIDANCE,
            most_candidates=MAX_CANDIDATES,
            most_characters=MAX_PROMPT_CHARACTERS,
            open=False,
            render=render,
        )
        self.like = like

    def api_info(self) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "string", "enum": list(PRESETS)}, {"type": "object"}],
            "description": "a preset, or what differs from the default: {stage: {num_inference_steps, guidance_scale, "
            "scheduler}, negative_prompt: text} as in a record, stage being one of the checkpoint's",
        }

    def example_payload(self) -> str:
        return "default"

    def example_value(self) -> str:
        return "default"
