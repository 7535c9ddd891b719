"""What the Hub documents of repositories, cards and Spaces, held against a prepared folder before anything is uploaded.

Sources, of November 2026: the Hub's documentation (`model-cards`, `repositories-licenses`, `storage-limits`,
`spaces-config-reference`, `spaces-zerogpu`), its specification of a card (`modelcard.md` of huggingface/hub-docs), and
huggingface_hub's own classes, which are used where they need no network. The Hub looks at cards again by itself.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData, SpaceHardware
from huggingface_hub.utils import HFValidationError, validate_repo_id

from dalle2.publish import card
from dalle2.publish.licences import LICENCES
from dalle2.publish.plan import Plan
from dalle2.publish.private import secrets_in

Table = Mapping[str, Any]

MOST_FILES, MOST_ENTRIES = 100_000, 10_000  # of a repository, and of one folder of it
LARGEST, LARGE = 500e9, 200e9  # bytes of a file: what is refused, and what should be split
LONGEST_NAME = 255  # bytes of a file's name, which is git's file systems' limit
SHORT_DESCRIPTION = 60
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SDKS = ("gradio", "docker", "static")
ZERO_PYTHONS = ("3.12.12", "3.10.13")
ZERO_TORCHES = ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0")
# What the Hub asks of each result of a `model-index`.
NEEDED = (("task", "type"), ("dataset", "type"), ("dataset", "name"))


def check(plan: Plan) -> list[str]:
    """Return what was looked at and what is only advised; ValueError lists every rule that is broken."""
    parts: list[tuple[Path, Callable[[Path, Table, str], Iterator[str]]]] = [(plan.model, _model)]
    if plan.space:
        parts.append((plan.page, _space))
    broken: list[str] = []
    notes: list[str] = []
    for folder, of_kind in parts:
        broken += [f"{folder.name}: {sentence}" for sentence in _files(folder)]
        broken += [f"{folder.name}: {sentence}" for sentence in _card(folder, of_kind)]
        notes += [f"{folder.name}: {sentence}" for sentence in _advice(folder)]
    if broken:
        listed = "\n".join(f"- {sentence}" for sentence in broken)
        raise ValueError(f"The Hub would not take it:\n{listed}")
    return notes


def _files(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the files' number, names and sizes, and what must not be public."""
    if not folder.is_dir():
        yield "the folder is not there: prepare it again"
        return
    entries = list(folder.rglob("*"))
    files = [path for path in entries if path.is_file()]
    if len(files) > MOST_FILES:
        yield f"{len(files):,} files, where a repository has {MOST_FILES:,} at most"
    for parent, count in Counter(path.parent for path in entries).items():
        if count > MOST_ENTRIES:
            yield f"{count:,} entries in {parent.name}, where a folder has {MOST_ENTRIES:,} at most"
    for file in files:
        yield from _file(file, str(file.relative_to(folder)))


def _file(file: Path, place: str) -> Iterator[str]:
    if ".git" in file.parts or not place.isprintable() or "\\" in place:
        yield f"{place!r} is not a name that a repository may have"
    if len(file.name.encode(errors="surrogateescape")) > LONGEST_NAME:
        yield f"{place[:60]}… has a name of more than {LONGEST_NAME} bytes"
    if (size := file.stat().st_size) > LARGEST:
        yield f"{place} has {size / 1e9:,.0f} GB, where a file has {LARGEST / 1e9:,.0f} at most"
    for secret in secrets_in(file):
        yield f"{place} holds {secret}: take it out, and where it was shown to anybody, make a new one"


def _card(folder: Path, of_kind: Callable[[Path, Table, str], Iterator[str]]) -> Iterator[str]:
    file = folder / "README.md"
    if not file.is_file():
        yield "README.md is missing, which is its card"
        return
    try:
        front, text = card.split(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        yield f"README.md: {error}"
        return
    if not front:
        yield "README.md has no front matter between two lines of ---"
        return
    yield from _licence(folder, front)
    yield from of_kind(folder, front, text)


def _licence(folder: Path, front: Table) -> Iterator[str]:
    licence = front.get("license")
    if licence not in LICENCES:
        yield f"{licence!r} is none of the Hub's licence ids, such as cc-by-4.0; others are other, with --license-name"
    elif licence == "other":
        if not front.get("license_name"):
            yield "a licence that is other has a name: --license-name"
        link = str(front.get("license_link", ""))
        files = [file for file in folder.iterdir() if file.name.upper().startswith(("LICENSE", "LICENCE"))]
        if not files and "://" not in link and not (link and (folder / link).is_file()):
            yield "a licence that is other has a text: a file LICENSE, or --license-link"


def _model(folder: Path, front: Table, text: str) -> Iterator[str]:
    """Yield what is wrong with a model's card."""
    try:
        ModelCardData(**{key: value for key, value in front.items() if key != "ignore_metadata_errors"})
    except (ValueError, TypeError, AttributeError) as error:
        yield f"the front matter cannot be read: {str(error).partition(' Pass')[0]}"
    yield from _results(front.get(card.INDEX) or [])
    yield from _widget(folder, front.get("widget") or [])
    tags = front.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        yield "tags should be a list of words"
    yield from _ids(front, ("base_model", "datasets"))
    _, gone = card.without_links_out(text, folder)
    for place in gone:
        yield f"README.md links to {place}, which the repository does not have"
    if not any(folder.rglob("*.safetensors")) and not any(folder.rglob("*.bin")):
        yield "there are no weights"


def _widget(folder: Path, examples: Any) -> Iterator[str]:
    for example in examples if isinstance(examples, list) else ["?"]:
        if not isinstance(example, dict) or not example.get("text"):
            yield "an example of the widget lacks its text"
        elif not (folder / str((example.get("output") or {}).get("url", "?"))).is_file():
            yield f"the widget's picture of {example['text']!r} is not there"


def _results(entries: Any) -> Iterator[str]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return  # which the Hub's own reader has told of
    if len(entries) > 1:
        yield f"{card.INDEX} has several entries, which the Hub's reader would merge under the last one's name"
    for entry in entries:
        for result in entry.get("results") or []:
            yield from _result(result)


def _result(result: Table) -> Iterator[str]:
    for outer, inner in NEEDED:
        if not (result.get(outer) or {}).get(inner):
            yield f"a result of {card.INDEX} lacks {outer}.{inner}"
    for metric in result.get("metrics") or [{}]:
        if not metric.get("type") or metric.get("value") is None:
            yield f"a metric of {card.INDEX} lacks its type or value"
    source = result.get("source") or {}
    if source.get("name") and not source.get("url"):
        yield f"a source of {card.INDEX} has a name and no url"


def _ids(front: Table, keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        named = front.get(key) or []
        for one in [named] if isinstance(named, str) else named:
            try:
                validate_repo_id(one)
            except HFValidationError:
                yield f"{key}: {one!r} is not an id of the Hub"


def _space(folder: Path, front: Table, text: str) -> Iterator[str]:
    """Yield what is wrong with a Space's configuration."""
    for key in ("title", "emoji"):
        if not front.get(key):
            yield f"{key} is missing"
    if any(character.isascii() for character in str(front.get("emoji", ""))):
        yield "emoji holds something else than an emoji"
    for key in ("colorFrom", "colorTo"):
        if front.get(key) not in COLOURS:
            yield f"{key} is one of {', '.join(COLOURS)}"
    if front.get("sdk") not in SDKS:
        yield f"sdk is one of {', '.join(SDKS)}"
    if not (folder / str(front.get("app_file", "?"))).is_file():
        yield "app_file is not there"
    if len(str(front.get("short_description", ""))) > SHORT_DESCRIPTION:
        yield f"short_description has more than {SHORT_DESCRIPTION} characters"
    python = front.get("python_version")
    if not isinstance(python, str) or not re.fullmatch(r"3\.\d+(\.\d+)?", python):
        yield "python_version is text of the form 3.x or 3.x.x; without one a Space has Python 3.10, which is too old"
    yield from _hardware(folder, front)
    yield from _ids(front, ("models", "preload_from_hub"))


def _hardware(folder: Path, front: Table) -> Iterator[str]:
    known = [one.value for one in SpaceHardware]
    hardware = front.get("suggested_hardware")
    if hardware not in known:
        yield f"suggested_hardware {hardware!r} is none of {', '.join(known)}"
    requirements = folder / "requirements.txt"
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE))
    if pins.get("gradio") != front.get("sdk_version"):
        yield f"sdk_version {front.get('sdk_version')} and requirements.txt's gradio {pins.get('gradio')} differ"
    if str(hardware).startswith("zero"):
        if front.get("python_version") not in ZERO_PYTHONS:
            yield f"ZeroGPU takes python_version {' or '.join(ZERO_PYTHONS)}"
        if pins.get("torch") not in ZERO_TORCHES:
            yield f"ZeroGPU takes torch {', '.join(ZERO_TORCHES)}, not {pins.get('torch')}"


def _advice(folder: Path) -> Iterator[str]:
    """Yield what is allowed and not advised."""
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_size > LARGE:
            yield f"{file.name} has more than {LARGE / 1e9:,.0f} GB: the Hub advises to split it"
        if file.suffix in (".bin", ".pt", ".pth", ".ckpt"):
            yield f"{file.relative_to(folder)} may hold a program, which the Hub says beside it: safetensors do not"
