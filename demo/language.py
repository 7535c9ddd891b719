"""English and Chinese: a sentence stands with its translation where it is used, and the browser's language picks.

What Gradio shows (labels, buttons, tabs) is translated in the browser, by `Words`; what the server says or a
template of ours shows is a `Both`.
"""

from typing import NamedTuple

import gradio as gr
from gradio.i18n import I18nData


class Both(NamedTuple):
    """A sentence in the two languages."""

    en: str
    zh: str

    def for_visitor(self, request: gr.Request | None) -> str:
        """In the language that the visitor's browser asks for first; English for callers of the API."""
        asked = request.headers.get("accept-language", "") if request else ""
        return self.zh if asked.lower().startswith("zh") else self.en


class Words:
    """Gathers the sentences while the page is built, for Gradio to translate them."""

    def __init__(self) -> None:
        self._chinese: dict[str, str] = {}

    def __call__(self, en: str, zh: str) -> I18nData:
        """The sentence as a value for a label, placeholder, description, title or button."""
        self._chinese[en] = zh
        return I18nData(en)

    def translations(self) -> gr.I18n:
        """What `launch(i18n=...)` takes."""
        return gr.I18n(en={en: en for en in self._chinese}, zh=self._chinese, **{"zh-CN": self._chinese})
