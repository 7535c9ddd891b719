"""The line that says what is going on: a sentence, and a bar for each stage. A component that all tabs share."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

# Bars first, sentence below; Handlebars escapes what it puts in.
TEMPLATE = """
<div class="status {{value.state}}">
  <div class="stages">
    {{#each value.stages}}
    <div class="stage"><span>{{this.name}}</span><progress value="{{this.done}}" max="{{this.total}}"
      aria-label="{{this.name}}"></progress></div>
    {{/each}}
  </div>
  <p role="status">{{value.text}}</p>
</div>
"""


class Status(gr.HTML):
    """Shows what `status` makes. While `state` is "waiting" or "working" the page offers to stop."""

    def __init__(self, value: dict[str, Any], elem_id: str) -> None:
        super().__init__(value, html_template=TEMPLATE, elem_id=elem_id, js_on_load=None)

    def api_info(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "state": {
                    "type": "string",
                    "enum": ["idle", "waiting", "working", "done", "stopped", "refused"],
                },
                "text": {"type": "string"},
                "stages": {"type": "array", "items": {"type": "object"}},
            },
        }

    def example_payload(self) -> dict[str, Any]:
        return status("idle", "")


def status(state: str, text: str, stages: Sequence[tuple[str, int, int]] = ()) -> dict[str, Any]:
    """A value of `Status`; `stages` is (name, steps done, steps in all)."""
    return {
        "state": state,
        "text": text,
        "stages": [{"name": name, "done": done, "total": total} for name, done, total in stages],
    }
