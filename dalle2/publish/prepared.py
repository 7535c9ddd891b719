"""What is uploaded, in a folder: the model repository, and the Space that draws with it."""

import json
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dalle2 import atomic, images
from dalle2.families import EMBEDDED, load
from dalle2.model import UnclipModel
from dalle2.publish import card
from dalle2.publish.plan import RECORD, Plan

ROOT = Path(__file__).parents[2]
# Of the project, what the page needs; `start.py` is its app.py.
CODE = ("dalle2", "demo", "LICENSE", "requirements.txt")
NOT_CODE = shutil.ignore_patterns("__pycache__", "*.pyi", "checkpoints", ".*")
SAMPLES = 4  # pictures of prompts that the checkpoint draws well
ANY_PROMPTS = ("a red heart", "a cat", "a lighthouse by the sea", "a bowl of strawberries")
PYTHON = "3.12.12"  # of ZeroGPU, which takes this and 3.10.13
APP = '''"""Starts the page on the weights of {name}, unless the Space's variable DALLE2_CHECKPOINT names others."""

import os

os.environ.setdefault("DALLE2_CHECKPOINT", "{name}")

from start import main

main()
'''
SPACE = """# {title}

The page of Open DALL·E 2, drawing with [{name}](https://huggingface.co/{name}).

| setting of the Space | kind | what for |
|---|---|---|
| `HF_TOKEN` | secret | only where the model repository is private: a token that may read it |
| `DALLE2_CHECKPOINT` | variable | other weights, several with commas between; default: `{name}` |
| `VOTES_FILE` | variable | where votes are kept; without it in a bucket at `/data`, or until the next restart |
| `REPORTS_FILE` | variable | where reports of pictures are kept, likewise |
"""


def prepare(plan: Plan) -> Iterator[str]:
    """Fill `plan.out`, whole or not at all; yield what was done, and what was left out."""
    with atomic.folder(plan.out) as folder:
        yield from _model(plan, folder / "model")
        if plan.space:
            _space(plan, folder / "space")
            yield f"{plan.page}: the page, {_count(folder / 'space')}"
        _write_record(plan, folder)


def refresh(plan: Plan) -> Iterator[str]:
    """Put the repository's name, which is known only now, where a prepared folder says OWNER; yield what was done.

    The records of the sample pictures say it too.
    """
    record = json.loads((plan.out / RECORD).read_text(encoding="utf-8"))
    if (former := record["name"]) == plan.name:
        return
    files = [plan.model / "README.md", plan.page / "README.md", plan.page / "app.py"]
    for file in filter(Path.is_file, files):
        text = file.read_text(encoding="utf-8")
        with atomic.file(file) as partial:
            partial.write_text(text.replace(former, plan.name), encoding="utf-8")
    for file in (plan.model / card.PICTURES).glob("*.png"):
        _rename(file, former, plan.name)
    _write_record(plan, plan.out)
    yield f"{plan.out}: {former} is {plan.name} now"


def _rename(file: Path, former: str, name: str) -> None:
    """Let a sample's record name its checkpoint so; other people's pictures stay as they are."""
    try:
        record = images.read_record(file)
    except ValueError:
        return
    if record.get("checkpoint") == former:
        picture = images.open_picture(file)
        images.write_record(picture, record | {"checkpoint": name})
        images.save(picture, file)


def _write_record(plan: Plan, folder: Path) -> None:
    record = {"name": plan.name, "space": plan.space, "hardware": plan.hardware, "uploaded": []}
    with atomic.file(folder / RECORD) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _model(plan: Plan, folder: Path) -> Iterator[str]:
    source = EMBEDDED if plan.checkpoint == EMBEDDED.name else Path(plan.checkpoint).expanduser()
    own = source / "README.md"
    given, text = card.split(own.read_text(encoding="utf-8") if own.is_file() else "")
    card.front_matter(plan, given, ())  # which refuses what has no licence, before anything is loaded
    model = load(EMBEDDED.name if source == EMBEDDED else source)
    model.checkpoint = plan.name  # which the records of the samples name
    for left in _copy(source, folder):
        yield f"left out: {left}"
    pictures = _samples(plan, model, folder)
    text, gone = card.without_links_out(text, folder)
    for place in gone:
        yield f"the card's link to {place} is left out: the repository does not have it"
    front = card.front_matter(plan, given, pictures)
    whole = card.join(front, card.text(plan, text, _facts(model, folder), pictures))
    with atomic.file(folder / "README.md") as partial:
        partial.write_text(whole, encoding="utf-8")
    yield from _copy_results(plan, folder)
    licence = front["license"]
    results = sum(len(entry["results"]) for entry in front.get(card.INDEX, []))
    yield f"{plan.model}: {_count(folder)}, {len(pictures)} sample pictures, {results} results, licence {licence}"


def _copy(source: Path, folder: Path) -> Iterator[str]:
    """Copy a checkpoint's files; yield those that are not the checkpoint's: hidden ones, and what Python leaves."""
    for file in sorted(source.rglob("*")):
        place = file.relative_to(source)
        if file.is_dir() or place == Path("README.md"):
            continue
        if any(part.startswith(".") or part == "__pycache__" for part in place.parts):
            yield str(place)
            continue
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / place)


def _copy_results(plan: Plan, folder: Path) -> Iterator[str]:
    """Copy the files of `.eval_results` that were written beside the results; yield how many."""
    copied = 0
    for file in plan.results:
        for one in sorted((file.parent / ".eval_results").glob(f"{file.stem}-*.yaml")):
            (folder / ".eval_results").mkdir(exist_ok=True)
            shutil.copyfile(one, folder / ".eval_results" / one.name)
            copied += 1
    if copied:
        yield f"{plan.model}: {copied} files of .eval_results"


def _samples(plan: Plan, model: UnclipModel, folder: Path) -> list[tuple[str, str]]:
    """Draw a picture a prompt, seed 0 each; return prompts and files, none for a checkpoint that reads no prompts."""
    if "text_to_image" not in model.capabilities:
        return []
    prompts = plan.prompts or _well_drawn(model)
    drawn = model.text_to_image(prompts, seeds=[0] * len(prompts))
    found = []
    for number, (prompt, picture) in enumerate(zip(prompts, drawn, strict=True)):
        name = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:40] or "picture"
        file = f"{card.PICTURES}/{number}-{name}.png"
        images.save(picture, folder / file)
        found.append((prompt, file))
    return found


def _well_drawn(model: UnclipModel) -> list[str]:
    """Return prompts of what the checkpoint draws well; common ones where nobody has measured that."""
    if model.interpreter is None:
        return list(ANY_PROMPTS)
    chance, found = random.Random(0), dict[str, None]()
    while len(found) < SAMPLES:
        found[model.interpreter.surprise(chance).label] = None
    return list(found)


def _facts(model: UnclipModel, folder: Path) -> list[str]:
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    weights += sum(file.stat().st_size for file in folder.rglob("*.bin"))
    steps = ", ".join(f"{stage} {getattr(model.settings, stage).num_inference_steps}" for stage in model.stages)
    return [
        f"It can do: {', '.join(sorted(model.capabilities))}.",
        f"Pictures: {model.side(None)} pixels a side. Weights: {weights / 1e6:,.0f} MB. Steps: {steps}.",
        f"Hash of the weights, which stands in every picture's record: `{model.checkpoint_hash}`.",
    ]


def _space(plan: Plan, folder: Path) -> None:
    """Write the Space: the project's code without weights, its requirements, and a start that names the model."""
    if not (ROOT / "app.py").is_file():
        raise ValueError("A Space needs the project's own files, which a package lacks: run it in a checkout.")
    folder.mkdir()
    for name in CODE:
        copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / name, **({"ignore": NOT_CODE} if (ROOT / name).is_dir() else {}))
    shutil.copyfile(ROOT / "app.py", folder / "start.py")
    (folder / "app.py").write_text(APP.format(name=plan.name), encoding="utf-8")
    front = {
        "title": plan.shown,
        "emoji": "🎨",
        "colorFrom": "indigo",
        "colorTo": "pink",
        "sdk": "gradio",
        "sdk_version": _pin("gradio"),
        "python_version": PYTHON,
        "app_file": "app.py",
        "pinned": False,
        "license": "apache-2.0",
        "short_description": "Prompt to picture by an open DALL·E 2 (unCLIP)",
        "suggested_hardware": plan.hardware,
        "models": [plan.name],
        "preload_from_hub": [plan.name],
    }
    text = card.join(front, SPACE.format(title=plan.shown, name=plan.name))
    (folder / "README.md").write_text(text, encoding="utf-8")


def _pin(package: str) -> str:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix(f"{package}==") for line in lines if line.startswith(f"{package}=="))


def _count(folder: Path) -> str:
    files: Sequence[Path] = [file for file in folder.rglob("*") if file.is_file()]
    return f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:,.1f} MB"
