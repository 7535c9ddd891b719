"""What each stage of a run was begun with, kept in the run's folder, so that `--resume` continues with nothing else.

What counts is the content: pictures, texts and weights may lie elsewhere by now.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from dalle2 import atomic, hashes
from dalle2.families.checkpoint_folder import CheckpointFolder
from dalle2.training.recipe import Recipe

# Where something lies, and how often or fast it is done: not what is learnt.
_FREE = ("source", "lexicon", "start_from", "compile", "snapshot_every", "share")
_STARTS = {
    "clip": ("text_encoder", "image_encoder", "tokenizer"),
    "text": ("text_encoder", "tokenizer"),
    "prior": ("prior",),
    "prior_autoregressive": ("prior_autoregressive",),
    "decoder": ("decoder", "text_proj"),
    "upsampler": ("super_res_first", "super_res_last"),
}
_CONTENTS = {
    "pictures": "pictures or captions of the data set",
    "held_out": "held-out pictures or captions",
    "lexicon": "texts of the lexicon",
    "start_from": "weights to start from",
}


def check(folder: Path, recipe: Recipe, pictures: Mapping[str, str] | None = None) -> None:
    """Check that every stage that was begun in this folder was begun with this recipe.

    Args:
        pictures: fingerprints of the splits, as "pictures" and "held_out", once they are read; "" where unknown.

    Raises:
        ValueError: with the first difference.
    """
    for file in sorted((folder / "recipes").glob("*.json")):
        stage = file.stem
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            terms, contents = dict(kept["recipe"]), dict(kept["contents"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} is damaged: remove it to resume {stage} without comparing recipes.") from error
        here = _terms(recipe, stage)
        for key, value in terms.items():
            if here.get(key) != value:
                raise ValueError(
                    f"{folder} was begun otherwise: {key} is {_shown(here.get(key))} here, {_shown(value)} in the run. "
                    "Give the run's own recipe, or name another folder."
                )
        for key, value in {**_contents(recipe, stage), **(pictures or {})}.items():
            if value and contents.get(key) and contents[key] != value:
                raise ValueError(
                    f"{folder} was begun otherwise: the {_CONTENTS[key]} are not those that {stage} began with. Give "
                    "the run's own, or name another folder."
                )


def keep(folder: Path, stage: str, recipe: Recipe, pictures: Mapping[str, str]) -> None:
    """Write down what a stage begins with, unless it was begun before."""
    file = folder / "recipes" / f"{stage}.json"
    if file.exists():
        return
    kept = {"recipe": _terms(recipe, stage), "contents": {**_contents(recipe, stage), **pictures}}
    with atomic.file(file) as partial:
        partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def read_snapshot(path: Path) -> dict[str, Any] | None:
    """Read what `write_snapshot` wrote; None where there is none, or none that is whole, which is said."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        assert isinstance(state["step"], int)
    except Exception:  # of a file that is not whole, torch raises all kinds of exceptions
        tqdm.write(f"The snapshot {path} is not whole: {path.stem} begins anew.")
        return None
    return state


def write_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Write a snapshot; a full disk, a kill or a power cut leaves the old one whole."""
    atomic.remove_partials(path.parent, path.name)
    try:
        with atomic.file(path) as partial:
            torch.save(state, partial)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        raise OSError(f"Cannot write the snapshot {path} (is the disk full?): {error}") from error


def drop_snapshot(path: Path) -> None:
    """Remove a snapshot that is needed no more, with what a killed process left of it."""
    path.unlink(missing_ok=True)
    atomic.remove_partials(path.parent, path.name)


def check_shapes(path: Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError where a snapshot's tensors are not those that are trained: it is of another recipe."""
    for name in sorted({*found, *expected}):
        shapes = [tuple(values[name].shape) if name in values else None for values in (found, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"The snapshot {path} is of another recipe: {name} has the shape {shapes[0]} there, {shapes[1]} here. "
                "Give the run's own recipe, or name another folder."
            )


def _terms(recipe: Recipe, stage: str) -> dict[str, Any]:
    """All of a recipe that a stage is trained by, by dotted key."""
    whole = recipe.model_dump(mode="json")
    terms = {"seed": whole["seed"], "precision": whole["precision"]}
    for table in ("data", stage):
        entries = whole.get(table) or {}
        terms |= {f"{table}.{key}": value for key, value in entries.items() if key not in _FREE}
    if stage == "upsampler":
        terms["decoder.picture_size"] = whole["decoder"]["picture_size"]
    return terms


def _contents(recipe: Recipe, stage: str) -> dict[str, str]:
    """Hashes of the files that a stage reads besides pictures; "" for what is not on this machine."""
    plan, lexicon = getattr(recipe, stage), recipe.data.lexicon
    start, contents = getattr(plan, "start_from", None), {"lexicon": "none", "start_from": "none"}
    if lexicon:
        file = Path(lexicon)
        contents["lexicon"] = hashes.of_file(file) if file.is_file() else ""
    if start:
        folder = CheckpointFolder(Path(start))
        parts = [part for part in _STARTS[stage] if folder.has(part)]
        contents["start_from"] = folder.fingerprint(parts) if parts else ""
    return contents


def _shown(value: object) -> str:
    return "absent" if value is None else json.dumps(value)
