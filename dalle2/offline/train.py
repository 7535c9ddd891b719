"""Train: python3 train.py --minutes 9 [--out results] [--resume] [--start-from CHECKPOINT].

Trains from what lies beside this file, without a network, and leaves a few files to take home: a checkpoint in pieces,
a picture of sixteen pictures and the held-out losses. A folder `start` beside it is the checkpoint to go on from.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS_SECONDS = 40  # of the minutes, for the sixteen pictures and the pieces


def main() -> int:
    """Do everything in turn; return the exit code of the training."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="when all has to be done")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the files to keep")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was killed")
    parser.add_argument("--start-from", type=Path, default=HERE / "start" if (HERE / "start").exists() else None)
    options = parser.parse_args()
    out = options.out.resolve()
    environment = _environment()

    def python(*arguments: object) -> int:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode

    if (HERE / "drawings.parquet").exists() and python(
        "-m", "dalle2.offline.drawings", "drawings.parquet", "recipe.toml"
    ):
        return 1
    left = options.minutes - (time.monotonic() - began + RESULTS_SECONDS) / 60
    training = ["-m", "dalle2.training", "recipe.toml", "--out", "run", "--minutes", f"{left:.2f}"]
    training += ["--resume"] if options.resume else []
    training += ["--start-from", options.start_from.resolve()] if options.start_from else []
    code = python(*training)
    return python("-m", "dalle2.offline.results", "run", "--out", out) or code


def _environment() -> dict[str, str]:
    """With the wheels beside this file, which pip unpacks without a network."""
    site, wheels = HERE / "site", sorted((HERE / "wheels").glob("*.whl"))
    if wheels and not site.exists():
        quiet = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
        partial = HERE / "site.partial"  # not by `atomic`, which would flush thousands of files while the minutes run
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *quiet, "--upgrade", "--target", partial, *wheels], check=True
        )
        partial.rename(site)
    paths = [str(HERE), str(site), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    sys.exit(main())
