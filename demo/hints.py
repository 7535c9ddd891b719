"""A line that says something of the chosen checkpoint, and is not there for the others."""

from collections.abc import Mapping

import gradio as gr

from demo.language import Both

TEMPLATE = """${(() => {
  const said = texts[checkpoint];
  return said ? `<p>${navigator.language.startsWith("zh") ? said.zh : said.en}</p>` : "";
})()}"""


class Hint(gr.HTML):
    """Shows the text of the checkpoint, in the visitor's language."""

    def __init__(self, texts: Mapping[str, Both], checkpoint: str, render: bool = True) -> None:
        super().__init__(
            "",
            html_template=TEMPLATE,
            js_on_load=None,
            elem_classes="hint",
            apply_default_css=False,
            texts={name: both._asdict() for name, both in texts.items()},
            checkpoint=checkpoint,
            render=render,
        )
