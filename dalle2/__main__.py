"""`python -m dalle2 "a cat face, twemoji style" -o cat.png`: from the command line to PNG files.

Pictures are drawn one after another, not as a batch, so that `--from` draws each one again to the last bit.
"""

import argparse
import dataclasses
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch
import transformers
from tqdm import tqdm

from dalle2 import images
from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.settings import MAX_SEED, SCHEDULERS, Settings, StageSettings, Step, check_prompt, check_seed

STAGES = ("prior", "decoder", "upsampler")
DTYPES = ("float32", "bfloat16", "float16")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what the arguments ask for.

    The exit code is 0, or 1 after an error, which is told in one sentence, or 130 when stopped.
    """
    options = _parser().parse_args(arguments)
    try:
        for file in _run(options):
            print(file)
    except (ValueError, OSError) as error:
        print(f"dalle2: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dalle2: stopped.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dalle2", description="Draw pictures from a prompt.")
    parser.add_argument("prompt", nargs="?", help="what the pictures should show")
    parser.add_argument("-n", type=int, metavar="N", help="how many pictures (seeds count up); default 1")
    parser.add_argument("--seed", type=int, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
    parser.add_argument("-o", "--out", default=".", metavar="DIR_OR_FILE", help="a folder, or a name ending in .png")
    parser.add_argument("--from", dest="source", metavar="PICTURE.png", help="draw this picture again")
    parser.add_argument("--checkpoint", help="folder, hub id or id@revision; default: the embedded checkpoint")
    three = "one value for all stages, or three, as 25,25,7, for prior, decoder, upsampler"
    parser.add_argument("--steps", help=f"denoising steps: {three}")
    parser.add_argument("--guidance", help="guidance scale: one value, or two, as 4,8, for prior and decoder")
    parser.add_argument("--scheduler", help=f"{three}; of {', '.join(SCHEDULERS)}")
    parser.add_argument("--device", help="cpu or cuda; default: cuda if there is one")
    parser.add_argument("--dtype", choices=DTYPES, help="what the networks compute in; default float32")
    parser.add_argument("--compile", action="store_true", help="compile the networks: slow to start, then faster")
    return parser


def _run(options: argparse.Namespace) -> list[Path]:
    if options.source is None:
        return _draw_new(options)
    clashing = [
        name for name in ("prompt", "n", "seed", "steps", "guidance", "scheduler") if getattr(options, name) is not None
    ]
    if clashing:
        raise ValueError(f"--from draws the picture as it was: leave out {clashing[0]}, or leave out --from.")
    return [_draw_again(options)]


def _draw_new(options: argparse.Namespace) -> list[Path]:
    if options.prompt is None:
        raise ValueError('Give a prompt, such as "a cat face", or a picture to draw again with --from.')
    prompt = check_prompt(options.prompt)
    count = 1 if options.n is None else options.n
    if not 1 <= count <= MAX_SEED:
        raise ValueError(f"-n must be 1 or more, not {count}.")
    first = random.randint(0, MAX_SEED - count + 1) if options.seed is None else check_seed(options.seed)
    check_seed(first + count - 1)
    seeds = list(range(first, first + count))
    files = _file_names(options.out, prompt, seeds)
    model = _load(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = _settings(options, model.settings)
    with _Progress(settings, len(seeds)) as progress:
        for seed, file in zip(seeds, files, strict=True):
            picture = model.text_to_image([prompt], [seed], settings, progress.advance)[0]
            images.save(picture, file)
    return files


def _draw_again(options: argparse.Namespace) -> Path:
    record = images.read_record(options.source)
    kinds = {
        "task": str,
        "prompt": str,
        "seed": int,
        "settings": dict,
        "checkpoint": str,
        "checkpoint_hash": str,
    }
    missing = [key for key, kind in kinds.items() if not isinstance(record.get(key), kind)]
    if missing:
        raise ValueError(f"The record of {options.source} lacks {missing[0]!r}: it cannot be drawn again.")
    if record["task"] != "text_to_image":
        raise ValueError(
            f"{options.source} is of the task {record['task']}, which started from other pictures: only "
            "pictures drawn from a prompt alone can be drawn again."
        )
    settings = Settings.from_dict(record["settings"])
    prompt, seed = check_prompt(record["prompt"]), check_seed(record["seed"])
    file = _file_names(options.out, prompt, [seed])[0]
    if file.exists() and file.samefile(options.source):
        raise ValueError(f"{file} is the picture to draw again itself: name another file or folder with -o.")
    source = options.checkpoint or record["checkpoint"]
    model = _load(options, source, options.dtype or record.get("dtype", "float32"))
    if model.checkpoint_hash != record["checkpoint_hash"] and options.checkpoint is None:
        raise ValueError(
            f"The checkpoint {source} is not the one that drew {options.source}: its hash differs. "
            "Name the right one with --checkpoint, "
            f"or give --checkpoint {source} to draw with this one all the same."
        )
    with _Progress(settings, 1) as progress:
        picture = model.text_to_image([prompt], [seed], settings, progress.advance)[0]
    return images.save(picture, file)


def _load(options: argparse.Namespace, checkpoint: str, dtype: str) -> UnclipModel:
    if dtype not in DTYPES:
        raise ValueError(f"There is no dtype {dtype!r}: use one of {', '.join(DTYPES)}.")
    # The libraries' own bars and warnings would stand between the visitor and ours.
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load(checkpoint, device, getattr(torch, dtype), options.compile)


def _settings(options: argparse.Namespace, default: Settings) -> Settings:
    steps = _values("steps", options.steps, int, 3)
    guidance = _values("guidance", options.guidance, float, 2)
    schedulers = _values("scheduler", options.scheduler, str, 3)
    chosen: dict[str, StageSettings] = {}
    for index, name in enumerate(STAGES):
        changes: dict[str, object] = {}
        if steps:
            changes["num_inference_steps"] = steps[index]
        if guidance and index < 2:
            changes["guidance_scale"] = guidance[index]
        if schedulers:
            changes["scheduler"] = schedulers[index]
        chosen[name] = dataclasses.replace(getattr(default, name), **changes)
    return Settings(**chosen)


def _values(name: str, text: str | None, kind: type, count: int) -> list | None:
    """ "25,25,7" -> [25, 25, 7]; one value stands for all."""
    if text is None:
        return None
    try:
        values = [kind(value.strip()) for value in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--{name} takes numbers, not {text!r}.") from error
    if len(values) not in (1, count):
        raise ValueError(f"--{name} takes one value or {count} with commas between them, not {text!r}.")
    return values * count if len(values) == 1 else values


def _file_names(out: str, prompt: str, seeds: list[int]) -> list[Path]:
    path = Path(out).expanduser()
    if path.suffix and not path.is_dir():
        if path.suffix.lower() != ".png":
            raise ValueError(f"Pictures are saved as PNG: let {path.name!r} end in .png, or name a folder.")
        return [path] if len(seeds) == 1 else [path.with_name(f"{path.stem}-{seed}{path.suffix}") for seed in seeds]
    # Letters of every script may stand in a file name; 40 of them stay below 255 bytes in any.
    slug = re.sub(r"\W+", "-", prompt.lower()).strip("-")[:40].rstrip("-") or "picture"
    return [path / f"{slug}-{seed}.png" for seed in seeds]


class _Progress:
    """One bar over all steps of all pictures."""

    def __init__(self, settings: Settings, pictures: int) -> None:
        total = sum(getattr(settings, name).num_inference_steps for name in STAGES) * pictures
        self._bar = tqdm(total=total, unit="step")

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, step: Step) -> None:
        self._bar.set_description(step.stage, refresh=False)
        self._bar.update()


if __name__ == "__main__":
    sys.exit(main())
