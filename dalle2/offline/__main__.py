"""Pack what a recipe trains from into one file, for a machine without a network."""

import argparse
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dalle2 import atomic
from dalle2.datasets import vectors
from dalle2.datasets.packages import BuildError
from dalle2.offline.wheels import download, lacking
from dalle2.training.recipe import Recipe, read_recipe

_ROOT = Path(__file__).parents[2]
_DRAWINGS = "drawings.parquet"


def main(argv: Sequence[str] | None = None) -> int:
    """Pack the file; errors that a user can mend are one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m dalle2.offline", description=__doc__)
    parser.add_argument("recipe", type=Path, help="TOML file, such as dalle2/training/recipes/emoji.toml")
    parser.add_argument("--out", required=True, type=Path, help="the file to make, such as run.tar")
    parser.add_argument("--packages", type=Path, help="folder of the emoji set's tarballs, instead of fetching them")
    parser.add_argument(
        "--machine",
        type=Path,
        help="what `pip list` or `pip freeze` prints there: wheels of what is missing are packed too",
    )
    parser.add_argument("--python", default="3.12", help="the Python there (default: %(default)s)")
    parser.add_argument(
        "--start-from", type=Path, metavar="CHECKPOINT", help="a checkpoint to start from, which is packed too"
    )
    arguments = parser.parse_args(argv)
    try:
        pack(arguments)
    except (BuildError, ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    size = arguments.out.stat().st_size / 1e6
    print(f"{arguments.out}: {size:.1f} MB. There: tar xf {arguments.out.name} && python3 train.py --minutes 9")
    return 0


def pack(arguments: argparse.Namespace) -> None:
    """Write the tar; it appears whole or not at all."""
    recipe = read_recipe(arguments.recipe)
    atomic.check_suffix(arguments.out, ".tar")
    if arguments.out.exists():
        raise ValueError(f"{arguments.out} exists already: name another file, or remove it first.")
    with (
        tempfile.TemporaryDirectory() as scratch,
        atomic.file(arguments.out, overwrite=False) as partial,
        tarfile.open(partial, "w") as tar,
    ):
        _add_code(tar, arguments.recipe)
        _add_data(tar, recipe, Path(scratch), arguments.packages)
        if arguments.machine:
            names = lacking(arguments.machine)
            for wheel in download(names, Path(scratch) / "wheels", arguments.python):
                tar.add(wheel, f"wheels/{wheel.name}")
        if arguments.start_from:
            tar.add(arguments.start_from, "start")


def _add_code(tar: tarfile.TarFile, recipe: Path) -> None:
    for file in sorted((_ROOT / "dalle2").rglob("*")):
        inside = file.relative_to(_ROOT)
        if file.is_file() and "checkpoints" not in inside.parts and "__pycache__" not in inside.parts:
            tar.add(file, inside)
    tar.add(Path(__file__).with_name("train.py"), "train.py")
    tar.add(recipe, "recipe.toml")


def _add_data(tar: tarfile.TarFile, recipe: Recipe, scratch: Path, packages: Path | None) -> None:
    """Add the set, as drawings where it is the emoji set, else its folder, at the places that the recipe names."""
    source, lexicon = Path(recipe.data.source), recipe.data.lexicon
    for place in filter(None, (recipe.data.source, lexicon)):
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ValueError(f"The recipe's {place} must lie below the folder in which training starts.")
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder: the pictures have to be here to go along.")
    if (source / "test-split.tsv").exists():
        vectors.pack(source, scratch / _DRAWINGS, packages)
        tar.add(scratch / _DRAWINGS, _DRAWINGS)
    else:
        tar.add(source, source)
    if lexicon:
        if not Path(lexicon).exists():
            raise ValueError(f"{lexicon} is missing: build it with python -m dalle2.datasets.lexicon --out {lexicon}.")
        vectors.shrink_lexicon(Path(lexicon), scratch / "lexicon.parquet")
        tar.add(scratch / "lexicon.parquet", lexicon)


if __name__ == "__main__":
    sys.exit(main())
