"""What is known of the published checkpoints before they are there: their needs, licence, size, and hints of their own.

Written in published.toml; the tables of docs/families.md say the same, and a test compares them.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One checkpoint that `load` opens by `source`.

    Attributes:
        parameters: of all networks, in millions.
        download: in GB, in float32; 0 for what is here already.
        side: of its pictures, in pixels.
        en, zh: what it draws, a sentence.
        hint_en, hint_zh: how to ask it, a sentence, or "".
        examples: prompts.
    """

    source: str
    title: str
    parameters: int
    download: float
    side: int
    licence: str
    en: str
    zh: str
    hint_en: str
    hint_zh: str
    examples: tuple[str, ...]

    def memory(self, bytes_each: int = 4) -> float:
        """Return the GB that its weights take in memory: 4 bytes for each parameter in float32, 2 in half precision."""
        return round(self.parameters * bytes_each / 1000, 1)


@cache
def published() -> tuple[Published, ...]:
    """Return all of them, the embedded one first."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["checkpoint"]
    return tuple(Published(**row | {"examples": tuple(row["examples"])}) for row in rows)


def known(name: str) -> Published | None:
    """Return what is known of a checkpoint by its name or source, at any revision.

    Also where the prior was found by itself.
    """
    rows = {row.source: row for row in published()}
    plain = "+".join(place.partition("@")[0] for place in name.split("+"))
    return rows.get(plain) or rows.get(plain.rpartition("+")[2])
