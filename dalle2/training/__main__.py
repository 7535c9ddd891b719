"""Run python -m dalle2.training RECIPE --out DIR [--minutes M] [--start-from CHECKPOINT] [--resume] [--stages …]."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dalle2 import atomic
from dalle2.datasets.packages import BuildError
from dalle2.training.recipe import STAGES, Recipe, read_recipe

_BEGAN = time.monotonic()  # the libraries are loaded below: that is of a budget too


def main(words: Sequence[str] | None = None) -> int:
    """Run a recipe; errors that a user can mend are one sentence and exit code 1; 130 when it was stopped."""
    arguments = _arguments(words)
    try:
        recipe = read_recipe(arguments.recipe)
        stages = recipe.stages if arguments.stages is None else _stages(arguments.stages, recipe)
        if arguments.data:
            data = recipe.data.model_copy(update={"source": arguments.data})
            recipe = recipe.model_copy(update={"data": data})
        if arguments.start_from:
            recipe = recipe.continued(arguments.start_from)
        if arguments.minutes is not None:
            return _by_the_clock(arguments, recipe, stages)
        return _by_steps(arguments, recipe, stages)
    except (ValueError, OSError, FloatingPointError, BuildError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Stopped. Finished stages and snapshots stay in {arguments.out}: --resume continues.", file=sys.stderr)
        return 130


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dalle2.training", description="Trains a checkpoint from a recipe.")
    parser.add_argument("recipe", help="TOML file, such as dalle2/training/recipes/emoji-cpu.toml")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run: snapshots, logs, checkpoint")
    parser.add_argument("--data", help="use this source in place of the recipe's")
    parser.add_argument("--resume", action="store_true", help="resume the run in that folder from its snapshots")
    parser.add_argument("--stages", help=f"only these, comma-separated, of {','.join(STAGES)}; default: the recipe's")
    parser.add_argument(
        "--minutes", type=float, help="have a checkpoint after so many minutes, whatever the recipe's steps say"
    )
    parser.add_argument(
        "--start-from",
        metavar="CHECKPOINT",
        help="start from this checkpoint's weights; its text and picture towers stay",
    )
    parser.add_argument("--dry-run", action="store_true", help="build all, take three steps a stage, estimate the time")
    return parser.parse_args(words)


def _by_steps(arguments: argparse.Namespace, recipe: Recipe, stages: Sequence[str]) -> int:
    import torch

    from dalle2.training.loop import Run
    from dalle2.training.processes import start
    from dalle2.training.run import Training

    if not arguments.dry_run:
        atomic.check_folder(arguments.out)
    accelerator = start(recipe.precision)
    if arguments.dry_run:
        from dalle2.training.estimate import estimate

        estimate(recipe, accelerator)
        return 0
    if accelerator.is_main_process:
        _check_unoccupied(arguments)
    accelerator.wait_for_everyone()
    run = Run(arguments.out, recipe.seed, accelerator)
    if accelerator.device.type == "cpu":
        torch.set_float32_matmul_precision("high")
    checkpoint = Training(recipe, run).train(stages)
    if accelerator.is_main_process:
        print(f"Checkpoint: {checkpoint}" if checkpoint else f"Finished {', '.join(stages)} in {arguments.out}.")
    return 0


def _by_the_clock(arguments: argparse.Namespace, recipe: Recipe, stages: Sequence[str]) -> int:
    from dalle2.training.loop import read_reports
    from dalle2.training.parallel import Parallel
    from dalle2.training.schedule import check_minutes

    check_minutes(arguments.minutes, recipe)
    if arguments.dry_run:
        raise ValueError("--dry-run tells how long the recipe's steps take: leave out --minutes.")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("--minutes trains on at most one GPU: start it without accelerate launch.")
    _check_unoccupied(arguments)
    checkpoint = Parallel(recipe, arguments.out, arguments.minutes, _BEGAN).train(stages)
    for stage, report in read_reports(arguments.out).items():
        losses = ", ".join(f"{name} {value:.4f}" for name, value in report["held_out"].items())
        print(f"{stage}: {report['steps']:,} steps, {report['pictures']:,} pictures; held out: {losses or 'nothing'}")
        if not report["steps"] and getattr(recipe, stage, recipe.upsampler).steps:
            print(f"Warning: {stage} had no time for a step: its weights are as it began with them.")
    print(f"{time.monotonic() - _BEGAN:.0f} of {60 * arguments.minutes:.0f} seconds.")
    print(f"Checkpoint: {checkpoint}" if checkpoint else f"Finished {', '.join(stages)} in {arguments.out}.")
    return 0


def _stages(text: str, recipe: Recipe) -> list[str]:
    stages = [stage.strip() for stage in text.split(",") if stage.strip()]
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise ValueError(f"There is no stage {unknown[0]!r}: the stages are {', '.join(STAGES)}.")
    if absent := [stage for stage in stages if stage not in recipe.stages]:
        raise ValueError(f"The recipe has no {absent[0]}: give it a table [{absent[0]}], which may be empty.")
    return stages


def _check_unoccupied(arguments: argparse.Namespace) -> None:
    folder = arguments.out
    atomic.check_writable(folder)
    if not arguments.resume and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds a run already: add --resume, or name another folder.")


if __name__ == "__main__":
    sys.exit(main())
