"""English and Chinese: a sentence stands with its translation where it is used, and the browser's language picks.

What Gradio shows (labels, buttons, tabs) is translated in the browser, by `Words`; what the server says or a
template of ours shows is a `Bilingual`. Refusals may be born where nobody knows of visitors, so they are English, and
`refused` finds their translation in refusals.toml.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from demo.gradio_internals import translatable

REFUSALS: dict[str, str] = {
    english: chinese
    for section in tomllib.loads(Path(__file__).with_name("refusals.toml").read_text(encoding="utf-8")).values()
    for english, chinese in section.items()
}
LONGEST = 500  # in characters; what is longer quotes what somebody sent, and would take long to match
# The plainer a sentence, the earlier it is tried: "{} lacks {}." would fit much.
PATTERNS = [
    (re.compile(re.escape(english).replace(r"\{\}", "(.*)"), re.DOTALL), chinese)
    for english, chinese in sorted(REFUSALS.items(), key=lambda row: -len(row[0].replace("{}", "")))
]


class Bilingual(NamedTuple):
    """A sentence in the two languages."""

    en: str
    zh: str

    def for_visitor(self, request: gr.Request | None) -> str:
        """Return it in the language that the visitor's browser asks for first; in English for callers of the API."""
        return self.zh if _reads_chinese(request) else self.en


def hours(*seconds: float) -> Bilingual:
    """Return a time, or two as a range, in hours and tenths: "2 to 2.5 hours"."""
    numbers = [f"{round(time / 3600, 1):g}" for time in seconds]
    unit = "hour" if numbers == ["1"] else "hours"
    return Bilingual(f"{' to '.join(numbers)} {unit}", f"{' 到 '.join(numbers)} 小时")


def refused(sentence: object, request: gr.Request | None) -> str:
    """Return a refusal's sentence in the visitor's language; in English where nobody has translated it."""
    return in_chinese(str(sentence)) if _reads_chinese(request) else str(sentence)


def in_chinese(sentence: str) -> str:
    """Return the translation, with that of each part that has one; the sentence itself where there is none."""
    if len(sentence) > LONGEST:
        return sentence
    for pattern, chinese in PATTERNS:
        if found := pattern.fullmatch(sentence):
            return chinese.format(*map(in_chinese, found.groups()))
    return sentence


def language_of(request: gr.Request | None) -> str:
    """Return what the visitor's browser asks for first, as "de-at"; "en" for callers of the API."""
    asked = request.headers.get("accept-language", "") if request else ""
    return re.split("[,;]", asked.lower())[0].strip() or "en"


def _reads_chinese(request: gr.Request | None) -> bool:
    return language_of(request).startswith("zh")


class Words:
    """Gathers the sentences while the page is built, for Gradio to translate them."""

    def __init__(self) -> None:
        self._chinese: dict[str, str] = {}

    def __call__(self, en: str, zh: str) -> Any:
        """Return the sentence as a value for a label, placeholder, description, title or button."""
        self._chinese[en] = zh
        return translatable(en)

    def translations(self) -> gr.I18n:
        """Return what `launch(i18n=...)` takes."""
        return gr.I18n(en={en: en for en in self._chinese}, zh=self._chinese, **{"zh-CN": self._chinese})
