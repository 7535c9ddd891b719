"""Pictures from a prompt without torch, by a checkpoint that has graphs: there before torch would be imported.

What `drawing` does with the same options comes out the same, to 1e-4 before levels are rounded; a record that names no
version of torch is of a picture that was drawn here, and is drawn here again, to the last bit.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dalle2 import images, provenance
from dalle2.cli.arguments import chosen_settings
from dalle2.cli.output import Progress
from dalle2.cli.understood import refused, tell
from dalle2.light import INDEX, MADE, NAME, PACKAGES, Light, draws, is_here, pictures, place, versions
from dalle2.settings import Settings, Step, check_prompt, check_seed
from dalle2.understanding.answer import Note, Understanding, literal, record_of
from dalle2.understanding.sentences import NotUnderstood

log = logging.getLogger(__name__)

PLAIN = {"engine": (None, "auto", "onnxruntime"), "dtype": (None, "float32"), "device": (None, "cpu")}


@dataclass(frozen=True)
class Plan:
    """What is drawn: a prompt as it was taken, with these settings and seeds."""

    model: Light
    taken: Understanding
    settings: Settings
    seeds: tuple[int, ...]


def plan(options: argparse.Namespace) -> Plan | None:
    """Return what is drawn here; None for what is left to `drawing`. ValueError where the options are wrong."""
    if options.task is not None or not _fits(options):
        return None
    if options.source is not None:
        return _again(options)
    model = Light(options.checkpoint or NAME)
    if not _whole(model):
        return None
    settings = chosen_settings(options, model)  # ty: ignore[invalid-argument-type]  (asks for its settings alone)
    if not draws(settings):
        return None
    try:
        taken = literal(check_prompt(options.prompt)) if options.literal else model.understood(options.prompt)
    except NotUnderstood as unknown:
        raise refused(unknown) from unknown
    if not options.literal:
        tell([taken])
    return Plan(model, taken, settings, tuple(options.seeds))


def run(options: argparse.Namespace, plan: Plan) -> Iterator[Path]:
    """Draw and write -> the files, as they are written."""
    from dalle2.portable import open_checkpoint

    provenance.choose_options(options)
    asked = plan.taken.asked
    files = options.destination.names(plan.taken.prompt, plan.seeds, asked)
    steps = {name: stage.num_inference_steps for name, stage in plan.settings.stages.items()}
    with Progress(steps, len(plan.seeds)) as progress:
        drawer = open_checkpoint(plan.model.folder)
        for seed, file in zip(plan.seeds, files, strict=True):
            told = lambda *step: progress.advance(Step(*step))  # noqa: E731
            (picture,) = pictures(drawer.draw([asked], [seed], plan.settings.to_dict(), told))
            images.write_record(picture, _record(plan, seed))
            yield options.destination.keep(file, lambda name, overwrite, one=picture: images.save(one, name, overwrite))


def _fits(options: argparse.Namespace) -> bool:
    """Whether the options ask for nothing that only torch does, or does better."""
    if any(getattr(options, name) not in allowed for name, allowed in PLAIN.items()):
        return False
    if options.audio or options.sound or options.say:
        return False
    other = options.compile or options.offload or options.tokenizer or options.size or options.prior or options.loras
    named = options.checkpoint or NAME
    # What has imported torch already need not wait for it.
    return not other and options.destination.form == "png" and "torch" not in sys.modules and is_here(named)


def _again(options: argparse.Namespace) -> Plan | None:
    """Return the plan of a picture that was drawn here; None for any other, of which `drawing` says what is wrong."""
    record: Any = images.read_record(options.source)
    own = {"task": "text_to_image", "engine": "onnxruntime"}
    made_by = record.get("versions")
    drawn_here = isinstance(made_by, dict) and set(made_by) == set(PACKAGES)
    if not drawn_here or any(record.get(key) != value for key, value in own.items()):
        return None
    kinds = {"settings": dict, "prompt": str, "seed": int, "checkpoint": str, "asked": str}
    whole = all(isinstance(record.get(key, "" if key == "asked" else None), kind) for key, kind in kinds.items())
    if not whole or record.get("size") is not None:
        return None
    named = options.checkpoint or record["checkpoint"]
    if not (place(named) / INDEX).is_file():
        return None
    model = Light(named)
    if record.get("checkpoint_hash") != model.checkpoint_hash or not _whole(model):
        return None
    settings, prompt = Settings.from_dict(record["settings"]), check_prompt(record["prompt"])
    taken = literal(prompt)
    if "asked" in record:
        notes = (Note("poor"),) if record.get("rarely_drawn_well") else ()
        taken = Understanding(prompt, check_prompt(record["asked"]), notes=notes)
    return Plan(model, taken, settings, (check_seed(record["seed"]),)) if draws(settings) else None


def _whole(model: Light) -> bool:
    from dalle2.portable import check_graphs

    try:
        check_graphs(model.folder)
    except ValueError as error:
        log.warning("torch draws instead of ONNX Runtime. %s", error)
        return False
    return True


def _record(plan: Plan, seed: int) -> dict[str, object]:
    own = {"task": "text_to_image", "prompt": plan.taken.prompt, **record_of([plan.taken], [plan.taken.prompt])}
    checkpoint = {"checkpoint": plan.model.name, "checkpoint_hash": plan.model.checkpoint_hash}
    return {**own, "seed": seed, "settings": plan.settings.to_dict(), **checkpoint, **MADE, "versions": versions()}
