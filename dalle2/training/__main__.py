"""python -m dalle2.training RECIPE --out DIR [--resume] [--stages ...] [--dry-run]"""

import argparse
import sys
from pathlib import Path

import torch

from dalle2.datasets.packages import BuildError
from dalle2.training.loop import Run
from dalle2.training.processes import start
from dalle2.training.recipe import STAGES, Recipe, read_recipe
from dalle2.training.run import Training


def main() -> int:
    """Runs a recipe; errors that a user can mend are one sentence and exit code 1; 130 when it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.training", description="Trains a checkpoint from a recipe.")
    parser.add_argument("recipe", help="TOML file, such as dalle2/training/recipes/emoji-cpu.toml")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run: snapshots, logs, checkpoint")
    parser.add_argument("--data", help="use this source in place of the recipe's")
    parser.add_argument("--resume", action="store_true", help="go on where a run into the same folder stopped")
    parser.add_argument("--stages", help=f"only these, comma-separated, of {','.join(STAGES)}; default: the recipe's")
    parser.add_argument("--dry-run", action="store_true", help="build all, take three steps a stage, estimate the time")
    arguments = parser.parse_args()
    try:
        recipe = read_recipe(arguments.recipe)
        stages = recipe.stages if arguments.stages is None else _stages(arguments.stages, recipe)
        if arguments.data:
            data = recipe.data.model_copy(update={"source": arguments.data})
            recipe = recipe.model_copy(update={"data": data})
        accelerator = start(recipe.precision)
        if arguments.dry_run:
            from dalle2.training.estimate import estimate

            estimate(recipe, accelerator)
            return 0
        if not arguments.resume and accelerator.is_main_process and _occupied(arguments.out):
            raise ValueError(f"{arguments.out} holds a run already: add --resume, or name another folder.")
        accelerator.wait_for_everyone()
        run = Run(arguments.out, recipe.seed, accelerator)
        if accelerator.device.type == "cpu":
            torch.set_float32_matmul_precision("high")
        checkpoint = Training(recipe, run).train(stages)
    except (ValueError, OSError, FloatingPointError, BuildError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Stopped. Finished stages and snapshots stay in {arguments.out}: --resume goes on.", file=sys.stderr)
        return 130
    if accelerator.is_main_process:
        print(f"Checkpoint: {checkpoint}" if checkpoint else f"Finished {', '.join(stages)} in {arguments.out}.")
    return 0


def _stages(text: str, recipe: Recipe) -> list[str]:
    stages = [stage.strip() for stage in text.split(",") if stage.strip()]
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise ValueError(f"There is no stage {unknown[0]!r}: the stages are {', '.join(STAGES)}.")
    if absent := [stage for stage in stages if stage not in recipe.stages]:
        raise ValueError(f"The recipe has no {absent[0]}: give it a table [{absent[0]}], which may be empty.")
    return stages


def _occupied(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


if __name__ == "__main__":
    sys.exit(main())
