"""Prompts and a checkpoint -> a folder of pictures and its manifest: the work of `evaluation.generation`.

A run that was killed goes on with the same command: it draws what is missing or was not written to its end, and every
file is to the last byte what an unbroken run, of one process or of several, would have written. Checkpoint and prompts
may lie elsewhere by then; they are known by their hashes.
"""

import dataclasses
import datetime
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from tqdm import tqdm

from dalle2 import images
from dalle2.cli.arguments import chosen_settings, open_checkpoint
from dalle2.model import UnclipModel
from dalle2.settings import MAX_SEED, Settings, check_prompt, check_seed
from dalle2.stage_settings import GuidedSettings
from evaluation.cli.generation import BATCH_SIZE, Options
from evaluation.drawing import prompt_map, ray_drawing
from evaluation.drawing.cost import COST, Cost, Stopwatch, write_cost
from evaluation.drawing.groups import begin, draw_group, in_parts, present
from evaluation.drawing.turns import END, READY
from evaluation.pictures.manifest import Manifest, Row, as_text, read_manifest, readable
from evaluation.prompts.prompt_sets import PromptSet, read_chosen
from evaluation.reporting import report
from evaluation.reporting.command_line import command_line

DONE = object()
SPEED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} pictures, {rate_noinv_fmt}, {remaining} left"


def generate(
    model: UnclipModel,
    prompts: PromptSet,
    out: Path,
    settings: Settings | None = None,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    compiled: bool = False,
) -> Manifest:
    """Draw the pictures that `out` lacks; picture i is of prompt i and of the seed `seed` + i.

    Batches are the same groups of pictures however often a run is interrupted and however many processes share
    it, since the size of a batch decides how its numbers are rounded, and so does the number of the CPU's threads,
    which is that of the run that began. A group that does not fit into the memory
    is drawn in halves from then on. `compiled` says that the model's networks are.

    Raises:
        ValueError: a prompt cannot be drawn, or `out` holds pictures that were drawn otherwise.
        OSError: the disk refuses; what is written stays, and the same call goes on.
    """
    settings = settings or model.settings
    manifest = describe(model, prompts, out, settings, seed, batch_size, compiled)
    for _ in draw(model, manifest, out, settings, Stopwatch(batch_size)):
        pass
    return manifest


def draw(
    model: UnclipModel, manifest: Manifest, out: Path, settings: Settings, watch: Stopwatch, progress: bool = True
) -> Iterator[None]:
    """Draw what `out` lacks of the manifest, a batch at a time; `watch` reads how long each takes."""
    state = PartialState()
    if state.is_main_process:
        begin(out, manifest)
    state.wait_for_everyone()
    manifest = read_manifest(out) or manifest  # of the run that began, whose number of threads counts
    groups = manifest.groups[state.process_index :: state.num_processes]
    threads = torch.get_num_threads()
    torch.set_num_threads(manifest.threads)
    try:
        yield from _draw_missing(model, groups, out, settings, watch, progress)
    finally:
        torch.set_num_threads(threads)
    state.wait_for_everyone()


def describe(
    model: UnclipModel, prompts: PromptSet, out: Path, settings: Settings, seed: int, batch_size: int, compiled: bool
) -> Manifest:
    """Return the manifest of the folder that `out` is to be.

    ValueError for prompts and seeds that no picture can have, and for a folder that was drawn otherwise.
    """
    if batch_size < 1:
        raise ValueError(f"--batch-size must be 1 or more, not {batch_size}.")
    check_seed(seed)
    if seed + len(prompts.prompts) - 1 > MAX_SEED:
        raise ValueError(f"The seed of the last picture would exceed {MAX_SEED}: start with a smaller --seed.")
    rows = []
    for index, prompt in enumerate(prompts.prompts):
        try:
            caption = check_prompt(prompt.caption)
        except ValueError as error:
            raise ValueError(f"The prompt {prompt.id!r} of {prompts.name} cannot be drawn. {error}") from error
        reference = as_text(prompt.reference.resolve()) if prompt.reference else ""
        rows.append(
            Row(
                file=f"{index:06d}.png", id=readable(prompt.id), caption=caption, seed=seed + index, reference=reference
            )
        )
    made_by = () if model.engine == "torch" else (model.engine,)
    manifest = Manifest(
        prompts=readable(prompts.name),
        prompts_sha256=prompts.sha256,
        sampling=dict(prompts.sampling),
        pictures=len(rows),
        seed=seed,
        checkpoint=readable(model.checkpoint),
        checkpoint_hash=model.checkpoint_hash,
        settings=settings.to_dict(),
        picture_size=model.side(settings),
        batch_size=batch_size,
        device=model.device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        compiled=compiled,
        engine=model.engine,
        threads=torch.get_num_threads(),
        # the writer of PNGs too, for the files are to be the same
        versions={name: version(name) for name in ("torch", "diffusers", "transformers", "pillow", *made_by)},
        command=readable(command_line()),
        rows=tuple(rows),
    )
    _check_folder(out, manifest)
    return manifest


def _check_folder(out: Path, manifest: Manifest) -> None:
    """ValueError unless `out` is absent, empty, or of the same manifest."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: name a folder with --out.")
    found = read_manifest(out)
    if found is None:
        if any(out.glob("*.png")):
            raise ValueError(f"{out} holds pictures without a manifest: name another folder with --out.")
        return
    # As they would be written now: an older version wrote more of them for each stage.
    settings = Settings.from_dict(found.settings).to_dict()
    if difference := found.model_copy(update={"settings": settings}).difference(manifest):
        raise ValueError(
            f"{out} was drawn otherwise: {difference}. Repeat its command ({found.command}) to go on, or name another "
            "folder with --out."
        )


def _draw_missing(
    model: UnclipModel,
    groups: Sequence[Sequence[Row]],
    out: Path,
    settings: Settings,
    watch: Stopwatch,
    progress: bool,
) -> Iterator[None]:
    """Draw each group of which a picture is missing, or was not written to its end, and write what is missing of it."""
    state = PartialState()
    there = present(out)
    done = sum(row.file in there for group in groups for row in group)
    total = sum(map(len, groups))
    share = "" if state.num_processes == 1 else f" (process 1 of {state.num_processes})"
    bar = tqdm(
        desc=f"drawing{share}",
        total=total,
        initial=done,
        unit=" pictures",
        bar_format=SPEED,
        disable=not (progress and state.is_main_process),
    )
    with bar:
        size = max(map(len, groups), default=1)
        for group in groups:
            missing = {row.file for row in group} - there
            if not missing:
                continue
            start, before = watch.start(), size
            drawn, size = draw_group(model, group, settings, size)
            if size == before:
                watch.stop(start, len(group))
            for row, picture in zip(group, drawn, strict=True):
                if row.file in missing:
                    images.save(picture, out / row.file)
            bar.update(len(missing))
            yield


def generate_folder(options: Options) -> Manifest:
    """Draw what is missing of the folder that the options describe; ValueError says what is wrong with them."""
    # At the end each process waits for the slowest, which may have had more to draw.
    state = PartialState(
        cpu=options.device == "cpu" or not torch.cuda.is_available(), timeout=datetime.timedelta(days=1)
    )
    chosen = read_chosen(options.prompts, options.num, options.sampling_seed, options.sampling, options.protocol)
    prompts = chosen.repeated(options.per_prompt)
    for note in prompts.notes if state.is_main_process else ():
        print(f"Note: {note}", file=sys.stderr)
    _require_sense(options, state)
    captions = [prompt.caption for prompt in prompts.prompts]  # as they were given, whatever is understood of them
    prompt_map.require(options.map, captions)
    if options.device is None or (options.device == "cuda" and state.num_processes > 1):
        options = dataclasses.replace(options, device=str(state.device))  # each process has a device of its own
    if options.engine is None and (begun := read_manifest(options.out)):
        options = dataclasses.replace(options, engine=begun.engine)
    model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = chosen_settings(options, model)
    if options.understand:
        prompts = understood(prompts, model)
    fresh = read_manifest(options.out) is None
    run = (options.seed, options.batch_size, options.compile)
    manifest = describe(model, prompts, options.out, settings, *run)
    watch = Stopwatch(options.batch_size)
    if options.ray is None:
        drawing = draw(model, manifest, options.out, settings, watch, progress=options.turns is None)
    else:
        drawing = ray_drawing.draw(options, manifest, settings)
    if options.turns is not None:
        there = present(options.out)
        lacking = sum(not {row.file for row in group} <= there for group in manifest.groups)
        _take_turns(drawing, lambda: _draw_again(model, manifest, settings, watch), lacking)
    else:
        for _ in drawing:
            pass
    alone = state.num_processes == 1 and options.ray is None
    if (fresh or (options.turns and watch.seconds)) and alone and not (options.out / COST).exists():
        write_cost(_cost(watch, options.turns or ""), options.out)
    prompt_map.write(options.map if state.is_main_process else None, captions, manifest.rows, options.out)
    state.destroy_process_group()
    return manifest


def _require_sense(options: Options, state: PartialState) -> None:
    if options.protocol and options.per_prompt != 1:
        raise ValueError(f"{options.protocol} draws one picture of each prompt: leave out --per-prompt.")
    if options.ray is not None and (state.num_processes > 1 or options.turns is not None):
        raise ValueError("--ray shares the work itself: start one process, without accelerate launch.")


def understood(prompts: PromptSet, model: UnclipModel) -> PromptSet:
    """Return what the checkpoint is asked for these prompts; ValueError where it has no vocabulary."""
    if model.interpreter is None:
        raise ValueError(f"The checkpoint {model.checkpoint} has no vocabulary: leave out --understand.")
    found = [model.understand(prompt.caption) for prompt in prompts.prompts]
    if unknown := sum(not one.known for one in found):
        print(f"{unknown:,} of {len(found):,} prompts are not understood: their very words are drawn.", file=sys.stderr)
    asked = [
        dataclasses.replace(prompt, caption=one.asked or prompt.caption)
        for prompt, one in zip(prompts.prompts, found, strict=True)
    ]
    return dataclasses.replace(prompts, name=f"{prompts.name}, understood", prompts=tuple(asked))


def _take_turns(drawing: Iterator[None], again: Callable[[], None], lacking: int) -> None:
    """Draw a group whenever a line comes on stdin, and say on stdout how many are left: see `drawing.turns`.

    The first turn warms up. Who has nothing left to draw draws again, unsaved, so that all are timed alike.
    """
    print(READY, lacking, flush=True)
    for number, line in enumerate(sys.stdin):
        if line.strip() == END:
            for _ in drawing:
                pass
            return
        if number == 0 or next(drawing, DONE) is DONE:
            again()
        print(READY, max(0, lacking - number), flush=True)
    raise KeyboardInterrupt  # whoever gave the turns is gone


def _draw_again(model: UnclipModel, manifest: Manifest, settings: Settings, watch: Stopwatch) -> None:
    """Draw the first group once more, for its time alone."""
    start = watch.start()
    list(in_parts(model, manifest.groups[0], settings, len(manifest.groups[0])))
    watch.stop(start, len(manifest.groups[0]))


def _cost(watch: Stopwatch, turns: str) -> Cost:
    seconds = [round(value, 5) for value in watch.seconds]
    # in kilobytes, on macOS in bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    return Cost(
        seconds_a_picture=round(float(np.median(seconds)), 5) if seconds else None,
        peak_megabytes=round(peak, 1),
        processor=report.processor(),
        batches=tuple(seconds),
        turns=turns,
    )


def guidance_of(manifest: Manifest) -> str:
    """Return the guidance as published tables state it beside a number."""
    stages = Settings.from_dict(manifest.settings).stages.items()
    scales = [f"{name} {stage.guidance_scale:g}" for name, stage in stages if isinstance(stage, GuidedSettings)]
    return f"{manifest.picture_size} pixels a side, guidance scale {', '.join(scales)}"
