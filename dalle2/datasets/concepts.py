"""What an emoji shows, whoever drew it, and its words in some thirty languages: emojibase's, which follows CLDR."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARAPHRASES = Path(__file__).with_name("emoji-paraphrases.tsv")  # from python -m dalle2.datasets.paraphrases
NOT_DRAWN_GROUPS = {"component"}
NOT_DRAWN_SUBGROUPS = {"country-flag", "subdivision-flag"}


@dataclass(frozen=True)
class Concept:
    """What an emoji shows, whoever drew it."""

    code: str  # its code points, such as "1f431"
    label: str  # English
    group: str
    subgroup: str
    captions: tuple[dict[str, Any], ...]  # one {"language", "label", "tags"} for each language


def bare_code(code: str) -> str:
    """Code points in lower case, without the variation selector, which not every source writes."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def read_concepts(files: Mapping[str, bytes]) -> dict[str, Concept]:
    """Read emojibase's emoji in their usual order, by code, without skin tones, hair parts and country flags."""
    words = {path.partition("/")[0]: json.loads(text) for path, text in files.items() if _is_words(path)}
    messages = json.loads(files["en/messages.json"])
    groups = {group["order"]: group["key"] for group in messages["groups"]}
    subgroups = {subgroup["order"]: subgroup["key"] for subgroup in messages["subgroups"]}
    captions: dict[str, list[dict[str, Any]]] = {}
    for language in sorted(words):
        for emoji in words[language]:
            caption = {"language": language, "label": emoji["label"], "tags": emoji.get("tags", [])}
            captions.setdefault(bare_code(emoji["hexcode"]), []).append(caption)
    concepts = {}
    for emoji in sorted(words["en"], key=lambda emoji: emoji.get("order", 0)):
        group, subgroup = groups.get(emoji.get("group")), subgroups.get(emoji.get("subgroup"))
        if group is None or group in NOT_DRAWN_GROUPS or subgroup in NOT_DRAWN_SUBGROUPS:
            continue  # regional indicator letters have no group
        code = bare_code(emoji["hexcode"])
        concepts[code] = Concept(code, emoji["label"], group, subgroup or group, tuple(captions[code]))
    return concepts


def read_paraphrases(table: Path) -> tuple[dict[str, list[str]], str]:
    """Return concept -> paraphrases, the nearest first, and the licence, which stands at the table's head."""
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    licence = "\n".join(line.lstrip("#").strip() for line in lines if line.startswith("#"))
    return {concept: texts for concept, *texts in rows}, licence


def _is_words(path: str) -> bool:
    folder, _, name = path.partition("/")
    return bool(folder) and name == "data.json"
