"""`python -m dalle2 "a cat face, twemoji style" -o cat.png`: from the command line to PNG files.

Pictures are drawn one after another, not as a batch, so that `--from` draws each one again to the last bit.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from dalle2 import commands, images
from dalle2.arguments import STAGES, add_arguments, chosen_settings, open_checkpoint
from dalle2.output import Progress, file_names
from dalle2.settings import MAX_SEED, Settings, Step, check_prompt, check_seed
from dalle2.tasks.redrawing import plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what the arguments ask for.

    The exit code is 0, or 1 after an error, which is told in one sentence, or 130 when stopped.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    task = commands.is_task(arguments)
    options = None if task else parser().parse_args(arguments)
    try:
        for line in commands.run(arguments) if task else _run(options):
            print(line)
    except (ValueError, OSError) as error:
        print(f"dalle2: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dalle2: stopped.", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """What the arguments may be, where they are no task."""
    more = f"Tasks that start from pictures: python -m dalle2 TASK --help, TASK being {', '.join(commands.TASKS)}."
    description = "Draw pictures from a prompt."
    parser = argparse.ArgumentParser(prog="python -m dalle2", description=description, epilog=more)
    parser.add_argument("prompt", nargs="?", help="what the pictures should show")
    parser.add_argument("-n", type=int, metavar="N", help="how many pictures (seeds count up); default 1")
    parser.add_argument("--seed", type=int, help=f"seed of the first picture, 0 to {MAX_SEED}; default: random")
    parser.add_argument("-o", "--out", default=".", metavar="DIR_OR_FILE", help="a folder, or a name ending in .png")
    parser.add_argument("--from", dest="source", metavar="PICTURE.png", help="draw this picture again")
    add_arguments(parser)
    return parser


def _run(options: argparse.Namespace) -> list[Path]:
    if options.source is None:
        return _draw_new(options)
    given = ("prompt", "n", "seed", "steps", "guidance", "scheduler", "prior")
    clashing = [name for name in given if getattr(options, name) is not None]
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
    files = file_names(options.out, prompt, seeds)
    model = open_checkpoint(options, options.checkpoint or "emoji", options.dtype or "float32")
    settings = chosen_settings(options, model)
    with _Progress(settings, len(seeds)) as progress:
        for seed, file in zip(seeds, files, strict=True):
            picture = model.text_to_image([prompt], [seed], settings, progress.advance)[0]
            images.save(picture, file)
    return files


def _draw_again(options: argparse.Namespace) -> Path:
    record = images.read_record(options.source)
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
    draw, settings = plan(record), Settings.from_dict(record["settings"])
    words = record["prompt"] if record["task"] == "text_to_image" else record["task"]
    file = file_names(options.out, words, [record["seed"]])[0]
    if file.exists() and file.samefile(options.source):
        raise ValueError(f"{file} is the picture to draw again itself: name another file or folder with -o.")
    source = options.checkpoint or record["checkpoint"]
    model = open_checkpoint(options, source, options.dtype or record.get("dtype", "float32"))
    if model.checkpoint_hash != record["checkpoint_hash"] and options.checkpoint is None:
        raise ValueError(
            f"The checkpoint {source} is not the one that drew {options.source}: its hash differs. "
            "Name the right one with --checkpoint, "
            f"or give --checkpoint {source} to draw with this one all the same."
        )
    with _Progress(settings, 1) as progress:
        return images.save(draw(model, progress.advance), file)


class _Progress(Progress):
    """One bar over all steps of all pictures."""

    def __init__(self, settings: Settings, pictures: int) -> None:
        self._settings = settings
        super().__init__(sum(getattr(settings, name).num_inference_steps for name in STAGES) * pictures)

    def advance(self, step: Step) -> None:
        if step.index == 1:  # a prior that is not a diffusion has its own number of steps
            self._bar.total += step.total - getattr(self._settings, step.stage).num_inference_steps
        super().advance(step)


if __name__ == "__main__":
    sys.exit(main())
