"""Things to pick from with a click, of the chosen checkpoint: texts as chips, or pictures with their names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from demo.gradio_internals import update_props
from demo.language import Bilingual

TEMPLATE = Path(__file__).with_name("picks.html").read_text(encoding="utf-8").strip()
BEHAVIOUR = Path(__file__).with_name("picks.js").read_text(encoding="utf-8")


class Picks(gr.HTML):
    """Offers a fact of the checkpoint, {name, url}s, `url` being a picture; texts, without, in the visitor's language.

    A click puts the name into the page's `window.picked` and triggers "pick". With `marks` the one that is its value
    is marked as chosen.
    """

    def __init__(
        self,
        fact: str,
        checkpoint: str,
        heading: Bilingual,
        marks: bool = False,
        elem_id: str | None = None,
        render: bool = True,
    ) -> None:
        super().__init__(
            "",
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_id=elem_id,
            elem_classes="picks",
            apply_default_css=False,
            fact=fact,
            checkpoint=checkpoint,
            heading=heading._asdict(),
            marks=marks,
            render=render,
        )

    def follow(self, picker: gr.Dropdown, options: Mapping[str, Any]) -> None:
        """Offer what belongs to the checkpoint of the picker; `options` are the listener's."""
        picker.change(None, picker, self, js=f"checkpoint => {update_props(self, 'checkpoint')}", **options)
