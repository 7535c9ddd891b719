"""Which packages a machine lacks for training, and their wheels."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

NEEDED = ("accelerate", "datasets", "diffusers", "pydantic", "resvg-py", "rich", "tensorboard", "transformers")
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)] + ["manylinux2014_x86_64"]


def lacking(listing: Path) -> list[str]:
    """Return what training needs and the machine lacks, as "name==version" of this environment.

    Args:
        listing: what `pip list` or `pip freeze` says there.

    Raises:
        ValueError: torch is not on the list, whose wheels take gigabytes, or the list is none.
    """
    lines = listing.read_text(encoding="utf-8").splitlines()
    there = {_plain(found.group()) for line in lines if (found := re.match(r"[A-Za-z0-9][\w.-]*", line.strip()))}
    if "torch" not in there:
        raise ValueError(f"{listing} does not list torch, which has to be on the machine: its wheels take gigabytes.")
    missing, waiting = {}, [*NEEDED]
    while waiting:
        name = _plain(waiting.pop())
        if name in there or name in missing:
            continue
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise ValueError(f"{name} is missing here: pip install -r requirements-train.txt") from error
        missing[name] = package.version
        waiting += [_name(line) for line in package.requires or () if "extra ==" not in line and _applies(line)]
    return [f"{name}=={version}" for name, version in sorted(missing.items())]


def download(packages: list[str], folder: Path, python: str) -> list[Path]:
    """Download their wheels for a Linux machine with this Python ("3.12"); ValueError when one has none."""
    platforms = [part for platform in _PLATFORMS for part in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
    command += ["--implementation", "cp", "--python-version", python, *platforms, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise ValueError(f"pip could not fetch the wheels: {reason[0]}")
    return sorted(folder.glob("*.whl"))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][\w.-]*", requirement)
    return found.group() if found else requirement


def _applies(requirement: str) -> bool:
    """Whether a requirement's marker may hold on Linux with a current Python."""
    marker = requirement.partition(";")[2]
    return not re.search(r"win32|Windows|darwin|python_version\s*<|PyPy|emscripten", marker)
