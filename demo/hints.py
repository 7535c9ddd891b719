"""A line that says something of the chosen checkpoint, and is not there for the others."""

from typing import Any

import gradio as gr

from demo.gradio_internals import update_props
from demo.language import Bilingual

TEMPLATE = """${(() => {
  const zh = navigator.language.startsWith("zh"), known = window.checkpoints[checkpoint][fact];
  if (known === null || known === "") return "";
  const own = typeof known === "object" ? (zh ? known.zh : known.en) : known;
  const said = (zh ? text.zh : text.en).replaceAll("{}", own);
  return `<p>${said.replace(/[&<>]/g, sign => `&#${sign.charCodeAt(0)};`)}</p>`;
})()}"""


class Hint(gr.HTML):
    """Shows the text with this fact of the checkpoint (see `Facts`) in the place of `{}`, where it has that fact."""

    def __init__(self, text: Bilingual, fact: str, checkpoint: str, render: bool = True) -> None:
        super().__init__(
            "",
            html_template=TEMPLATE,
            js_on_load=None,
            elem_classes="hint",
            apply_default_css=False,
            text=text._asdict(),
            fact=fact,
            checkpoint=checkpoint,
            render=render,
        )

    def follow(self, picker: gr.Dropdown, options: dict[str, Any]) -> None:
        """Speak of the checkpoint of the picker; `options` are the listener's."""
        picker.change(None, picker, self, js=f"checkpoint => {update_props(self, 'checkpoint')}", **options)
