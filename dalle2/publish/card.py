"""The card of a model repository: front matter that the Hub reads, above a text that people read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dalle2.publish.plan import Plan

FRONT = re.compile(r"\A---\r?\n(?P<front>.*?)\r?\n---\r?\n?(?P<text>.*)\Z", re.DOTALL)
LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]*)\]\((?P<place>[^)\s]+)\)")
PAPER = "https://arxiv.org/abs/2204.06125"
PICTURES = "pictures"  # of the repository: the samples
TAGS = ("unclip", "dall-e-2", "text-to-image")
INDEX = "model-index"


def split(text: str) -> tuple[dict[str, Any], str]:
    """Return a card's front matter and its text; ValueError where the front matter is no YAML table."""
    found = FRONT.match(text)
    if found is None:
        return {}, text
    try:
        front = yaml.safe_load(found["front"])
    except yaml.YAMLError as error:
        raise ValueError(f"The card's front matter is not YAML: {error}") from error
    if front is not None and not isinstance(front, dict):
        raise ValueError("The card's front matter should be a table of YAML, one `key: value` a line.")
    return front or {}, found["text"]


def join(front: Mapping[str, Any], text: str) -> str:
    """Return front matter and text as one card."""
    dumped = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{dumped}---\n\n{text.strip()}\n"


def front_matter(plan: Plan, given: Mapping[str, Any], pictures: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the front matter: what the checkpoint's own card says, with what the Hub wants beside it.

    `pictures` are prompts and files of the samples. ValueError where nobody says the licence.
    """
    front = dict(given)
    licence = plan.license or str(front.get("license", ""))
    if not licence:
        raise ValueError(
            "The checkpoint's card names no licence, and without one nobody may use the weights: --license ID, or "
            "--license other with --license-name and --license-link."
        )
    front["license"] = licence
    for key, value in (("license_name", plan.license_name), ("license_link", plan.license_link)):
        if value:
            front[key] = value
    front.setdefault("library_name", "open-dalle2")
    front.setdefault("pipeline_tag", "text-to-image" if pictures else "image-to-image")
    named = front.get("tags") or []
    front["tags"] = list(dict.fromkeys([*([named] if isinstance(named, str) else named), *TAGS]))
    if pictures:
        front["widget"] = [{"text": prompt, "output": {"url": file}} for prompt, file in pictures]
    if results := _results(plan, front.get(INDEX)):
        front[INDEX] = [{"name": plan.shown, "results": results}]
    return front


def _results(plan: Plan, given: Any) -> list[Any]:
    """Return the results of all files beside those that the card had, each once.

    The Hub's own reader merges several entries of a `model-index` under the last one's name, so there is one entry.
    """
    found = [result for entry in given or [] for result in entry.get("results", [])]
    for file in plan.results:
        try:
            entries = yaml.safe_load(file.read_text(encoding="utf-8"))[INDEX]
            more = [result for entry in entries for result in entry["results"]]
        except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{file} holds no {INDEX}: `evaluation.fid --hub-results` writes one.") from error
        found += [result for result in more if result not in found]
    return found


def text(plan: Plan, given: str, facts: Sequence[str], pictures: Sequence[tuple[str, str]]) -> str:
    """Return the text: the checkpoint's own, or a short one of `facts`; then the samples, and how to draw with it."""
    own = given.strip() or _short(plan, facts)
    parts = [own]
    if pictures and "<Gallery" not in own:
        said = "Unpicked: seed 0 of each prompt, with the checkpoint's own settings; each file holds its record."
        parts.append(f"## Sample pictures\n\n<Gallery />\n\n{said}")
    if plan.name not in own:
        parts.append(_use(plan, pictures))
    return "\n\n".join(parts)


def _short(plan: Plan, facts: Sequence[str]) -> str:
    listed = "\n".join(f"- {fact}" for fact in facts)
    return (
        f"# {plan.shown}\n\nAn unCLIP (DALL·E 2) checkpoint: a prior turns a CLIP text embedding into an image "
        f"embedding, a decoder turns that into a picture ([Ramesh et al. 2022]({PAPER})).\n\n{listed}\n\n"
        "Written from the weights alone: what they were trained on, what they are good for and what not is still to be "
        "said here by their maker."
    )


def _use(plan: Plan, pictures: Sequence[tuple[str, str]]) -> str:
    prompt = pictures[0][0].replace('"', "'") if pictures else ""
    command = f'"{prompt}" --checkpoint {plan.name} -o picture.png'
    if not pictures:
        command = f"variations picture.png --checkpoint {plan.name} -o other.png"
    return f"## Draw with it\n\nBy Open DALL·E 2:\n\n```bash\npython -m dalle2 {command}\n```"


def without_links_out(given: str, folder: Path) -> tuple[str, list[str]]:
    """Return the text without links to files that the repository does not have, and where they led to.

    Their words stay. A picture that is not there is left out.
    """
    gone: list[str] = []

    def kept(found: re.Match[str]) -> str:
        place = found["place"].partition("#")[0]
        if not place or re.match(r"[a-z]+:", place) or _inside(folder, place):
            return found[0]
        gone.append(found["place"])
        return "" if found["picture"] else found["words"]

    return LINK.sub(kept, given), gone


def _inside(folder: Path, place: str) -> bool:
    target = (folder / place).resolve()
    return target.is_relative_to(folder.resolve()) and target.exists()
