"""python -m dalle2.offline.drawings drawings.parquet RECIPE: draws the emoji set where the recipe looks for it."""

import sys
from pathlib import Path

from dalle2.datasets.vectors import unpack
from dalle2.training.recipe import read_recipe

if __name__ == "__main__":
    recipe = read_recipe(sys.argv[2])
    source = Path(recipe.data.source)
    if not source.exists():
        count = unpack(Path(sys.argv[1]), source, max(recipe.upsampler.picture_size, recipe.clip.picture_size))
        sys.stdout.write(f"{source}: {count:,} pictures.\n")
