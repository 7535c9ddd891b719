"""What the page knows of each checkpoint: all that differs from one to another, for its templates and scripts.

In the browser it is `window.checkpoints`, by name, of those that have been in memory, and `window.offers`, all that can
be had. A checkpoint that is loaded later brings its own with it (`demo/picker.py`).
"""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from dalle2.requests import Request
from dalle2.serving.api.address import host_of, sits_here
from dalle2.serving.api.options import is_loopback
from dalle2.serving.limits import MAX_UPLOAD_BYTES, PRESETS
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.tasks.text_to_image import ANY_PROMPT
from demo import samples
from demo.language import Bilingual

KNOWN = ("parameters", "download", "side", "licence", "en", "zh")  # of a checkpoint before it is loaded
EXAMPLES = 3  # pictures of the checkpoint that a click extends
# Whether a checkpoint of these capabilities can serve a tab.
Able = Callable[[Collection[str]], bool]


def key_of(like: Request) -> str:
    """Return under which name a request's presets are kept: that of what it leaves open."""
    return f"{like.name} {' '.join(like.stages)}"


class Facts:
    """The facts of one service's checkpoints; the builder of the page says which presets and tabs there are."""

    def __init__(self, service: Service, everyone: bool = False) -> None:
        """Know of a service's checkpoints; `everyone` may pick published ones, or only who sits at its machine."""
        self.service, self.everyone = service, everyone
        self.likes: dict[str, Request] = {key_of(ANY_PROMPT): ANY_PROMPT}
        self.tabs: dict[str, Able] = {}
        self._known: dict[str, dict[str, Any]] = {}

    def add_like(self, like: Request) -> str:
        """Keep presets for requests that are like this one, and return the name under which they are kept."""
        self.likes[key_of(like)] = like
        return key_of(like)

    def of(self, checkpoint: str) -> dict[str, Any]:
        """Return what is known of a checkpoint, which must be in memory the first time."""
        if checkpoint not in self._known:
            self._known[checkpoint] = self._facts_of(checkpoint)
        return self._known[checkpoint]

    def may_pick(self, headers: Mapping[str, str], client: str) -> bool:
        """Whether who asks may load any published checkpoint: from this machine, through no proxy, by its own name."""
        host = host_of(f"//{headers.get('host', '')}")
        return self.everyone or (is_loopback(host) and sits_here(client, headers))

    def script(self, picking: bool = True) -> str:
        """Return the JavaScript that tells a page, before it begins, of all checkpoints that have been in memory.

        And of those that can be had, with the published ones for who is `picking`.
        """
        for name in self.service.checkpoints:
            with suppress(Refusal):  # it has just been freed
                self.of(name)
        order = [offer.name for offer in self.service.offers if offer.name in self._known]
        values = {
            "checkpoints": {name: self._known[name] for name in order},
            "offers": self.offers(picking),
            "anyPrompt": key_of(ANY_PROMPT),
            "mostBytes": MAX_UPLOAD_BYTES,
        }
        return "".join(f"window.{name} = {within_html(value)};\n" for name, value in values.items())

    def offers(self, picking: bool) -> list[dict[str, Any]]:
        """Return all that can be had: {source, name, title, ...}, and needs, licence and size where known."""
        rows = []
        for offer in self.service.offers:
            if not (picking or self.service.is_named(offer) or offer.read):
                continue
            row: dict[str, Any] = {"source": offer.public, "name": offer.name, "title": self.title(offer.name)}
            if known := offer.known:
                row |= {name: getattr(known, name) for name in KNOWN}
                row["memory"] = known.memory(self.service.opener.bytes_each)
            rows.append(row)
        return rows

    def title(self, checkpoint: str) -> str:
        """Return what a checkpoint is called where there is little room."""
        known = self.service.offer(checkpoint).known
        return known.title if known else checkpoint

    def _facts_of(self, checkpoint: str) -> dict[str, Any]:
        service, model = self.service, self.service.model(checkpoint)
        known = service.offer(checkpoint).known
        hint = Bilingual(known.hint_en, known.hint_zh) if known else Bilingual("", "")
        pictures = samples.of(service, checkpoint)
        examples = model.examples or (known.examples if known else ())
        return {
            "title": self.title(checkpoint),
            "drawn": _drawn(model, known),
            "hint": hint._asdict() if hint.en else None,
            "subject": _subject(model),
            "licence": service.licence(checkpoint),
            "side": model.picture_size,
            "presets": {key: self._presets(checkpoint, like) for key, like in self.likes.items()},
            "priors": list(model.priors),
            "noise_levels": model.noise_levels,
            "understands": model.understands,
            "can": sorted(model.capabilities),
            "tabs": [tab for tab, able in self.tabs.items() if able(model.capabilities)],
            "styles": samples.styles(pictures, model.styles),
            "wall": samples.wall(pictures),
            "pictures": samples.examples(pictures, EXAMPLES),
            "examples": [{"name": text} for text in examples],
        }

    def _presets(self, checkpoint: str, like: Request) -> dict[str, Any]:
        return {name: self.service.settings(name, checkpoint, like).to_dict() for name in PRESETS}


def _subject(model: Any) -> dict[str, str] | None:
    """Return the one kind of thing that the checkpoint draws, in both languages; None for pictures of all kinds."""
    if not model.subject:
        return None
    en = model.subject.get("en", "")
    return Bilingual(en, model.subject.get("zh") or en)._asdict()


def _drawn(model: Any, known: Any) -> dict[str, str] | None:
    """Return what the checkpoint draws: its subject, its styles and its size, or what is known of it beforehand."""
    side, many, subject = model.picture_size, len(model.styles), _subject(model)
    if not subject:
        return Bilingual(known.en, known.zh)._asdict() if known else None
    styles = Bilingual(f" in {_number(many)} styles", f"，{many} 种风格") if many > 1 else Bilingual("", "")
    size = f"{side}\u00a0×\u00a0{side}"  # on one line
    en = f"Draws {subject['en']}{styles.en}, {size}\u00a0pixels."
    return Bilingual(en, f"只画{subject['zh']}{styles.zh}，{size} 像素。")._asdict()


def _number(many: int) -> str:
    return ("two", "three", "four", "five", "six", "seven", "eight", "nine")[many - 2] if many < 10 else str(many)


def within_html(value: Any) -> str:
    """Return the value as JavaScript that no text in it can end, inside a page's script."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
