"""What `python -m dalle2` does: pictures from a prompt, from a record, and the tasks, as `parsers` understood them.

Pictures are drawn one after another, not as a batch, so that `--from` draws each one again to the last bit.
"""

import argparse
import dataclasses
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dalle2 import formats, images, provenance
from dalle2.cli import hearing
from dalle2.cli.arguments import chosen_settings, open_checkpoint
from dalle2.cli.output import Progress
from dalle2.cli.parsers import TASKS
from dalle2.cli.taught import recorded
from dalle2.cli.understood import refused, tell
from dalle2.engines.runtimes import PACKAGES, is_installed
from dalle2.film import save_film
from dalle2.model import UnclipModel
from dalle2.requests import Request
from dalle2.settings import Settings, check_prompt, check_seed
from dalle2.speech.reading import read_aloud
from dalle2.tasks import request_of
from dalle2.tasks.caption import Caption, ScoredCaption
from dalle2.tasks.enhance import Enhance, check_side, passes
from dalle2.tasks.text_to_image import TextToImage
from dalle2.understanding.sentences import NotUnderstood

LONG = 100  # steps, from which on a task tells how many it takes

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> Iterator[Path | str]:
    """Do what the options ask for -> the files, as they are written, or the captions that were found.

    ValueError says what is wrong with the options.
    """
    command = TASKS[options.task] if options.task else None
    if command and not command.draws:  # it writes no files
        yield from _captions(options)
        return
    provenance.choose_options(options)
    if command:
        yield from _do_task(options)
    elif options.source is None:
        yield from _draw_new(options)
    else:
        yield _draw_again(options)


def _draw_new(options: argparse.Namespace) -> Iterator[Path]:
    samples = hearing.opened(options)
    model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = _sized(options, chosen_settings(options, model), model)
    heard, prompt = (None, options.prompt) if samples is None else hearing.prompt_of(options, samples, model)
    seeds = options.seeds
    request = _understood(TextToImage([prompt], heard=heard), model, options)
    _check_size(options, model)
    if options.say:
        model.require(Caption.name)
    files = options.destination.names(prompt, seeds, request.asked(prompt))
    with Progress(request.steps(settings), len(seeds)) as progress:
        _expect_enlarging(progress, len(seeds), model, options)
        drawn = []
        for seed, file in zip(seeds, files, strict=True):
            (picture,) = request.draw(model, [seed], settings, progress.advance)
            drawn.append(picture)
            yield _write(picture, file, model, options, progress)
    if options.say:
        yield _say(model.caption(drawn, 1), options.say)


def _understood(request: Request, model: UnclipModel, options: argparse.Namespace) -> Request:
    """Return what the checkpoint makes of the request's prompts, which is told, unless they are taken literally."""
    if not request.words or options.literal:
        return request
    try:
        request = request.understood(model)
    except NotUnderstood as unknown:
        raise refused(unknown) from unknown
    tell(request.understandings)
    return request


def _draw_again(options: argparse.Namespace) -> Path:
    record: dict[str, Any] = images.read_record(options.source)
    kinds = {
        "task": str,
        "seed": int,
        "settings": dict,
        "checkpoint": str,
        "checkpoint_hash": str,
    }
    missing = [key for key, kind in kinds.items() if not isinstance(record.get(key), kind)]
    if missing:
        raise ValueError(f"The record of {options.source} lacks {missing[0]!r}: it cannot be drawn again.")
    settings = Settings.from_dict(record["settings"])
    check_seed(record["seed"])
    steps = request_of(record).steps(settings)  # told before the checkpoint is opened
    if options.format is None and options.destination.form == "png" and formats.is_transparent(options.source):
        options.destination.form = "transparent"
    one = record["task"] == TextToImage.name
    words, meaning = (record["prompt"], str(record.get("asked", ""))) if one else (record["task"], "")
    file = options.destination.names(words, [record["seed"]], meaning)[0]
    source = options.checkpoint or record["checkpoint"]
    options.tokenizer = options.tokenizer or record.get("tokenizer")
    options.loras = recorded(record.get("loras", []), options.loras, Path(options.source).parent)
    options.engine = options.engine or _engine_of(record)
    model = open_checkpoint(options, source, options.dtype or record.get("dtype", "float32"))
    if model.checkpoint_hash != record["checkpoint_hash"] and options.checkpoint is None:
        raise ValueError(
            f"The checkpoint {source} is not the one that drew {options.source}: its hash differs. "
            "Name the right one with --checkpoint, "
            f"or give --checkpoint {source} to draw with this one all the same."
        )
    _check_size(options, model, again=True)
    with Progress(steps) as progress:
        _expect_enlarging(progress, 1, model, options)
        picture = model.redraw(record, on_step=progress.advance)
        return _write(picture, file, model, options, progress)


def _engine_of(record: Mapping[str, Any]) -> str:
    """Return the engine that draws a record again, where it can be had here: the same one rounds alike."""
    drew = record.get("engine")
    if drew not in [*PACKAGES]:
        return "torch"  # which drew all records that say nothing of it
    if is_installed(drew):
        return drew
    log.warning("%s drew it, and is not installed here: by torch it comes out the same, to 1e-4.", PACKAGES[drew])
    return "torch"


def _check_size(options: argparse.Namespace, model: UnclipModel, again: bool = False) -> None:
    """Raise ValueError before anything is drawn; what is given to enhance is told of by the task itself.

    A decoder that draws pictures of this size needs no upsampler for it, unless they are to be drawn `again`.
    """
    if not options.size or options.task == Enhance.name or (not again and options.size in model.picture_sizes):
        return
    if not again and Enhance.name not in model.capabilities:
        model.check_drawn(options.size)
    else:
        model.require(Enhance.name)
        check_side(options.size, model.picture_size, model.picture_size)


def _expect_enlarging(progress: Progress, pictures: int, model: UnclipModel, options: argparse.Namespace) -> None:
    """Let the bar have the steps that --size takes from its beginning."""
    if options.size and model.settings.upsampler:
        times = passes(model, model.picture_size, options.size)
        progress.expect(pictures * times * model.settings.upsampler.loop_steps)


def _write(
    picture: Image.Image, file: Path, model: UnclipModel, options: argparse.Namespace, progress: Progress
) -> Path:
    """Return the file, in the size and form that the options ask for."""
    if options.size and min(picture.size) < options.size:
        picture = model.enlarge(picture, options.size, on_step=progress.advance)
    if options.destination.form == "transparent":
        picture = formats.transparent(picture)
    save = formats.save_svg if options.destination.form == "svg" else images.save
    return options.destination.keep(file, lambda name, overwrite: save(picture, name, overwrite))


def _do_task(options: argparse.Namespace) -> Iterator[Path]:
    seeds, destination = options.seeds, options.destination
    if (samples := hearing.opened(options)) is not None:
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
        asked = _spoken(options, samples, model)
    else:
        asked: Any = TASKS[options.task].request(options)
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    request = _understood(asked, model, options)
    settings = _settings(options, request.own_settings(model), model).check_negative(request.stages)
    _check_size(options, model)
    _tell_length(options, request, settings)
    with Progress(request.steps(settings)) as progress:
        if options.task != Enhance.name:
            _expect_enlarging(progress, request.series or len(seeds), model, options)
        pictures = request.draw(model, seeds, settings, progress.advance)
        if destination.film:
            yield destination.keep(
                destination.path, lambda name, overwrite: save_film(pictures, name, overwrite=overwrite)
            )
            return
        if options.strip:
            pictures, numbers = [images.strip(pictures)], seeds[:1]
        else:
            numbers = seeds if len(pictures) == len(seeds) else range(len(pictures))
        for picture, name in zip(pictures, destination.names(options.task, numbers), strict=True):
            yield _write(picture, name, model, options, progress)


def _tell_length(options: argparse.Namespace, request: Request, settings: Settings) -> None:
    """Say beforehand of what takes long how many steps it takes, and what takes fewer."""
    steps, draft = (sum(request.steps(chosen).values()) for chosen in (settings, settings.for_draft()))
    if steps >= LONG and not (options.draft or options.quality or options.steps):
        fewer = f"--draft takes {draft} for a first look, --quality fast half as many, and --steps just so many a stage"
        tqdm.write(f"This takes {steps} steps. {fewer}.", file=sys.stderr)


def _spoken(options: argparse.Namespace, samples: np.ndarray, model: UnclipModel) -> Any:
    """Return the request of a task with the words of a recording as its prompt."""
    heard, words = hearing.prompt_of(options, samples, model)
    if hasattr(options, "prompt"):
        options.prompt = check_prompt(words)
    else:
        options.contents = [check_prompt(words)]
    return dataclasses.replace(TASKS[options.task].request(options), heard=heard)


def _captions(options: argparse.Namespace) -> list[str]:
    """Lines of a table: picture, score, caption."""
    request: Any = TASKS[options.task].request(options)  # the one that draws nothing
    if options.captioner:
        from dalle2.captioner import Captioner

        model = Captioner(options.captioner, options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    else:
        model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
        tqdm.write("Reading all the captions that the checkpoint knows, which takes a while on a CPU.", file=sys.stderr)
    found = model.caption(request.pictures, request.num)
    if options.say:
        _say(found, options.say)
    return [
        f"{name}\t{one.score:.3f}\t{one.caption}"
        for name, captions in zip(options.contents, found, strict=True)
        for one in captions
    ]


def _say(found: Sequence[Sequence[ScoredCaption]], name: str) -> Path:
    """Write what each picture shows, as far as its best caption says, read aloud."""
    said = " ".join(f"Picture {number}: {best.caption}." for number, (best, *_) in enumerate(found, 1))
    return read_aloud(said, Path(name).expanduser())


def _settings(options: argparse.Namespace, own: Settings, model: UnclipModel) -> Settings:
    """Return what the task needs of the checkpoint's settings, with what the arguments change."""
    if options.scheduler:  # what only the task's own scheduler can do must not stand in its way
        own = own.changed({"decoder": {"times": 1}})
    return _sized(options, chosen_settings(options, model, own), model)


def _sized(options: argparse.Namespace, settings: Settings, model: UnclipModel) -> Settings:
    """Return the settings for pictures of the size that was asked for, where the decoder draws it."""
    if options.size not in model.picture_sizes:
        return settings
    return settings.changed({"decoder": {"picture_size": options.size}})
