"""What is compared: a folder that was drawn before, or a checkpoint with settings, drawn now by `generation`.

A contestant is written as on generation's own command line: `emoji`, `"emoji --steps 10,4,2"`,
`"runs/b --guidance 3,1 --dtype bfloat16"`. Each is drawn by a process of its own, whose peak memory is its own too.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evaluation.manifest import Manifest, read_manifest
from evaluation.report import write_text

COST = "cost.json"


@dataclass(frozen=True)
class Cost:
    """Of a picture: seconds (None where too few batches were drawn to tell), and the process's peak memory in MB."""

    seconds_a_picture: float | None
    peak_megabytes: float


@dataclass(frozen=True)
class Contestant:
    """A name, a complete folder of pictures with its manifest, and what drawing it cost, if known."""

    name: str
    folder: Path
    manifest: Manifest
    cost: Cost | None

    @property
    def files(self) -> list[Path]:
        """The pictures, in the order of the prompts."""
        return [self.folder / row.file for row in self.manifest.rows]


def open_contestant(name: str, out: Path, arguments: Sequence[str], with_prompts: bool) -> Contestant:
    """The contestant, drawn into `out` unless it is a drawn folder; ValueError when it cannot be had.

    `arguments` go to generation for all: the prompts, where there are any, and the seed.
    """
    words = shlex.split(name)
    if not words:
        raise ValueError("A contestant is a checkpoint, a checkpoint with settings, or a drawn folder, not nothing.")
    drawn = Path(words[0]).expanduser()
    if (manifest := read_manifest(drawn)) is None:
        if not with_prompts:
            raise ValueError(
                f"{words[0]} is no drawn folder, and to draw with it takes prompts: name them by --prompts."
            )
        slug = re.sub(r"[^\w.-]+", "-", name).strip("-")[-60:]
        drawn = out / f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
        manifest = _draw(name, ["--checkpoint", *words, *arguments, "--out", str(drawn)], drawn)
    elif len(words) > 1:
        raise ValueError(f"{words[0]} is drawn already, so {' '.join(words[1:])} comes too late: leave it out.")
    if missing := [row.file for row in manifest.rows if not (drawn / row.file).is_file()]:
        raise ValueError(f"{drawn} lacks {len(missing):,} pictures, the first is {missing[0]}: {manifest.command}")
    cost = drawn / COST
    return Contestant(name, drawn, manifest, Cost(**json.loads(cost.read_text())) if cost.is_file() else None)


def _draw(name: str, arguments: Sequence[str], folder: Path) -> Manifest:
    """Draw what is missing, and note what it cost when all of it was drawn in one go."""
    fresh = not folder.exists()
    process = subprocess.Popen([sys.executable, "-m", "evaluation.generation", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ValueError(f"{name} was not drawn; why stands above.")
    manifest = read_manifest(folder)
    assert manifest is not None
    if fresh:
        kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)  # bytes there
        cost = Cost(_seconds_a_picture(folder, manifest), round(kilobytes / 1024, 1))
        write_text(folder / COST, json.dumps(asdict(cost)) + "\n")
    return manifest


def _seconds_a_picture(folder: Path, manifest: Manifest) -> float | None:
    """The median time from batch to batch, by the files' times: loading and warming up stand before the first."""
    size = manifest.batch_size
    whole = len(manifest.rows) // size
    times = [(folder / manifest.rows[index * size].file).stat().st_mtime for index in range(whole)]
    return round(float(np.median(np.diff(times))) / size, 4) if whole > 1 else None
