"""python -m benchmarks.peers: the packages that ours are measured beside, in a folder of their own.

They ask for torchvision, which nothing here needs, and one of them in an environment without it breaks `import
torchmetrics` there. So pip puts them, without what they depend on, into `runs/peers`, which only the processes of the
benchmark that measure with a peer can see.
"""

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "runs" / "peers"
COMMAND = "python -m benchmarks.peers"
PACKAGES = ("pytorch-fid==0.3.0", "clean-fid==0.1.35", "torch-fidelity==0.4.0", "prdc==0.2")
# prdc's own needs, which nothing here has.
BESIDE = ("scikit-learn==1.9.1", "joblib==1.6.0", "narwhals==2.29.0", "threadpoolctl==3.8.0")
# clean-fid asks for a matrix square root in a way that later ones do not know.
SCIPY = "scipy==1.17.1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Install them; exit with pip's own code where that fails."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0].split(": ")[-1])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: runs/peers of this project")
    folder = parser.parse_args(arguments).folder
    newer = tuple(map(int, importlib.metadata.version("scipy").split(".")[:2])) >= (1, 18)
    wanted = [*PACKAGES, *BESIDE, *([SCIPY] if newer else [])]
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--upgrade", "--target", str(folder), *wanted]
    code = subprocess.run(pip, check=False).returncode
    if code:
        sys.exit(code)
    print(f"{folder}: {', '.join(PACKAGES)}. Now: python -m benchmarks.fid, or benchmarks.manifold")


def missing(packages: Sequence[str], folder: Path = FOLDER) -> list[str]:
    """Return those of the packages, by the names that are imported, that are not in the folder."""
    return [package for package in packages if not (folder / package).is_dir()]


def enter(folder: Path = FOLDER) -> None:
    """Let this process, and those that it starts, import from the folder, before anything of the same name."""
    sys.path.insert(0, str(folder))


if __name__ == "__main__":
    main()
